"""What a run's network makes of one case, as a picture."""

from dataclasses import replace
from pathlib import Path

from napari_mmssl.atomic import make_folder
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import known_modalities, prepare_case
from napari_mmssl.errors import CheckpointError
from napari_mmssl.pictures import Picture, write_picture
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.configure import pretrain_settings


def preview(run_path: Path, cohort_path: Path, case_id: str, out: Path, *, seed: int = 0) -> list[Picture]:
    """Write one picture for each objective of a pretraining into ``out`` and return them.

    Parameters
    ----------
    run_path
        A pretraining, finished or with a checkpoint.
    cohort_path, case_id
        The case to look at.
    out
        Folder for ``<objective>.json`` and ``<objective>.npz``; made if missing.
    seed
        Another seed draws another puzzle.

    Raises
    ------
    CheckpointError
        If the run has neither weights nor a checkpoint.
    ConfigError
        If there is no such case, or it has none of the modalities that were learned from.
    """
    run = RunFolder.open(run_path)
    settings = pretrain_settings(file=run.path / "run.toml")
    cohort = find_cohort(cohort_path)
    case = known_modalities(cohort.case(case_id), settings.data.modalities or ())
    checkpoint = run.path / "checkpoints" / "last.safetensors"
    if not checkpoint.is_file():
        raise CheckpointError(f"the run '{run_path}' has no checkpoint yet; wait for one, or stop and keep it")

    import torch

    from napari_mmssl.training.checkpoints import load_checkpoint
    from napari_mmssl.training.pretraining import Pretraining

    prepared = prepare_case(case, settings.data.spacing_mm, with_label=False)
    trainee = Pretraining(settings, [prepared], [], torch.device("cpu"))
    step, _ = load_checkpoint(checkpoint, trainee, None)
    sampler = replace(trainee.batches, seed=seed, batch_size=1, purpose="preview")
    for module in trainee.modules.values():
        module.eval()
    with torch.no_grad():
        pictures = trainee.picture_batch(sampler[0], step)
    make_folder(out)
    for picture in pictures:
        write_picture(out / picture.name, picture)
    return pictures
