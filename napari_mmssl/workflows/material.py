"""From a folder to prepared cases in groups: what every training starts with."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from napari_mmssl.cohorts.case import Case, Cohort
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import PreparedCase, Spacing, check_one_grid, prepare_cohort
from napari_mmssl.cohorts.splits import Split, split_subjects, take_fraction
from napari_mmssl.cohorts.synthetic import refuse_synthetic, with_usable
from napari_mmssl.errors import ConfigError, ReadError
from napari_mmssl.training.settings import DataSettings, EncoderRunSettings, RunSettings
from napari_mmssl.volumes.geometry import to_canonical

R = TypeVar("R", bound=RunSettings)


@dataclass(frozen=True)
class Material:
    """The cases of a training, in groups by subject.

    Parameters
    ----------
    cohort
        Where they come from.
    split
        Who is learned from, watched on, and held out.
    train, validation
        Cases of those groups, in the order of the cohort.
    modalities
        Channels, sorted by name.
    spacing_mm
        Common spacing along (S, A, R).
    """

    cohort: Cohort
    split: Split
    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    modalities: tuple[str, ...]
    spacing_mm: Spacing

    def prepare(
        self,
        cases: Sequence[Case],
        *,
        with_label: bool,
        progress: Callable[[int, int], None],
        unreadable: Callable[[Case, ReadError], None] | None = None,
    ) -> list[PreparedCase]:
        """Return ``cases`` prepared on the common spacing; those that ``unreadable`` takes are left out."""
        return prepare_cohort(cases, self.spacing_mm, with_label=with_label, progress=progress, unreadable=unreadable)

    def without(self, left_out: Collection[str]) -> "Material":
        """Return the material without the cases of these ids; the split stays."""
        train, validation = (
            tuple(case for case in cases if case.id not in left_out) for cases in (self.train, self.validation)
        )
        return replace(self, train=train, validation=validation)

    def settle(self, settings: R) -> R:
        """Return ``settings`` with everything set that was left to the cohort: modalities, spacing, thick slices."""
        data = settings.data.model_copy(update={"modalities": self.modalities, "spacing_mm": self.spacing_mm})
        changed: dict[str, object] = {"data": data, "cohort": settings.cohort.resolve()}
        if isinstance(settings, EncoderRunSettings) and settings.encoder.thick_slices is None:
            update = {"thick_slices": thick_slices(self.spacing_mm)}
            changed["encoder"] = settings.encoder.model_copy(update=update)
        return settings.model_copy(update=changed)


def fingerprint(cohort: Cohort) -> str:
    """Return a hash of ids, grids and file sizes, by which another run can tell whether the data are the same."""
    told = hashlib.sha256()
    for case in cohort.cases:
        for name, scan in sorted(case.modalities.items()):
            told.update(f"{case.id} {name} {scan.geometry.shape} {scan.path.stat().st_size}".encode())
            told.update(scan.geometry.affine.round(3).tobytes())
    return told.hexdigest()[:16]


def gather(
    folder: Path,
    data: DataSettings,
    seed: int,
    *,
    labelled: bool,
    fraction: float = 1.0,
    lacks: Callable[[Case], str | None] | None = None,
    one_grid: bool = True,
) -> Material:
    """Find the cohort in ``folder`` and part its subjects; only headers are read.

    Parameters
    ----------
    folder
        A folder of cases.
    data
        Modalities, spacing and shares.
    seed
        Decides the split: the same seed holds out the same people in pretraining and fine-tuning.
    labelled
        Whether label maps are read, which must then lie on the grid of the volumes.
    fraction
        Share of the training subjects to use.
    lacks
        For downstream tasks: what a case lacks to be learned from, or ``None``; such cases are left out. Synthetic
        volumes, which only pretraining may see, are then refused.
    one_grid
        Whether the modalities of a case must lie on one grid.

    Raises
    ------
    LayoutError
        If there is no cohort.
    ConfigError
        If no case is left, or a modality asked for is nowhere.
    GeometryError
        If the files of a case lie on different grids.
    """
    cohort = find_cohort(folder)
    modalities = _chosen_modalities(cohort, data)
    cases = [case for case in (case.only(modalities) for case in cohort.cases) if case.modalities]
    missing = ""
    if lacks is not None:
        found = [(case, lacks(case)) for case in cases]
        missing = next((f"{what} and " for _, what in found if what), "")
        cases = [case for case, what in found if what is None]
        refuse_synthetic(cases)
    else:
        cases = [case for case in (with_usable(case, data.synthetic) for case in cases) if case.modalities]
    if not cases:
        raise ConfigError(f"no case in '{folder}' has {missing}a modality to learn from")
    for case in cases if one_grid else ():
        check_one_grid(case, with_label=labelled)
    split = split_subjects({case.subject for case in cases}, seed, data.test_share, data.validation_share)
    learned = take_fraction(split.train, fraction, seed)
    return Material(
        cohort,
        split,
        tuple(case for case in cases if case.subject in learned),
        tuple(case for case in cases if case.subject in split.validation),
        modalities,
        data.spacing_mm or _median_spacing(cases),
    )


def thick_slices(spacing_mm: Spacing) -> int:
    """Return how many reductions should leave the slice axis alone: until voxels are about cubes, 3 at most."""
    slice_mm, *in_plane_mm = spacing_mm
    return int(np.clip(np.round(np.log2(slice_mm / np.mean(in_plane_mm))), 0, 3))


def _chosen_modalities(cohort: Cohort, data: DataSettings) -> tuple[str, ...]:
    if data.modalities is None:
        return cohort.modalities
    missing = sorted(set(data.modalities) - set(cohort.modalities))
    if missing:
        raise ConfigError(f"no case has {', '.join(missing)}; the cohort has {', '.join(cohort.modalities)}")
    return tuple(sorted(set(data.modalities)))


def _median_spacing(cases: Sequence[Case]) -> Spacing:
    """Return the median spacing on canonical axes, rounded to a hundredth of a millimetre."""
    spacings = []
    for case in cases:
        geometry = next(iter(case.modalities.values())).geometry
        spacings.append(to_canonical(geometry).apply_to(geometry).spacing_mm)
    z, y, x = np.round(np.median(spacings, axis=0), 2)
    return float(z), float(y), float(x)
