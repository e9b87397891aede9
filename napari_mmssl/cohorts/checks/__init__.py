"""What is odd about the cases of a cohort, one file for each kind of check.

:func:`check_cohort` goes by headers alone. The others look at voxels, most of them at thumbnails.
"""

from napari_mmssl.cohorts.checks.headers import (
    check_cohort,
    grid_mismatches,
    missing_modalities,
    sheared_affines,
)
from napari_mmssl.cohorts.checks.labels import check_label
from napari_mmssl.cohorts.checks.voxels import check_voxels

__all__ = [
    "check_cohort",
    "check_label",
    "check_voxels",
    "grid_mismatches",
    "missing_modalities",
    "sheared_affines",
]
