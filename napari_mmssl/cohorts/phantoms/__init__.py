"""Sample cohorts: phantoms made at the user's machine, one module per organ."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_mmssl.registry import Registry
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.volume import LabelClass


@dataclass(frozen=True, eq=False)
class PhantomCase:
    """One made-up person.

    Parameters
    ----------
    id
        Such as ``phantom-glioma-001``.
    geometry
        The grid all arrays share.
    volumes
        Modality to intensities ``(z, y, x)``, int16.
    label
        Classes ``(z, y, x)``, uint8.
    clinical
        What the organ's tables are written from, such as ``age_years``.
    facts
        What was drawn to make this person, as plain values.
    """

    id: str
    geometry: Geometry
    volumes: dict[str, np.ndarray]
    label: np.ndarray
    clinical: dict[str, Any]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Phantom:
    """A generator of made-up people.

    Parameters
    ----------
    version
        Goes up with any change that alters a scan or a label map.
    clinical_version
        Goes up with any change that alters a clinical value.
    made_from
        Where its anatomy comes from.
    classes
        What the values of its label maps mean.
    make_case
        From (index from 0, seed, spacing in mm) to a case. Case ``k`` is the same however many are made.
    tables
        From the (id, clinical values) of all cases to the clinical tables: file name to rows, header first.
    spacing_mm
        The edge of a voxel if nothing else is asked for.
    spacings_mm
        The finest and the coarsest that may be asked for.
    """

    version: int
    clinical_version: int
    made_from: str
    classes: tuple[LabelClass, ...]
    make_case: Callable[[int, int, float], PhantomCase]
    tables: Callable[[list[tuple[str, dict[str, Any]]]], dict[str, list[list[str]]]]
    spacing_mm: float
    spacings_mm: tuple[float, float]


phantoms: Registry[Phantom] = Registry("sample cohort", __name__)
