"""The glioma phantom: four MRI sequences of people with a brain tumour, its label map, their survival.

Measured at 2 mm on 12 + 12 phantoms (seeds 0 and 1) beside 13 patients: two people's T1 correlate with 0.28 and
0.23 on average, two patients' with 0.32; one threshold on FLAIR finds the lesion with Dice 0.70 and 0.61, in
patients with 0.65. How, and what a phantom is not: ``docs/concepts/phantoms.md``.
"""

from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage

from napari_mmssl.cohorts.phantoms import Phantom, PhantomCase, phantoms
from napari_mmssl.cohorts.phantoms.anatomy import MADE_FROM
from napari_mmssl.cohorts.phantoms.contrast import draw_lesions, render
from napari_mmssl.cohorts.phantoms.grid import Grid
from napari_mmssl.cohorts.phantoms.person import draw_build, grow_brain
from napari_mmssl.cohorts.phantoms.tumour import (
    ENHANCING,
    NECROTIC_CORE,
    OEDEMA,
    draw_plan,
    grow_tumour,
)
from napari_mmssl.randomness import counted_rng
from napari_mmssl.tasks.label_convention import BRATS_2018
from napari_mmssl.volumes.geometry import Geometry, Reorientation

#: Goes up with any change that alters a scan or a label map; chance is counted from it.
VERSION = 1
#: Goes up with any change that alters a clinical value. 2: survival follows the volume of the tumour closely.
CLINICAL_VERSION = 2
#: Box that holds the largest and most shifted head, in mm along S, A and R.
_BOX_MM = ((-78.0, 100.0), (-120.0, 92.0), (-88.0, 88.0))
#: Which axes (z, y, x) of the stored file run backwards.
_STORED = {"RAS": (False, False, False), "LPS": (False, True, True), "LAS": (False, False, True)}


def glioma_case(index: int, seed: int, spacing_mm: float) -> PhantomCase:
    """Make one person with a glioma.

    Parameters
    ----------
    index
        Which one, from 0; the same ``index`` and ``seed`` always give the same bits on one machine.
    seed
        Of the cohort.
    spacing_mm
        About the edge of a voxel; the case's own differs by up to 5 %.

    Returns
    -------
    PhantomCase
        Volumes ``t1``, ``t1ce``, ``t2``, ``flair`` and a label map coded as in BraTS 2018 to 2020.
    """
    # A generator per purpose: a change to one part of the phantom leaves the draws of the others as they are.
    draws = partial(counted_rng, seed, index, VERSION)
    person, file = draws(purpose="glioma: person"), draws(purpose="glioma: file")
    age_years = int(np.clip(round(person.normal(58, 14)), 21, 88))
    build = draw_build(person, age_years)
    plan = draw_plan(draws(purpose="glioma: plan"))
    healthy = grow_brain(draws(purpose="glioma: anatomy"), build, _draw_grid(file, spacing_mm))
    tumour, anatomy = grow_tumour(draws(purpose="glioma: tumour"), plan, healthy)
    lesions = draw_lesions(draws(purpose="glioma: lesions"), anatomy, age_years)
    volumes = render(draws(purpose="glioma: scanner"), anatomy, tumour, lesions)
    box = _draw_field_of_view(file, volumes["t1"] > 0, tumour.label, anatomy.grid)
    orientation = str(file.choice(list(_STORED), p=[0.35, 0.45, 0.2]))
    stored = Reorientation((0, 1, 2), _STORED[orientation])
    counts_ml = np.bincount(tumour.label.ravel(), minlength=ENHANCING + 1) * anatomy.grid.voxel_ml
    core_ml = float(counts_ml[NECROTIC_CORE] + counts_ml[ENHANCING])
    tumour_ml = core_ml + float(counts_ml[OEDEMA])
    return PhantomCase(
        id=f"phantom-glioma-{index + 1:03d}",
        geometry=stored.apply_to(_cropped(anatomy.grid, box)),
        volumes={name: stored.apply(_as_stored(file, volume[box])).copy() for name, volume in volumes.items()},
        label=stored.apply(tumour.label[box]).copy(),
        clinical={
            **draw_survival(draws(purpose="glioma: survival"), age_years, tumour_ml),
            "grade": "HGG" if plan.high_grade else "LGG",
        },
        facts={
            "grade": "high" if plan.high_grade else "low",
            "core_ml": round(core_ml, 2),
            "oedema_ml": round(float(counts_ml[OEDEMA]), 2),
            "enhancing_ml": round(float(counts_ml[ENHANCING]), 2),
            "push": round(plan.push, 3),
            "satellite": plan.satellite,
            "ventricles_ml": round(float(anatomy.ventricle.sum()) * anatomy.grid.voxel_ml, 1),
            "atrophy": round(build.atrophy, 3),
            "orientation": orientation,
        },
    )


def _draw_grid(rng: np.random.Generator, spacing_mm: float) -> Grid:
    edge = spacing_mm * rng.uniform(0.95, 1.05)
    spacing = (round(edge * rng.choice([1.0, 1.0, 1.1]), 4), round(edge, 4), round(edge, 4))
    z, y, x = (int(np.ceil((end - start) / step)) for (start, end), step in zip(_BOX_MM, spacing, strict=True))
    return Grid((z, y, x), spacing, (_BOX_MM[0][0], _BOX_MM[1][0], _BOX_MM[2][0]))


def _draw_field_of_view(
    rng: np.random.Generator, brain: np.ndarray, label: np.ndarray, grid: Grid
) -> tuple[slice, slice, slice]:
    """Crop to the head with uneven margins; some scans miss its lowest or highest slices, none misses tumour."""
    (found,) = ndimage.find_objects(brain.astype(np.uint8))
    (tumour,) = ndimage.find_objects((label > 0).astype(np.uint8))
    before, after = rng.integers(1, 6, size=(2, 3))
    low = [max(0, part.start - extra) for part, extra in zip(found, before, strict=True)]
    high = [min(n, part.stop + extra) for part, extra, n in zip(found, after, brain.shape, strict=True)]
    lowest_mm, highest_mm = rng.uniform(5, 28), rng.uniform(3, 14)
    if rng.random() < 0.35:
        low[0] = max(0, min(found[0].start + round(lowest_mm / grid.spacing_mm[0]), tumour[0].start - 2))
    if rng.random() < 0.15:
        high[0] = max(found[0].stop - round(highest_mm / grid.spacing_mm[0]), tumour[0].stop + 2)
    z, y, x = (slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True))
    return z, y, x


def _cropped(grid: Grid, box: tuple[slice, slice, slice]) -> Geometry:
    z, y, x = (part.stop - part.start for part in box)
    up, front, right = (
        start + step * part.start for start, step, part in zip(grid.origin_mm, grid.spacing_mm, box, strict=True)
    )
    return Grid((z, y, x), grid.spacing_mm, (up, front, right)).geometry()


def _as_stored(rng: np.random.Generator, volume: np.ndarray) -> np.ndarray:
    """Scale to the arbitrary units of a scanner; background stays exactly 0."""
    white = rng.uniform(250, 1200)
    stored = np.where(volume > 0, np.maximum(np.rint(volume * white), 1), 0)
    return np.clip(stored, 0, 32767).astype(np.int16)


def draw_survival(rng: np.random.Generator, age_years: int, tumour_ml: float) -> dict[str, Any]:
    """Draw how long a person lives after the operation.

    ``ln(days) = ln 420 - 0.022 (age - 58) - 0.5 ln(tumour / 54 ml) + 0.25 [gross total] + e``, with ``e``
    normal of standard deviation 0.3 and ``tumour`` the volume of all that is labelled. Who is still alive when
    observation ends, 200 to 1600 days after the operation, is censored there.
    """
    extent = str(rng.choice(["GTR", "STR", "NA"], p=[0.5, 0.15, 0.35]))
    log_days = np.log(420) - 0.022 * (age_years - 58) - 0.5 * np.log(tumour_ml / 54)
    days = float(np.exp(log_days + 0.25 * (extent == "GTR") + rng.normal(0, 0.3)))
    observed_until = float(rng.uniform(200, 1600))
    return {
        "age_years": age_years,
        "survival_days": max(5, round(min(days, observed_until))),
        "survival_observed": days <= observed_until,
        "resection": extent,
    }


def clinical_tables(cases: list[tuple[str, dict[str, Any]]]) -> dict[str, list[list[str]]]:
    """Return the tables of survival and of grades, with the names, columns and wording of BraTS 2020."""
    rows = [["Brats20ID", "Age", "Survival_days", "Extent_of_Resection"]]
    for case_id, clinical in cases:
        days = str(clinical["survival_days"])
        if not clinical["survival_observed"]:
            days = f"ALIVE ({days} days later)"
        rows.append([case_id, str(clinical["age_years"]), days, clinical["resection"]])
    grades = [["Grade", "BraTS_2020_subject_ID"], *([clinical["grade"], case_id] for case_id, clinical in cases)]
    return {"survival_info.csv": rows, "name_mapping.csv": grades}


phantoms.register("glioma", summary="brain tumours on T1, T1 after contrast, T2 and FLAIR, with survival and grade")(
    Phantom(
        version=VERSION,
        clinical_version=CLINICAL_VERSION,
        made_from=MADE_FROM,
        classes=BRATS_2018.classes,
        make_case=glioma_case,
        tables=clinical_tables,
        spacing_mm=2.0,
        spacings_mm=(1.0, 6.0),
    )
)
