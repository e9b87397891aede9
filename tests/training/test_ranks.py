"""Two processes that share every batch learn what one process learns."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file
from small_cohorts import write_small_cohort

from napari_mmssl.cli.main import main
from napari_mmssl.errors import ConfigError
from napari_mmssl.synthesis.streams import UnpairedSampler
from napari_mmssl.training.device import choose_device
from napari_mmssl.training.distributed import Ranks, find_ranks
from napari_mmssl.training.run_folder import RunFolder

#: Leaves the gradients of the first batch in a file; the whole of it in one process, halves of it in two.
_GRADIENTS = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from napari_mmssl.training.distributed import Ranks, find_ranks, joined_ranks
from napari_mmssl.training.gradient_step import GradientStep
from napari_mmssl.training.pretraining import Pretraining
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.material import gather

torch.set_num_threads(1)
cohort, out, *recipes = sys.argv[1:]
with joined_ranks(find_ranks()) as ranks:
    for recipe in recipes:
        flags = {"cohort": cohort, "recipe": recipe, "data": {"patch": [16, 16, 16]}, "optimisation": {"batch_size": 4}}
        changes = ["objectives.puzzle.grid=[2,2,2]", "objectives.puzzle.jitter=1"] if recipe != "swinunetr2022" else []
        settings = pretrain_settings(flags=flags, assignments=changes)
        material = gather(settings.cohort, settings.data, settings.seed, labelled=False)
        settings = material.settle(settings)
        cases = material.prepare(material.train, with_label=False, progress=lambda done, total: None)
        trainee = Pretraining(settings, cases, [], torch.device("cpu"))
        move = GradientStep(trainee, settings, torch.device("cpu"), ranks)
        move.gradients(ranks.share(trainee.batches)[0], 0)
        gradients = {
            f"{module}/{name}": weight.grad.contiguous()
            for module, one in trainee.modules.items()
            for name, weight in one.named_parameters()
            if weight.grad is not None
        }
        if ranks.is_first:
            save_file(gradients, Path(out) / f"{recipe}-{ranks.world}.safetensors")
"""
RECIPES = ("combined", "swinunetr2022")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_small_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def gradients(cohort, tmp_path_factory):
    """Folder of the gradients that one process finds, and two."""
    out = tmp_path_factory.mktemp("gradients")
    for world in (1, 2):
        words = [sys.executable, "-c", _GRADIENTS, str(cohort), str(out), *RECIPES]
        place = {
            "MASTER_ADDR": "127.0.0.1",
            "WORLD_SIZE": str(world),
            "MMSSL_MEETING_PLACE": str(out / f"ranks{world}"),
        }
        place |= {"MMSSL_HOME": str(out / "home"), "OMP_NUM_THREADS": "1"}
        ranks = [
            subprocess.Popen(words, env=os.environ | place | {"RANK": str(rank)}, stderr=subprocess.PIPE)
            for rank in range(world)
        ]
        for rank in ranks:
            _, said = rank.communicate(timeout=120)
            assert rank.returncode == 0, said.decode()
    return out


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_processes_find_the_gradients_of_one_with_the_whole_batch(gradients, recipe):
    one, two = (load_file(gradients / f"{recipe}-{world}.safetensors") for world in (1, 2))
    assert one.keys() == two.keys()
    length = torch.stack([gradient.norm() for gradient in one.values()]).norm()
    apart = torch.stack([(one[key] - two[key]).norm() for key in one]).norm()
    assert length > 0
    assert apart / length < 1e-5


def test_devices_start_processes_of_which_the_first_alone_writes(cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    flags = ["--patch", "16", "--steps", "3", "--validate-every", "3", "--checkpoint-every", "2", "--batch-size", "4"]
    flags += ["--set", "objectives.puzzle.grid=[2,2,2]", "--set", "objectives.puzzle.jitter=1"]
    words = ["pretrain", str(cohort), *flags]

    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    assert main([*words, "--out", str(tmp_path / "two"), "--devices", "2"]) == 0

    one, two = (RunFolder(tmp_path / name) for name in ("one", "two"))
    steps = [[event for event in run.events()[0] if event["kind"] == "step"] for run in (one, two)]
    assert [event["step"] for event in steps[1]] == [1, 2, 3]
    assert steps[1][0]["losses"] == pytest.approx(steps[0][0]["losses"], rel=1e-5)
    assert steps[1][0]["gradient_norm"] == pytest.approx(steps[0][0]["gradient_norm"], rel=1e-5)
    assert two.status()["state"] == "done"
    assert two.provenance()["processes"] == 2
    assert (two.path / "run.toml").read_text() == (one.path / "run.toml").read_text()
    assert {file.name for file in Path(one.path / "weights").iterdir()} == {
        file.name for file in Path(two.path / "weights").iterdir()
    }


def test_a_batch_that_cannot_be_shared_is_refused_in_a_sentence(cohort, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "home"))
    words = ["pretrain", str(cohort), "--patch", "16", "--batch-size", "3", "--devices", "2", "--out"]

    code = main([*words, str(tmp_path / "run")])

    said = capfd.readouterr().err
    assert code in (1, 2)
    assert said.count("a batch of 3 cannot be shared by 2 processes") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("flags", "told"),
    [(["--devices", "0"], "from 1 on"), (["--devices", "1", "--nodes", "2"], "srun"), (["--nodes", "2"], "torchrun")],
)
def test_numbers_of_processes_that_cannot_be_are_refused(cohort, tmp_path, capsys, flags, told):
    assert main(["pretrain", str(cohort), *flags, "--out", str(tmp_path / "run")]) == 2
    assert told in capsys.readouterr().err


#: What SLURM 22.05 set, as scripts/try_slurm.sh met it: in a job script, in task 5 of 8 on the second of two machines,
#: and in a shell that srun --pty gave.
_JOB_SCRIPT = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_NODELIST": "node[1-2]"}
_TASK = _JOB_SCRIPT | {"SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "8", "SLURM_NODEID": "1"}
_SHELL = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"}
_TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "a"}


@pytest.mark.parametrize(
    ("started", "found"),
    [
        (_TORCHRUN, (3, 8, 1)),
        (_TASK | {"MASTER_ADDR": "node1"}, (5, 8, 1)),
        (_TASK | _TORCHRUN, (3, 8, 1)),
        (_JOB_SCRIPT, (0, 1, 0)),
        (_SHELL, (0, 1, 0)),
        ({}, (0, 1, 0)),
    ],
    ids=["torchrun", "srun", "torchrun under srun", "job script", "shell in a job", "none"],
)
def test_who_started_it_is_recognised(started, found):
    ranks = find_ranks(started)
    assert (ranks.rank, ranks.world, ranks.local_rank) == found


def test_slurm_without_a_place_to_meet_is_told_what_to_add():
    with pytest.raises(ConfigError, match=r"MASTER_ADDR=.*scontrol show hostnames"):
        find_ranks(_TASK)


def test_none_ends_before_the_first_has_written_all(tmp_path):
    # srun ends all that is left of a job when one process ends with the code of an interruption.
    words = """
import sys, time
from pathlib import Path
from napari_mmssl.training.distributed import find_ranks, joined_ranks
with joined_ranks(find_ranks()) as ranks:
    if ranks.is_first:
        time.sleep(1)
        Path(sys.argv[1]).touch()
sys.exit(0 if Path(sys.argv[1]).exists() else 3)
"""
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MMSSL_MEETING_PLACE": str(tmp_path / "ranks")}
    command = [sys.executable, "-c", words, str(tmp_path / "written")]
    ranks = [subprocess.Popen(command, env=os.environ | shared | {"RANK": rank}) for rank in ("0", "1")]
    assert [rank.wait(60) for rank in ranks] == [0, 0]


@pytest.fixture
def one_thread(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@contextmanager
def at_work(cohort, path, steps):
    """Yield what launched two processes that pretrain together, once they have written a checkpoint."""
    flags = ["--recipe", "mae", "--patch", "16", "--steps", str(steps), "--checkpoint-every", "1", "--batch-size", "4"]
    command = [sys.executable, "-m", "napari_mmssl", "pretrain", str(cohort), *flags, "--devices", "2", "--out"]
    with subprocess.Popen([*command, str(path)], stderr=subprocess.PIPE, text=True) as launcher:
        while not list(path.glob("checkpoints/last.safetensors")):
            assert launcher.poll() is None, launcher.stderr.read()
            time.sleep(0.05)
        yield launcher


@pytest.mark.usefixtures("one_thread")
def test_a_process_that_is_killed_ends_the_others_in_a_sentence_and_the_run_goes_on(cohort, tmp_path):
    path = tmp_path / "run"
    with at_work(cohort, path, 40) as launcher:
        (second,) = (one for one in psutil.Process(launcher.pid).children() if one.environ().get("RANK") == "1")
        second.kill()
        said = launcher.stderr.read()

    assert launcher.returncode == 1
    assert "another process of this training ended" in said
    assert "Traceback" not in said
    run = RunFolder(path)
    assert run.status()["state"] == "failed"
    assert "another process" in run.status()["reason"]

    assert main(["runs", "resume", str(path)]) == 0

    assert [event["step"] for event in run.events()[0] if event["kind"] == "step"] == list(range(1, 41))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.usefixtures("one_thread")
def test_a_termination_signal_reaches_all_processes_and_they_stop_and_keep(cohort, tmp_path):
    path = tmp_path / "run"
    with at_work(cohort, path, 4000) as launcher:
        ranks = psutil.Process(launcher.pid).children()
        launcher.terminate()
        said = launcher.stderr.read()

    assert launcher.returncode == 130, said
    assert len(ranks) == 2
    assert not any(rank.is_running() for rank in ranks)
    assert RunFolder(path).status()["state"] == "stopped"
    assert list(path.glob("weights/encoder.safetensors"))


@pytest.mark.parametrize(
    ("name", "local_rank", "gpus", "started", "found"),
    [
        ("auto", 0, 2, {}, "cuda"),
        ("auto", 1, 2, {}, "cuda:1"),
        ("cuda:1", 0, 2, {}, "cuda:1"),
        ("cpu", 1, 2, {}, "cpu"),
        ("auto", 1, 1, _TASK, "cuda"),  # srun --gpus-per-task=1
        ("cuda:1", 1, 2, {}, "several processes cannot compute on 'cuda:1' at once"),
        ("auto", 2, 2, {}, "process 3 of this machine finds no GPU, of 2"),
        ("auto", 1, 1, _TASK | {"TORCHELASTIC_RUN_ID": "1"}, "process 2 of this machine finds no GPU, of 1"),
    ],
)
def test_each_process_of_a_machine_takes_a_gpu_of_its_own(name, local_rank, gpus, started, found, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    for key in ("SLURM_PROCID", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(key, raising=False)
    for key, value in started.items():
        monkeypatch.setenv(key, value)

    try:
        said = str(choose_device(name, local_rank))
    except ConfigError as error:
        said = str(error).partition("; ")[0]

    assert said == found


@pytest.mark.parametrize(
    ("wanted", "device", "cores", "environment", "ranks", "found"),
    [
        (None, "cpu", 16, {}, Ranks(), 0),
        (None, "cuda", 16, {}, Ranks(), 8),
        (None, "cuda", 4, {}, Ranks(), 3),
        (None, "cuda", 1, {}, Ranks(), 1),
        (None, "cuda", 16, {}, Ranks(1, 8, 1), 3),  # four GPUs here, the other four ranks elsewhere
        (None, "cuda", 16, {"SLURM_CPUS_PER_TASK": "7"}, Ranks(1, 8, 1), 6),
        (0, "cuda", 16, {}, Ranks(), 0),
        (12, "cpu", 2, {}, Ranks(), 12),
    ],
)
def test_cores_that_a_gpu_leaves_load_ahead(wanted, device, cores, environment, ranks, found, monkeypatch):
    monkeypatch.setattr("napari_mmssl.training.distributed.usable_cores", lambda: cores)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ranks.loader_processes(wanted, torch.device(device)) == found


def test_streams_that_compare_all_samples_are_not_parted():
    with pytest.raises(TypeError, match="cannot be parted"):
        Ranks(1, 2).share(UnpairedSampler(None, None))
