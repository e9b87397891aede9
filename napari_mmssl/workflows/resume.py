"""Go on with a run that was paused, stopped, or cut off."""

from pathlib import Path

from napari_mmssl.errors import RunError
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.configure import finetune_settings, pretrain_settings, synthesis_settings
from napari_mmssl.workflows.finetune import finetune
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.running import Interruption, Listener, ignore
from napari_mmssl.workflows.synthesize import train_generators


def resume(path: Path, *, listener: Listener = ignore, interruption: Interruption | None = None) -> RunFolder:
    """Go on from the last checkpoint of ``path``, or from step 0 if there is none.

    Raises
    ------
    RunError
        If ``path`` is no training, or is at work already.
    """
    kind = RunFolder.open(path).status().get("kind")
    file = path / "run.toml"
    if kind == "pretrain":
        return pretrain(pretrain_settings(file=file), path, resume=True, listener=listener, interruption=interruption)
    if kind == "finetune":
        return finetune(finetune_settings(file=file), path, resume=True, listener=listener, interruption=interruption)
    if kind == "synthesis":
        settings = synthesis_settings(file=file)
        return train_generators(settings, path, resume=True, listener=listener, interruption=interruption)
    raise RunError(f"'{path}' is a {kind}; only a training can be gone on with")
