"""Fine-tune a segmentation on a labelled cohort, from pretrained weights or from scratch."""

from pathlib import Path
from typing import Any

import numpy as np

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.config import as_table
from napari_mmssl.errors import CheckpointError
from napari_mmssl.tasks.conventions import LabelConvention, choose_for, from_table, named
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.settings import EncoderSettings, FinetuneSettings, SegmentationSettings
from napari_mmssl.training.weights_cards import read_card, weights_folder
from napari_mmssl.workflows.material import Material, gather
from napari_mmssl.workflows.running import (
    Interruption,
    Listener,
    ignore,
    provenance,
    set_threads,
    starting,
    telling_progress,
)


def finetune(
    settings: FinetuneSettings,
    out: Path,
    *,
    resume: bool = False,
    listener: Listener = ignore,
    interruption: Interruption | None = None,
) -> RunFolder:
    """Fine-tune into the run folder ``out`` and return it; arguments and errors as in ``pretrain``.

    The encoder's kind and size, and the spacing, come from the weights where there are any: a network
    sees what it was pretrained on.
    """
    card = None if settings.weights == "none" else _encoder_card(Path(settings.weights))
    if card is not None:
        settings = _like_pretrained(settings, card)
    material = gather(settings.cohort, settings.data, settings.seed, labelled=True, fraction=settings.label_fraction)
    settings = material.settle(settings)
    with starting(out, "finetune", as_table(settings), resume=resume) as run:
        from napari_mmssl.training.device import choose_device
        from napari_mmssl.training.fine_tuning import FineTuning
        from napari_mmssl.training.loop import Loop
        from napari_mmssl.training.weights_files import read_weights

        set_threads()
        device = choose_device(settings.device)
        tell = telling_progress(run, listener, len(material.train) + len(material.validation))
        train = material.prepare(material.train, with_label=True, progress=tell)
        validation = material.prepare(material.validation, with_label=True, progress=tell)
        convention, reason = label_convention(settings.task, [*train, *validation], material)
        listener({"kind": "convention", "text": f"label coding {convention.name}: {reason}"})
        pretrained = None if card is None else read_weights(Path(settings.weights), "encoder")
        trainee = FineTuning(settings, convention, train, validation, device, pretrained)
        parents = [] if card is None else [_parent(Path(settings.weights))]
        report = [{"name": one.name, "outcome": one.outcome, "reason": one.reason} for one in trainee.transfer]
        run.write_provenance(
            provenance(material, parents)
            | {"device": str(device), "transfer": report, "convention": {"reason": reason, **convention.as_table()}}
        )
        for event in Loop(run, trainee, settings, device, interruption or Interruption()).events(resume=resume):
            listener(event)
    return run


def label_convention(
    task: SegmentationSettings, cases: list[PreparedCase], material: Material
) -> tuple[LabelConvention, str]:
    """Return the coding of the label maps and why it is taken.

    Raises
    ------
    ConfigError
        If the cases are coded differently and nothing was said, or the coding asked for does not fit.
    """
    values = {case.id: np.unique(case.label).tolist() for case in cases if case.label is not None}
    if task.regions:
        return from_table(task.regions), "the table [task.regions] says so"
    if task.convention == "auto":
        return choose_for(material.cohort, values)
    return named(task.convention, {value for found in values.values() for value in found}), "it was asked for"


def _encoder_card(weights: Path) -> dict[str, Any]:
    card = read_card(weights)
    if card.get("kind") != "pretrain":
        raise CheckpointError(f"'{weights}' holds a {card.get('kind')}, and a pretrained encoder is wanted")
    return card


def _like_pretrained(settings: FinetuneSettings, card: dict[str, Any]) -> FinetuneSettings:
    spacing = settings.data.spacing_mm or tuple(card["spacing_mm"])
    return settings.model_copy(
        update={
            "encoder": EncoderSettings(**card["encoder"]),
            "data": settings.data.model_copy(update={"spacing_mm": spacing}),
            "weights": str(Path(settings.weights).resolve()),
        }
    )


def _parent(weights: Path) -> dict[str, Any]:
    folder = weights_folder(weights)
    run = folder.parent
    used = RunFolder(run).provenance().get("used", {}) if RunFolder.is_run(run) else {}
    return {"path": str(weights), "kind": "pretrain", "used": used}
