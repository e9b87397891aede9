"""Know a person again: in other spellings of the name, in other years' names, and by what the scans show."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_mmssl.cohorts.case import Cohort
from napari_mmssl.cohorts.image_hash import N_BITS, Bits, image_hash, unlikeness
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.cohorts.names import other_names, plain_name
from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.cohorts.thumbnails import Thumbnail, block_means

#: Two scans of one modality in which a smaller share of the bits differs are one scan; how well that parts people:
#: docs/how-to/check-a-cohort.md.
SAME_SCAN = 0.10
#: So many cases are compared with so many at once, whatever the size of the cohorts.
_BLOCK = 512
#: What anybody may call the people of a cohort.
_ANYBODYS_NAME = re.compile(
    r"(?:case|patient|pat|subject|subj|sub|person|p|s|id|scan|img|image|training|phantom\w*)?\d{0,4}"
)


@dataclass(frozen=True, eq=False)
class Traits:
    """By what the person of a case can be known again.

    Parameters
    ----------
    cohort
        Folder that the case lies in.
    case_id, subject
        As in the case.
    names
        Spellings of the person as :func:`plain_name` leaves them, those of other years included.
    hashes
        By modality, of scans that show enough.
    """

    cohort: str
    case_id: str
    subject: str
    names: frozenset[str]
    hashes: Mapping[str, Bits] = field(default_factory=dict)


@dataclass(frozen=True)
class Match:
    """Two cases of one person, and why they are taken for that."""

    one: Traits
    other: Traits
    reason: str


def traits(cohort: Cohort, hashes_by_case: Mapping[str, Mapping[str, Bits]]) -> list[Traits]:
    """Return the traits of those cases of ``cohort`` that are in ``hashes_by_case`` (by case id, by modality)."""
    known_as = other_names([cohort.root, cohort.root.parent])
    return [
        Traits(
            str(cohort.root.resolve()),
            case.id,
            case.subject,
            frozenset().union(*({name, *known_as.get(name, ())} for name in map(plain_name, (case.subject, case.id)))),
            dict(hashes_by_case[case.id]),
        )
        for case in cohort.cases
        if case.id in hashes_by_case
    ]


def hashes(thumbnails: Mapping[str, Thumbnail]) -> dict[str, Bits]:
    """Return the image hashes of a case's scans, by modality; scans that show too little have none."""
    found = {name: image_hash(small.array, small.body) for name, small in thumbnails.items()}
    return {name: bits for name, bits in found.items() if bits is not None}


def prepared_hashes(case: PreparedCase) -> dict[str, Bits]:
    """Return the image hashes of a prepared case, nearly those of its files: nothing need be read again."""
    found = {}
    for name, volume in zip(case.modalities, case.volumes, strict=True):
        small, _ = block_means(volume, case.geometry)
        # Interpolation spreads a scan a little beyond the body, which is bounded as that of a thumbnail.
        body, _ = block_means(((volume != 0) & case.foreground).astype(np.float32), case.geometry)
        bits = image_hash(small, body > 0)
        if bits is not None:
            found[name] = bits
    return found


def same_people(ours: Sequence[Traits], theirs: Sequence[Traits]) -> list[Match]:
    """Return the pairs of one of ``ours`` and one of ``theirs`` that are one person; a case is not held against itself.

    Scans are compared modality by modality, and the shares of bits that differ are averaged: registered to one
    template, single sequences of two people can look more alike than all of them together. Names such as ``case 12``,
    which any cohort may give, count between two cohorts only if no scan speaks against it.
    """
    by_name: dict[str, list[Traits]] = {}
    for one in theirs:
        for name in one.names:
            by_name.setdefault(name, []).append(one)
    matches: dict[tuple[int, int], Match] = {}
    for one in ours:
        for name in sorted(one.names):
            for other in by_name.get(name, ()):
                if other is not one and _name_counts(name, one, other):
                    matches.setdefault((id(one), id(other)), Match(one, other, "they are named alike"))
    for one, other, reason in _alike(ours, theirs):
        matches.setdefault((id(one), id(other)), Match(one, other, reason))
    return list(matches.values())


def _name_counts(name: str, one: Traits, other: Traits) -> bool:
    if one.cohort == other.cohort or not _ANYBODYS_NAME.fullmatch(name):
        return True
    shared = set(one.hashes) & set(other.hashes)
    return not shared or bool(np.mean([unlikeness(one.hashes[m], other.hashes[m]) for m in shared]) < SAME_SCAN)


def _alike(ours: Sequence[Traits], theirs: Sequence[Traits]) -> Iterator[tuple[Traits, Traits, str]]:
    blocks = [theirs[start : start + _BLOCK] for start in range(0, len(theirs), _BLOCK)]
    for start in range(0, len(ours), _BLOCK):
        rows = ours[start : start + _BLOCK]
        for columns in blocks:
            share = _differing(rows, columns)
            for place in np.flatnonzero(share < SAME_SCAN):
                row, column = divmod(int(place), len(columns))
                one, other = rows[row], columns[column]
                if one is not other:
                    shared = ", ".join(in_order(set(one.hashes) & set(other.hashes)))
                    yield one, other, f"they show the same in {shared} ({share[row, column]:.1%} differs)"


def _differing(rows: Sequence[Traits], columns: Sequence[Traits]) -> npt.NDArray[np.float64]:
    """Return the share of bits that differ between each two cases, averaged over modalities; 1 where none is shared."""
    differing, compared = np.zeros((2, len(rows), len(columns)))
    for name in {name for one in rows for name in one.hashes} & {name for one in columns for name in one.hashes}:
        signs, has = _signs(rows, name)
        other_signs, other_has = _signs(columns, name)
        both = np.outer(has, other_has)
        # Of +1 and -1: the product counts equal bits minus differing ones.
        differing += np.where(both, (1 - signs @ other_signs.T / N_BITS) / 2, 0)
        compared += both
    return np.divide(differing, compared, out=np.ones_like(differing), where=compared > 0)


def _signs(cases: Sequence[Traits], name: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    has = np.array([name in one.hashes for one in cases])
    signs = np.zeros((len(cases), N_BITS), dtype=np.float32)
    for n, one in enumerate(cases):
        if has[n]:
            signs[n] = np.where(np.unpackbits(one.hashes[name]), 1, -1)
    return signs, has
