"""Settings that change how a step is computed and not what is learned."""

import pytest

from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.resume import resume

pytestmark = pytest.mark.usefixtures("own_cache")


def settings(cohort, **options):
    flags = {"cohort": str(cohort), "recipe": "mae", "data": {"patch": [16, 16, 16]}, "checkpoint_every": 2}
    return pretrain_settings(flags=flags | {"optimisation": {"steps": 4, "batch_size": 2, **options}})


def losses(run):
    return [event["losses"]["total"] for event in run.events()[0] if event["kind"] == "step"]


def test_the_fused_optimiser_learns_the_same_and_goes_on_bit_for_bit(cohort, tmp_path):
    plain, fused = (pretrain(settings(cohort, fused=how), tmp_path / str(how)) for how in (False, True))
    path = tmp_path / "paused"

    def pause(event):
        if event["kind"] == "step" and event["step"] == 3:
            RunFolder(path).request("pause")

    pretrain(settings(cohort, fused=True), path, listener=pause)
    resume(path)

    assert losses(fused) == pytest.approx(losses(plain), rel=1e-4)
    assert losses(RunFolder(path)) == losses(fused)
    files = [(run / "weights" / "encoder.safetensors").read_bytes() for run in (path, fused.path)]
    assert files[0] == files[1]


@pytest.mark.slow
def test_compiled_encoders_learn_the_same_and_keep_the_names_of_weights(cohort, tmp_path):
    from safetensors import safe_open

    plain, compiled = (pretrain(settings(cohort, compile=how), tmp_path / str(how)) for how in (False, True))

    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-3)
    names = []
    for run in (plain, compiled):
        with safe_open(str(run.path / "weights" / "encoder.safetensors"), framework="pt") as file:
            names.append(set(file.keys()))
    assert names[0] == names[1]
    assert losses(compiled) != losses(plain), "nothing was compiled"
