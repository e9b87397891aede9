"""Label conventions: what the values of a label map mean, a user's own, and which one a cohort is written in.

Nothing here imports torch: the viewer shows the same names and colours.
"""

from napari_mmssl.tasks.convention_choice import choose, choose_for
from napari_mmssl.tasks.label_convention import (
    BRATS_2018,
    BRATS_2023,
    LESION,
    MSD_TASK01,
    PALETTE,
    PROSTATE_ZONES,
    READY,
    LabelConvention,
    colour,
    named,
    one_per_value,
    read_table,
)
from napari_mmssl.tasks.region_table import from_table

__all__ = [
    "BRATS_2018",
    "BRATS_2023",
    "LESION",
    "MSD_TASK01",
    "PALETTE",
    "PROSTATE_ZONES",
    "READY",
    "LabelConvention",
    "choose",
    "choose_for",
    "colour",
    "from_table",
    "named",
    "one_per_value",
    "read_table",
]
