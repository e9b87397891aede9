"""Tell before a training what it will take, and propose what fits if it does not fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.training.settings import EncoderRunSettings, FinetuneSettings, PretrainSettings
from napari_mmssl.workflows.finetune import make_trainee, reads_label_maps, settled
from napari_mmssl.workflows.material import Material, gather
from napari_mmssl.workflows.running import set_threads

if TYPE_CHECKING:
    import torch

    from napari_mmssl.training.trainee import Trainee

#: Changes as for ``--set``, and the settings with them.
Changed = tuple[tuple[str, ...], EncoderRunSettings]


@dataclass(frozen=True)
class Preflight:
    """What dry steps told.

    Parameters
    ----------
    device
        What they ran on.
    step_s
        Seconds a step; ``None`` if not even one step fits.
    total_s
        Seconds of all steps, without validations and checkpoints.
    memory_gib, free_gib
        Highest use, and what was free.
    fits
        Whether the settings fit as they are.
    proposal
        Changes (``key=value``, as for ``--set``) that fit; empty if none are needed, ``None`` if nothing was found.
    """

    device: str
    step_s: float | None
    total_s: float | None
    memory_gib: float
    free_gib: float
    fits: bool
    proposal: tuple[str, ...] | None


def preflight(settings: PretrainSettings | FinetuneSettings) -> Preflight:
    """Make dry steps with ``settings`` on the device itself, and with less and less until they fit.

    Only as many cases are prepared as a batch has samples; no run folder is made. Looks at unseen people, whose windows
    take less than a step, are left out.

    Raises
    ------
    MmsslError
        If the cohort or the settings do not do.
    """
    if isinstance(settings, FinetuneSettings):
        return _fitted(*settled(settings))
    material = gather(settings.cohort, settings.data, settings.seed, labelled=False)
    return _fitted(material.settle(settings), material)


def _fitted(settings: EncoderRunSettings, material: Material) -> Preflight:
    from napari_mmssl.training.device import choose_device
    from napari_mmssl.training.preflight import DryStep, dry_step

    set_threads()
    device = choose_device(settings.device)
    labelled = isinstance(settings, FinetuneSettings) and reads_label_maps(settings)
    cases = list(_some_prepared(material, settings.optimisation.batch_size, labelled=labelled))
    smallest = 0

    def tried(changed: EncoderRunSettings) -> DryStep:
        nonlocal smallest
        trainee = _trainee(changed, material, cases, device)
        smallest = trainee.smallest_part
        return dry_step(trainee, changed, device)

    first = found = tried(settings)
    proposal: tuple[str, ...] | None = ()
    if not first.fits:
        proposal = None
        for changes, changed in _smaller(settings, smallest):
            found = tried(changed)
            if found.fits:
                proposal = changes
                break
    step_s = found.step_s if found.fits else first.step_s
    return Preflight(
        str(device),
        step_s,
        None if step_s is None else step_s * settings.optimisation.steps,
        round(found.memory_bytes / 2**30, 4),
        round(found.free_bytes / 2**30, 4),
        first.fits,
        proposal,
    )


def _some_prepared(material: Material, n: int, *, labelled: bool) -> Iterator[PreparedCase]:
    """Yield ``n`` cases; more if nothing is drawn in those, since label maps say what there is to learn."""
    # Those with most modalities first, since a recipe may leave out people who have fewer.
    fullest = sorted(material.train, key=lambda case: -len(case.modalities))
    drawn = not labelled
    for number, case in enumerate(fullest):
        if number >= n and drawn:
            return
        (prepared,) = material.prepare([case], with_label=labelled, progress=lambda done, total: None)
        drawn = drawn or bool(np.any(prepared.label))
        yield prepared


def _trainee(
    settings: EncoderRunSettings,
    material: Material,
    cases: Sequence[PreparedCase],
    device: "torch.device",
) -> "Trainee":
    if isinstance(settings, FinetuneSettings):
        return make_trainee(settings, material, cases, [], device)[0]
    from napari_mmssl.training.pretraining import Pretraining

    assert isinstance(settings, PretrainSettings)
    return Pretraining(settings, cases, [], device)


def _smaller(settings: EncoderRunSettings, smallest: int) -> Iterator[Changed]:
    """Yield changes that take less memory, those that change the result least first."""
    how = settings.optimisation
    parts = how.accumulate
    # A smallest part of 0: the batch cannot be parted.
    while smallest and how.batch_size // (parts * 2) >= smallest:
        parts *= 2
        yield _changed(settings, accumulate=parts)
    yield _changed(settings, accumulate=parts, recompute=True)
    patch = settings.data.patch
    while min(patch) > 32:
        z, y, x = (max(32, edge * 3 // 4 // 16 * 16) for edge in patch)
        patch = (z, y, x)
        data = settings.data.model_copy(update={"patch": patch})
        changes, changed = _changed(settings.model_copy(update={"data": data}), accumulate=parts, recompute=True)
        yield (*changes, f"data.patch=[{z},{y},{x}]"), changed


def _changed(settings: EncoderRunSettings, **update: int) -> Changed:
    optimisation = settings.optimisation.model_copy(update=update)
    changes = tuple(f"optimisation.{key}={str(value).lower()}" for key, value in update.items())
    return changes, settings.model_copy(update={"optimisation": optimisation})
