"""Fine-tune on a downstream task, from pretrained weights or from scratch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.config import as_table
from napari_mmssl.errors import CheckpointError, ConfigError
from napari_mmssl.tasks import tasks
from napari_mmssl.tasks.case_task import CaseTaskSettings
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.settings import EncoderSettings, FinetuneSettings
from napari_mmssl.training.weights_cards import read_card, reading_card_of, weights_folder
from napari_mmssl.workflows.leaks import held_out_leaks, remember_people
from napari_mmssl.workflows.material import Material, gather
from napari_mmssl.workflows.preparing import prepare
from napari_mmssl.workflows.running import (
    Interruption,
    Listener,
    ignore,
    provenance,
    set_threads,
    training,
)

if TYPE_CHECKING:
    import torch

    from napari_mmssl.training.fine_tuning import FineTuning


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
    sees what it was pretrained on. A task that reads volumes takes the modalities of its segmentation too.
    """
    settings, material = settled(settings)
    with training(out, "finetune", as_table(settings), resume=resume) as (run, ranks):
        from napari_mmssl.training.device import choose_device
        from napari_mmssl.training.loop import Loop

        set_threads()
        interruption = interruption or Interruption()
        listener = listener if ranks.is_first else ignore
        device = choose_device(settings.device, ranks.local_rank)
        ready = prepare(material, run, listener, ranks, interruption, with_label=reads_label_maps(settings))
        material, train, validation = ready.material, ready.train, ready.validation
        trainee, facts, reason = make_trainee(settings, material, train, validation, device)
        listener({"kind": "convention", "text": reason})
        parents = [] if settings.weights == "none" else [_parent(Path(settings.weights))]
        report = [{"name": one.name, "outcome": one.outcome, "reason": one.reason} for one in trainee.transfer]
        run.write_provenance(
            provenance(material, parents)
            | {
                "device": str(device),
                "processes": ranks.world,
                "transfer": report,
                "task": {"reason": reason, **trainee.task.facts},
            }
            | ({"convention": {"reason": reason, **facts["convention"]}} if "convention" in facts else {})
        )
        if not resume and ranks.is_first:
            _look_for_leaks(run, material, train, validation, settings.weights, listener)
        loop = Loop(run, trainee, settings, device, interruption, ranks)
        for event in loop.events(resume=resume):
            listener(event)
    return run


def reads_label_maps(settings: FinetuneSettings) -> bool:
    """Whether the task is learned from label maps; others are learned from the clinical table."""
    return tasks.get(settings.task.name).gives == "label map"


def settled(settings: FinetuneSettings) -> tuple[FinetuneSettings, Material]:
    """Return the cases to learn from, and the settings with all that weights and cohort decide; errors as `finetune`.

    Only headers are read.
    """
    if _reads_volumes(settings):
        settings = _like_segmentation(settings)
    elif settings.weights != "none":
        settings = _like_pretrained(settings, _encoder_card(Path(settings.weights)))
    kind = tasks.get(settings.task.name)
    material = gather(
        settings.cohort,
        settings.data,
        settings.seed,
        labelled=reads_label_maps(settings),
        fraction=settings.label_fraction,
        lacks=lambda case: kind.lacks(settings.task, case),
    )
    return material.settle(settings), material


def make_trainee(
    settings: FinetuneSettings,
    material: Material,
    train: Sequence[PreparedCase],
    validation: Sequence[PreparedCase],
    device: "torch.device",
) -> tuple["FineTuning", dict[str, Any], str]:
    """Return what is trained, what its task found in the cohort, and the reason for that in words."""
    from napari_mmssl.training.fine_tuning import FineTuning
    from napari_mmssl.training.template_files import read_shelf
    from napari_mmssl.training.weights_files import read_pretrained

    kind, weights = tasks.get(settings.task.name), Path(settings.weights)
    from_scratch = settings.weights == "none"
    values = {one.id: set(np.unique(one.label).tolist()) for one in [*train, *validation] if one.label is not None}
    facts, reason = kind.fit(settings.task, material.cohort, material.train, values)
    if _reads_volumes(settings):
        facts["segmentation"] = read_card(weights)["convention"]
    pretrained = None if from_scratch else read_pretrained(weights)
    clinical = {case.id: case.clinical for case in (*material.train, *material.validation)}
    shelf = None if from_scratch else read_shelf(weights)
    task = kind(settings.task, facts)
    trainee = FineTuning(settings, task, train, validation, clinical, device, pretrained, shelf)
    return trainee, facts, reason


def _look_for_leaks(
    run: RunFolder,
    material: Material,
    train: Sequence[PreparedCase],
    validation: Sequence[PreparedCase],
    weights: str,
    listener: Listener,
) -> None:
    """Warn of people that are held out here and were pretrained on, and keep who was learned from."""
    parents = [] if weights == "none" else [Path(weights)]
    for parent in parents:
        for sentence in held_out_leaks(material, parent):
            run.emit("warning", text=sentence)
            listener({"kind": "warning", "text": sentence})
    remember_people(run, "fine-tuning", material.cohort, train, validation, parents)


def _encoder_card(weights: Path) -> dict[str, Any]:
    card = read_card(weights)
    if card.get("kind") != "pretrain":
        raise CheckpointError(
            f"'{weights}' holds a {card.get('kind')}, and a pretrained encoder is wanted; only survival and "
            "classification read a segmentation, with --set task.image=volumes"
        )
    return card


def _reads_volumes(settings: FinetuneSettings) -> bool:
    return isinstance(settings.task, CaseTaskSettings) and settings.task.image == "volumes"


def _like_segmentation(settings: FinetuneSettings) -> FinetuneSettings:
    """Return ``settings`` with all that decides what the segmentation in the weights sees."""
    if settings.weights == "none":
        raise ConfigError("task.image = volumes reads what a segmentation draws; name its run folder with --weights")
    card = read_card(Path(settings.weights))
    if card.get("task") != "segmentation":
        raise CheckpointError(
            f"'{settings.weights}' holds a {card.get('task', card.get('kind'))}, and task.image = volumes reads a "
            "segmentation; fine-tune one first, or set task.image to features"
        )
    settings = _like_pretrained(settings, card)
    data = settings.data.model_copy(update={"modalities": tuple(card["modalities"])})
    return settings.model_copy(update={"fusion": card.get("fusion", "replicate"), "data": data})


def _like_pretrained(settings: FinetuneSettings, card: dict[str, Any]) -> FinetuneSettings:
    with reading_card_of(Path(settings.weights)):
        encoder = EncoderSettings(**card["encoder"])
        z, y, x = settings.data.spacing_mm or map(float, card["spacing_mm"])
    return settings.model_copy(
        update={
            "encoder": encoder,
            "data": settings.data.model_copy(update={"spacing_mm": (z, y, x)}),
            "weights": str(Path(settings.weights).resolve()),
        }
    )


def _parent(weights: Path) -> dict[str, Any]:
    folder = weights_folder(weights)
    run = folder.parent
    used = RunFolder(run).provenance().get("used", {}) if RunFolder.is_run(run) else {}
    return {"path": str(weights), "kind": read_card(folder)["kind"], "used": used}
