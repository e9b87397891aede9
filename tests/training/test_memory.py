"""An allocation that really fails, in a process that may not grow further."""

import os
import subprocess
import sys

import pytest
import torch
from small_cohorts import write_small_cohort

from napari_mmssl.training.memory import is_out_of_memory
from napari_mmssl.training.run_folder import RunFolder

#: After the first step, when its peak is known, the process may not grow by more than three quarters of it.
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
        resource.setrlimit(resource.RLIMIT_AS, (1024 * int(size + 0.75 * (peak - size)), resource.RLIM_INFINITY))

cohort, out = sys.argv[1:]
flags = {"cohort": cohort, "recipe": "mae", "data": {"patch": [40, 40, 40]}}
pretrain(pretrain_settings(flags=flags | {"optimisation": {"steps": 2, "batch_size": 8}}), Path(out), listener=listener)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured as on Linux with glibc")
def test_a_step_that_gets_no_memory_is_made_in_two_parts_and_the_run_goes_on(tmp_path):
    cohort = write_small_cohort(tmp_path / "cohort", cases=3)
    words = [sys.executable, "-c", _SHORT_OF_MEMORY, str(cohort), str(tmp_path / "run")]
    environment = os.environ | {"MMSSL_HOME": str(tmp_path / "home"), "MMSSL_THREADS": "1", "OMP_NUM_THREADS": "1"}
    # What is freed goes back to the system at once, so that the peak is what a step takes.
    environment |= {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}

    done = subprocess.run(words, env=environment, capture_output=True, check=False, timeout=250)

    assert done.returncode == 0, done.stderr.decode()
    run = RunFolder(tmp_path / "run")
    events, _ = run.events()
    told = [event for event in events if event["kind"] == "warning" and event.get("about") == "memory"]
    assert [(event["step"], event["parts"]) for event in told] == [(1, 2)]
    assert told[0]["text"].startswith("this machine had too little memory for 8 samples at once")
    assert [event["step"] for event in events if event["kind"] == "step"] == [1, 2]
    assert run.status()["state"] == "done"


def test_what_torch_says_on_any_device_is_known_and_other_errors_are_not():
    with pytest.raises(RuntimeError) as short:
        torch.empty(2**60)

    assert is_out_of_memory(short.value)
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    assert not is_out_of_memory(OSError("out of memory"))
