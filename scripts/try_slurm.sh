#!/usr/bin/env bash
# Run the job script of docs/how-to/cluster.md under a real SLURM, with two processes on two machines and small settings:
# stopped by signal, a process killed, a machine killed; then compare with two processes that nobody disturbed.
#
#     scripts/try_slurm.sh                    some ten minutes; scripts/slurm_cluster.sh says what it needs
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH
export HOME SCRATCH COHORT SLURM_CONF
HOME=$(mktemp -d -t mmssl-slurm-XXXX)
SCRATCH=$HOME COHORT=$HOME/cohort SLURM_CONF=$HOME/cluster/slurm.conf
export OMP_NUM_THREADS=1 MMSSL_THREADS=1 SETTINGS="--recipe mae --size tiny --patch 24 --batch-size 4 --steps 60
    --checkpoint-every 4 --validate-every 30"
run=$HOME/runs/brain

main() {
    mmssl sample glioma "$COHORT" --cases 5 --spacing 3
    # shellcheck disable=SC2086
    MMSSL_HOME=$SCRATCH/mmssl mmssl pretrain "$COHORT" $SETTINGS --devices 2 --out "$HOME/undisturbed"
    # Of the page's script nothing is changed but what is trained.
    awk '/^#!\/bin\/bash/, /^```/' docs/how-to/cluster.md | sed -e '/^```/d' \
        -e '/mmssl pretrain/,/--out/c\  srun --kill-on-bad-exit=1 mmssl pretrain "$COHORT" $SETTINGS --out "$RUN"' >"$HOME/job.sh"
    trap 'scripts/slurm_cluster.sh down "$HOME/cluster"' EXIT
    scripts/slurm_cluster.sh up "$HOME/cluster"
    until [ "$(sinfo --noheader --states=idle --format=%D)" = 2 ]; do sleep 1; done

    submit --nodes=2 --ntasks-per-node=1
    reach 10
    say "SIGTERM, as before the end of its time"
    scancel --signal=TERM "$job"
    wait_for stopped
    until scontrol update "JobId=$job" StartTime=now 2>/dev/null; do sleep 1; done # it would wait two minutes
    reach 20
    say "kill -9 of the second process"
    kill -9 "$(process_of_task 1)"
    wait_for failed
    until [ -z "$(squeue --noheader)" ]; do sleep 1; done

    submit --nodes=1 --ntasks-per-node=2
    reach 35
    say "$(status host) dies"
    kill -9 "$(cat "$HOME/cluster/$(status host).pid")"
    wait_for done
    mmssl runs show "$run"
    compare
}

submit() {
    job=$(cd "$HOME" && sbatch --parsable --cpus-per-task=1 "$@" job.sh)
    say "job $job: $*"
}

say() { echo "== $(date +%T) $*"; }

status() { python -c "import json; print(json.load(open('$run/status.json'))['$1'])" 2>/dev/null || echo 0; }

reach() { until [ "$(status state)" = running ] && [ "$(status step)" -ge "$1" ]; do sleep 1; done; }

wait_for() {
    until [ "$(status state)" = "$1" ]; do sleep 1; done
    say "$1 at step $(status step) on $(status host)"
}

process_of_task() {
    for process in /proc/[0-9]*; do
        if [ "$(cat "$process/comm")" = mmssl ] && grep -qz "^SLURM_PROCID=$1\$" "$process/environ"; then
            basename "$process"
        fi
    done 2>/dev/null
}

compare() {
    python - "$HOME/undisturbed" "$run" <<'END'
import sys
from pathlib import Path
import torch
from safetensors.torch import load_file
from napari_mmssl.training.run_folder import RunFolder

runs = [RunFolder(Path(path)) for path in sys.argv[1:]]
steps = [[event["step"] for event in run.events()[0] if event["kind"] == "step"] for run in runs]
assert steps[0] == steps[1], "steps are missing or there twice"
weights = [load_file(run.path / "weights" / "encoder.safetensors") for run in runs]
assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items()), "other weights"
print("the same steps and, bit for bit, the same weights as undisturbed")
END
}

main
