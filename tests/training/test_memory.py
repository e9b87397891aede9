"""An allocation that really fails, in a process that may not grow further."""

import os
import subprocess
import sys

import pytest
import torch
from small_cohorts import write_small_cohort

from napari_mmssl.cli.main import main
from napari_mmssl.networks.device_memory import is_out_of_memory
from napari_mmssl.training.run_folder import RunFolder

#: After the first step, when its peak is known, the process may not grow by more than a share of it.
_SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.pretrain import pretrain

def kib(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field))

def listener(event):
    if event["kind"] == "step" and event["step"] == 1:
        size, peak = kib("VmSize"), kib("VmPeak")
        most = 1024 * int(size + float(share) * (peak - size))
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

cohort, out, share = sys.argv[1:]
flags = {"cohort": cohort, "recipe": "mae", "data": {"patch": [40, 40, 40]}, "checkpoint_every": 1}
pretrain(pretrain_settings(flags=flags | {"optimisation": {"steps": 2, "batch_size": 8}}), Path(out), listener=listener)
"""


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured as on Linux with glibc")


def train_short_of_memory(tmp_path, share):
    cohort = write_small_cohort(tmp_path / "cohort", cases=3)
    words = [sys.executable, "-c", _SHORT_OF_MEMORY, str(cohort), str(tmp_path / "run"), str(share)]
    environment = os.environ | {"MMSSL_HOME": str(tmp_path / "home"), "MMSSL_THREADS": "1", "OMP_NUM_THREADS": "1"}
    # What is freed goes back to the system at once, so that the peak is what a step takes.
    environment |= {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
    return subprocess.run(words, env=environment, capture_output=True, check=False, timeout=250)


@on_linux
def test_a_step_that_gets_no_memory_is_made_in_two_parts_and_the_run_goes_on(tmp_path):
    done = train_short_of_memory(tmp_path, 0.75)

    assert done.returncode == 0, done.stderr.decode()
    run = RunFolder(tmp_path / "run")
    events, _ = run.events()
    told = [event for event in events if event["kind"] == "warning" and event.get("about") == "memory"]
    assert [(event["step"], event["parts"]) for event in told] == [(1, 2)]
    assert told[0]["text"].startswith("this machine had too little memory for 8 samples at once")
    assert [event["step"] for event in events if event["kind"] == "step"] == [1, 2]
    assert run.status()["state"] == "done"


@on_linux
def test_parts_that_get_no_memory_either_end_the_run_with_advice_and_it_goes_on_where_there_is_more(
    tmp_path, monkeypatch
):
    done = train_short_of_memory(tmp_path, 0.3)

    assert done.returncode != 0
    run = RunFolder(tmp_path / "run")
    events, _ = run.events()
    assert [event["parts"] for event in events if event.get("about") == "memory"] == [2], done.stderr.decode()
    assert [event["step"] for event in events if event["kind"] == "step"] == [1]
    reason = run.status()["reason"]
    assert reason.startswith("this machine has too little memory (")
    assert "GiB are free) for a batch of 8 patches of (40, 40, 40) voxels, even in parts" in reason
    assert run.status()["state"] == "failed"

    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")
    assert main(["runs", "resume", str(run.path)]) == 0
    assert [event["step"] for event in run.events()[0] if event["kind"] == "step"] == [1, 2]


def test_what_torch_says_on_any_device_is_known_and_other_errors_are_not():
    with pytest.raises(RuntimeError) as short:
        torch.empty(2**60)

    assert is_out_of_memory(short.value)
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    assert not is_out_of_memory(OSError("out of memory"))
