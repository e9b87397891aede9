#!/usr/bin/env bash
# Train in a folder of a network disk (sshfs over this machine) that two machines look at, and disturb it: orders from both at
# once, the connection lost, resumed elsewhere while it lives and after a kill, the disk full; then compare with a local run.
#
#     scripts/try_network_disk.sh             some ten minutes; needs root and: apt-get install sshfs openssh-server
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH
place=$(mktemp -d -t mmssl-share-XXXX)
here=$place/here there=$place/there
export OMP_NUM_THREADS=1 MMSSL_THREADS=1 MMSSL_HOME=$place/home

main() {
    mmssl sample glioma "$place/cohort" --cases 4 --spacing 4
    settings=(--recipe mae --size tiny --patch 16 --batch-size 2 --steps 240 --checkpoint-every 4 --validate-every 40)
    mmssl pretrain "$place/cohort" "${settings[@]}" --out "$place/undisturbed"
    serve
    mmssl pretrain "$place/cohort" "${settings[@]}" --out "$here/run" &

    reach 5
    mmssl runs list "$there"
    training=$!
    mmssl runs pause "$here/run" &
    mmssl runs stop "$there/run"
    wait $! $training
    grep answered "$there/run/events.jsonl"

    say "the connection is lost"
    go_on
    reach 15
    kill -9 "$(connection "$here")"
    wait $! || say "ended with exit code $?"
    fusermount3 -u -z "$here" || true
    connect "$here"
    mmssl runs list "$here"

    say "resumed on another machine while it lives, and after it was killed"
    go_on
    reach 30
    elsewhere || say "ended with exit code $?"
    kill -9 $!
    wait $! || true
    elsewhere &

    until grep -q '"host": "elsewhere"' "$there/run/status.json"; do sleep 1; done
    reach 31
    say "the disk is full"
    cat /dev/zero >"$place/disk/full" 2>/dev/null || true
    wait $! || say "ended with exit code $?"
    rm "$place/disk/full"
    mmssl runs list "$here"
    go_on
    wait $!
    compare
}

say() { echo "== $(date +%T) $*"; }

go_on() { mmssl runs resume "$here/run" & }

elsewhere() { unshare --uts sh -c "hostname elsewhere && exec mmssl runs resume '$there/run'"; }

step() {
    python -c "import json; run = json.load(open('$there/run/status.json'))
print(run['step'] if run['state'] == 'running' else 0)" 2>/dev/null || echo 0
}

reach() { until [ "$(step)" -ge "$1" ]; do sleep 0.2; done; }

# A disk of its own, which can be filled, behind a server.
serve() {
    mkdir -p "$place/disk" "$here" "$there" /run/sshd
    truncate --size 48M "$place/image"
    mkfs.ext4 -q "$place/image"
    mount -o loop "$place/image" "$place/disk"
    ssh-keygen -q -t ed25519 -N '' -f "$place/server-key"
    ssh-keygen -q -t ed25519 -N '' -f "$here.key"
    cp "$here.key" "$there.key"
    printf '%s\n' "Port 2222" "ListenAddress 127.0.0.1" "HostKey $place/server-key" "PidFile $place/sshd.pid" \
        "AuthorizedKeysFile $here.key.pub" "StrictModes no" "Subsystem sftp internal-sftp" >"$place/sshd.conf"
    /usr/sbin/sshd -f "$place/sshd.conf"
    trap 'end' EXIT
    connect "$here"
    connect "$there"
}

connect() {
    sshfs -p 2222 "root@127.0.0.1:$place/disk" "$1" \
        -o "IdentityFile=$1.key,UserKnownHostsFile=/dev/null,StrictHostKeyChecking=no,BatchMode=yes"
}

# The ssh that carries a mount.
connection() { pgrep --full "^ssh .*$1.key"; }

end() {
    fusermount3 -u -z "$here" || true
    fusermount3 -u -z "$there" || true
    kill "$(cat "$place/sshd.pid")"
    umount "$place/disk"
}

compare() {
    python - "$place/undisturbed" "$here/run" <<'END'
import sys
from pathlib import Path
import torch
from safetensors.torch import load_file

one, two = (load_file(Path(path) / "weights" / "encoder.safetensors") for path in sys.argv[1:])
assert all(torch.equal(tensor, two[name]) for name, tensor in one.items()), "other weights"
print("bit for bit the same weights as undisturbed")
END
}

main
