"""What a GPU asks for beyond a CPU, on one that is pretended: no machine of this project's checks has a real one."""

import numpy as np
import pytest
import torch
from clinical_cohorts import write_clinical_cohort
from patch_batches import make_batch
from pretended_device import GPU, PretendedGpu, pretended_gpu
from torch.utils.data._utils.pin_memory import pin_memory
from trained_networks import write_network

from napari_mmssl.errors import RunFailed
from napari_mmssl.inference.device_windows import predict_on
from napari_mmssl.networks.precision import mixed_precision
from napari_mmssl.networks.segmentation import SegmentationNetwork
from napari_mmssl.ops.sinkhorn import soft_permutation
from napari_mmssl.tasks.conventions import BRATS_2018
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.configure import finetune_settings, pretrain_settings, synthesis_settings
from napari_mmssl.workflows.embedding import embed
from napari_mmssl.workflows.finetune import finetune
from napari_mmssl.workflows.predict import Extras, predict
from napari_mmssl.workflows.preflight import preflight
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.probe import ProbeSettings, probe
from napari_mmssl.workflows.resume import resume
from napari_mmssl.workflows.synthesize import train_generators

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.filterwarnings("ignore:.pin_memory. argument is set:UserWarning"),
]
_SHORT = {"data": {"patch": [16, 16, 16]}, "optimisation": {"steps": 2, "batch_size": 2}, "validate_every": 1}


@pytest.fixture
def gpu(monkeypatch):
    with pretended_gpu(monkeypatch) as found:
        yield found


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda here, there: here + there,
        lambda here, there: torch.cat([here, there]),
        lambda here, there: torch.nn.functional.mse_loss(here, there),
        lambda here, there: here[there.long()],
        lambda here, there: there.numpy(),
        lambda here, there: np.asarray(there),
        lambda here, there: torch.nn.Linear(3, 3)(there),
        lambda here, there: torch.rand(3, generator=torch.Generator(), device=GPU),
    ],
)
def test_the_pretended_gpu_refuses_what_a_gpu_refuses(forbidden):
    with PretendedGpu():
        here, there = torch.zeros(3), torch.zeros(3, device=GPU)
        with pytest.raises((RuntimeError, TypeError)):
            forbidden(here, there)


def test_the_pretended_gpu_of_an_apple_has_no_float64():
    with PretendedGpu("mps"), pytest.raises(TypeError, match="float64"):
        torch.zeros(3, device="mps").double()


def test_the_pretended_gpu_takes_what_a_gpu_takes():
    with PretendedGpu() as gpu:
        there = torch.zeros(3, device=GPU)
        assert (there + torch.tensor(1.0)).device == GPU
        assert there[torch.arange(2)].device == GPU
        assert torch.nn.Linear(3, 3).to(GPU)(there).device == GPU
        assert there.cpu().numpy().tolist() == [0, 0, 0]
        assert torch.zeros(3).copy_(there).device == torch.device("cpu")
    assert gpu.moves == 3


def test_the_limit_of_the_sinkhorn_rounds_is_found_where_there_is_float64():
    scores = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(0))
    with PretendedGpu("mps"):
        there = scores.to("mps").requires_grad_()
        found = soft_permutation(there, 0.1, None)
        found.square().sum().backward()
        assert found.device.type == "mps"
        assert torch.equal(found.cpu(), soft_permutation(scores, 0.1, None))
    assert there.grad is not None


def test_batches_are_pinned_so_that_a_gpu_fetches_them_while_it_computes():
    """A data loader leaves what it does not know as it is, without a word."""
    with PretendedGpu() as gpu:
        pin_memory(make_batch())
    assert gpu.pinned == 2


def test_from_pretraining_to_a_label_map_on_a_gpu(gpu, cohort, tmp_path):
    pretrained = pretrain(
        pretrain_settings(flags={"cohort": str(cohort), "recipe": "combined", **_SHORT}), tmp_path / "p"
    )
    flags = {"cohort": str(cohort), "weights": str(pretrained.path), "augmentation": "full", **_SHORT}
    finetune(finetune_settings(flags=flags), tmp_path / "f", listener=_pause_after_one_step(tmp_path / "f"))
    tuned = resume(tmp_path / "f")

    extras = Extras(mirrored=True, probabilities=True, entropy=True)
    drawn = predict(cohort, tuned.path, tmp_path / "drawn", which="test", extras=extras)

    assert drawn.status()["state"] == "done"
    assert gpu.moves > 100
    assert tuned.provenance()["device"] == "cuda"
    for run in (pretrained, tuned):
        assert _losses_are_finite(run)


def test_a_volume_for_which_a_gpu_has_no_room_stays_in_main_memory():
    volumes = torch.randn(2, 20, 24, 18, generator=torch.Generator().manual_seed(0))
    sizes = []

    def network(windows):
        sizes.append((windows.device, len(windows)))
        if len(windows) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return windows.sum(dim=1, keepdim=True)

    with PretendedGpu():
        found = predict_on(GPU, network, volumes, (8, 8, 8), needed=torch.ones(20, 24, 18, dtype=torch.bool))

    np.testing.assert_allclose(found.numpy(), volumes.sum(dim=0, keepdim=True).numpy(), atol=1e-5)
    assert sizes[0] == (GPU, 2)
    assert set(sizes[1:]) == {(GPU, 1)}


def test_a_prediction_without_memory_for_a_single_window_ends_in_a_sentence(gpu, cohort, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (1 << 30, 8 << 30))
    monkeypatch.setattr(SegmentationNetwork, "forward", full)
    network = write_network(tmp_path / "network", 0, convention=BRATS_2018)

    with pytest.raises(RunFailed, match=r"the GPU has too little memory \(1\.0 of 8\.0 GiB are free\).*--device cpu"):
        predict(cohort, network, tmp_path / "drawn")

    assert "too little memory" in RunFolder(tmp_path / "drawn").status()["reason"]


@pytest.mark.parametrize("image", ["features", "volumes"])
def test_survival_on_a_gpu(gpu, tmp_path, image):
    cohort = write_clinical_cohort(tmp_path / "cohort", 8, drawn=True)
    flags = {"cohort": str(cohort), **_SHORT}
    if image == "volumes":
        drawn = finetune(finetune_settings(flags=flags | {"task": {"name": "segmentation"}}), tmp_path / "drawn")
        flags["weights"] = str(drawn.path)
    gpu.moves = 0
    tuned = finetune(finetune_settings(flags=flags | {"task": {"name": "survival", "image": image}}), tmp_path / "f")

    said = predict(cohort, tuned.path, tmp_path / "said", which="test")

    assert said.status()["state"] == "done"
    assert gpu.moves > 10
    assert _losses_are_finite(tuned)


def test_frozen_features_on_a_gpu(gpu, cohort, tmp_path):
    run = pretrain(pretrain_settings(flags={"cohort": str(cohort), "recipe": "mae", **_SHORT}), tmp_path / "p")
    gpu.moves = 0

    found = probe(cohort, run.path, ProbeSettings(task="segmentation", regions="lesion"))
    embed(cohort, run.path)

    assert gpu.moves > 10
    assert found["probes"]["linear"]["pretrained"]["dice"] >= 0


@pytest.mark.parametrize("method", ["cycle", "paired"])
def test_generators_on_a_gpu(gpu, cohort, tmp_path, method):
    flags = {"cohort": str(cohort), "source": "t1", "target": "flair", "method": method, **_SHORT}
    run = train_generators(synthesis_settings(flags=flags), tmp_path / "run")

    assert gpu.moves > 10
    assert _losses_are_finite(run)


@pytest.mark.parametrize(("used_gib", "fits"), [(4, True), (6, False)])
def test_a_dry_run_goes_by_the_gpu_s_own_account_of_its_memory(gpu, cohort, monkeypatch, used_gib, fits):
    account = {"mem_get_info": (5 << 30, 8 << 30), "memory_allocated": 1 << 30, "max_memory_allocated": used_gib << 30}
    for name, value in account.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda *_: None)

    found = preflight(pretrain_settings(flags={"cohort": str(cohort), "recipe": "mae", **_SHORT}))

    assert (found.device, found.memory_gib, found.free_gib) == ("cuda", used_gib, 6)
    assert found.fits == fits


def test_without_a_gpu_nothing_is_rounded_more():
    with mixed_precision(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def _pause_after_one_step(path):
    def listener(event):
        if event["kind"] == "step" and event["step"] == 1:
            RunFolder(path).request("pause")

    return listener


def _losses_are_finite(run: RunFolder) -> bool:
    steps = [event["losses"].values() for event in run.events()[0] if event["kind"] == "step"]
    return len(steps) == 2 and all(np.isfinite(list(values)).all() for values in steps)
