"""Train generators between two modalities, and compare what they make with what is real."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmssl.cohorts.case import Case, ScanFile
from napari_mmssl.cohorts.prepare import prepare_case
from napari_mmssl.cohorts.reading import read_label
from napari_mmssl.cohorts.synthetic import refuse_synthetic
from napari_mmssl.config import as_table
from napari_mmssl.errors import ConfigError
from napari_mmssl.metrics.image_similarity import psnr, ssim_map
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.synthesis_settings import SynthesisSettings
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import read_header
from napari_mmssl.workflows.material import Material, gather, thick_slices
from napari_mmssl.workflows.running import (
    Interruption,
    Listener,
    ignore,
    provenance,
    set_threads,
    starting,
    telling_progress,
)

if TYPE_CHECKING:
    from napari_mmssl.training.translating import Groups


def train_generators(
    settings: SynthesisSettings,
    out: Path,
    *,
    resume: bool = False,
    listener: Listener = ignore,
    interruption: Interruption | None = None,
) -> RunFolder:
    """Train into the run folder ``out`` and return it; arguments and errors as in ``pretrain``.

    Raises
    ------
    ConfigError
        If nobody has the modalities that the method needs, or one of them is synthetic itself.
    """
    wanted = settings.data.model_copy(update={"modalities": (settings.source, settings.target), "synthetic": "all"})
    paired = settings.method == "paired"
    material = gather(settings.cohort, wanted, settings.seed, labelled=False, one_grid=paired)
    refuse_synthetic((*material.train, *material.validation))
    settings = material.settle(settings)
    with starting(out, "synthesis", as_table(settings), resume=resume) as run:
        from napari_mmssl.training.cycle_translation import CycleTranslation
        from napari_mmssl.training.device import choose_device
        from napari_mmssl.training.loop import Loop
        from napari_mmssl.training.paired_translation import PairedTranslation

        set_threads()
        device = choose_device(settings.device)
        stop = interruption or Interruption()
        chosen = [_by_group(cases, settings) for cases in (material.train, material.validation)]
        total = sum(len(cases) for groups in chosen for cases in groups)
        tell = telling_progress(run, listener, total, lambda: stop() or bool(run.pending()))
        train, validation = (_prepared(material, groups, tell) for groups in chosen)
        _check(train, settings)
        kind = PairedTranslation if paired else CycleTranslation
        thick = thick_slices(material.spacing_mm)
        trainee = kind(settings, train, validation, _references(train, settings), thick, device)
        run.write_provenance(provenance(material, parents=[]) | {"device": str(device)})
        for event in Loop(run, trainee, settings, device, stop).events(resume=resume):
            listener(event)
    return run


def _by_group(cases: Sequence[Case], settings: SynthesisSettings) -> tuple[list[Case], list[Case], list[Case]]:
    """Return the cases with the source, with the target, and with both on one grid, each with nothing else."""

    def only(names: tuple[str, ...], chosen: Sequence[Case]) -> list[Case]:
        return [Case(case.id, case.subject, {name: case.modalities[name] for name in names}) for case in chosen]

    source, target = settings.source, settings.target
    both = only((source, target), [case for case in cases if _same_grid(case, source, target)])
    if settings.method == "paired":
        return [], [], both
    # Each modality for itself: of unregistered scans, each is a patch of its own.
    first, second = (only((name,), [case for case in cases if name in case.modalities]) for name in (source, target))
    return first, second, both


def _prepared(material: Material, groups: tuple[list[Case], ...], tell: Any) -> "Groups":
    from napari_mmssl.training.translating import Groups

    return Groups(*(material.prepare(cases, with_label=False, progress=tell) for cases in groups))


def _same_grid(case: Case, one: str, other: str) -> bool:
    scans = case.modalities
    return one in scans and other in scans and scans[one].geometry.same_grid(scans[other].geometry)


def _check(train: "Groups", settings: SynthesisSettings) -> None:
    source, target = settings.source, settings.target
    if settings.method == "paired":
        if not train.both:
            raise ConfigError(
                f"no training subject has both {source} and {target}; take --method cycle, which asks nobody for both"
            )
        return
    for name, cases in ((source, train.source), (target, train.target)):
        if not cases:
            raise ConfigError(f"no training subject has {name}; choose another cohort, or a smaller data.test_share")


def _references(train: "Groups", settings: SynthesisSettings) -> dict[str, Any]:
    from napari_mmssl.synthesis.quality import draw_reference

    references = {}
    for name, cases in ((settings.source, train.source or train.both), (settings.target, train.target or train.both)):
        real = [(np.asarray(case.volumes[case.modalities.index(name)]), case.foreground) for case in cases]
        references[name] = draw_reference(real)
    return references


@dataclass(frozen=True, eq=False)
class Comparison:
    """A real and a synthetic volume side by side.

    Parameters
    ----------
    real, synthetic
        z-scores ``(z, y, x)``, 0 outside the body.
    error
        ``|synthetic - real|``, in standard deviations.
    similarity
        Structural similarity round each voxel.
    geometry
        Where all of them lie.
    regions
        Region (``body``, and each class of the label map) to ``ssim``, ``psnr_db``, ``mean_error`` and ``volume_ml``.
    """

    real: np.ndarray
    synthetic: np.ndarray
    error: np.ndarray
    similarity: np.ndarray
    geometry: Geometry
    regions: Mapping[str, Mapping[str, float]]


def compare_volumes(real: Path, synthetic: Path, label: Path | None = None) -> Comparison:
    """Compare what a generator made with the real scan of the same person.

    Parameters
    ----------
    real, synthetic
        Files of one grid.
    label
        A label map on the same grid, for numbers by region.

    Raises
    ------
    GeometryError
        If they lie on different grids.
    ConfigError
        If ``synthetic`` does not say that it is synthetic, or ``real`` does.
    """
    files = {"real": _scan(real), "synthetic": _scan(synthetic)}
    if files["real"].synthetic or not files["synthetic"].synthetic:
        raise ConfigError(f"'{real}' must be a real volume and '{synthetic}' one that is marked as synthetic")
    map_file = None if label is None else _scan(label)
    case = prepare_case(Case("comparison", "comparison", files, map_file), None)
    from napari_mmssl.synthesis.quality import DATA_RANGE

    first, second = case.volumes
    similarity = ssim_map(first, second, DATA_RANGE)
    error = np.abs(second - first)
    masks = {"body": np.asarray(case.foreground)}
    if map_file is not None and case.label is not None:
        names = {one.value: one.name for one in read_label(map_file).classes}
        values = [int(value) for value in np.unique(case.label) if value != 0]
        masks |= {names.get(value, f"label {value}"): case.label == value for value in values}
    regions = {
        name: {
            "ssim": float(similarity[mask].mean()),
            "psnr_db": psnr(second, first, DATA_RANGE, mask),
            "mean_error": float(error[mask].mean()),
            "volume_ml": float(np.count_nonzero(mask)) * case.geometry.voxel_ml,
        }
        for name, mask in masks.items()
        if mask.any()
    }
    return Comparison(first, second, error, similarity.astype(np.float32), case.geometry, regions)


def _scan(path: Path) -> ScanFile:
    header = read_header(path)
    return ScanFile(path, header.geometry, synthetic=header.synthetic, passed_gate=header.passed_gate)
