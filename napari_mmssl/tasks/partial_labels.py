"""Label maps that know less than a network is asked: whole lesions drawn in one piece, voxels nobody judged."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_mmssl.tasks.label_convention import LabelConvention

if TYPE_CHECKING:
    from napari_mmssl.cohorts.prepare import PreparedCase

#: Class index of a voxel that belongs to some class above 0, nobody says which.
SOME_CLASS = 254
#: Class index of a voxel of which nothing is known.
UNKNOWN = 255
#: What marks ``SOME_CLASS`` in a label map on its way to the network; no coding has such a value.
_SOME_VALUE = 30_000
#: All values of a label map that is most likely a lesion drawn in one piece.
_WHOLE = ({1}, {255})


@dataclass(frozen=True)
class PartialConvention(LabelConvention):
    """A coding in which some voxels stay partly or wholly unknown.

    Parameters
    ----------
    unknown
        Label values that say nothing.
    """

    unknown: tuple[int, ...] = ()

    def to_classes(self, labels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint8]:
        """Return class indices, ``SOME_CLASS`` or ``UNKNOWN`` for each voxel."""
        some, unknown = labels == _SOME_VALUE, np.isin(labels, self.unknown)
        classes = super().to_classes(np.where(some | unknown, 0, labels))
        classes[some] = SOME_CLASS
        classes[unknown] = UNKNOWN
        return classes


def with_unknown(convention: LabelConvention, unknown: Collection[int]) -> LabelConvention:
    """Return ``convention`` with label values that say nothing, and room for lesions drawn whole."""
    fields = {name: getattr(convention, name) for name in ("name", "classes", "sources", "regions", "unlisted")}
    return PartialConvention(**fields, unknown=tuple(sorted(unknown)))


def doubt_of_whole(values: Collection[int], convention: LabelConvention) -> str:
    """Return a remark on a reference that may be a whole lesion, which says nothing of single classes; or ``""``.

    Parameters
    ----------
    values
        All label values that the reference holds.
    convention
        What scores are told of. With one class there is nothing to confuse.
    """
    if len(convention.classes) < 2 or {int(value) for value in values if value != 0} not in _WHOLE:
        return ""
    return (
        "holds one value alone, as a lesion drawn in one piece does; if it is one, only scores of all classes together "
        "mean something"
    )


def drawn_whole(values_by_case: Mapping[str, Collection[int]]) -> set[str]:
    """Return the cases that hold one value alone, 1 or 255, in a cohort where others hold more: whole lesions."""
    values = {case: {int(value) for value in met if value != 0} for case, met in values_by_case.items()}
    if not any(len(met) > 1 for met in values.values()):
        return set()
    return {case for case, met in values.items() if met in _WHOLE}


def mark_whole(cases: Sequence["PreparedCase"], whole: Collection[str]) -> list["PreparedCase"]:
    """Return ``cases``, those named in ``whole`` with a label map (in memory) that says *some class* where it is."""
    return [
        replace(case, label=np.where(case.label > 0, np.int16(_SOME_VALUE), np.int16(0)))
        if case.id in whole and case.label is not None
        else case
        for case in cases
    ]
