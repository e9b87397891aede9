"""One series to stacks: by orientation, grid, b-value and echo, and by time and the like where positions repeat."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from napari_mmssl.volumes.dicom_files import Slice
from napari_mmssl.volumes.dicom_stacks import SeriesFinding, Stack, build_stack, by_orientation, repeats

#: At most this many slices lie across a stack as its localizer.
_FEW = 3
_MOST_STACKS_NAMED = 6

Key = Callable[[Slice], Hashable]


def split(slices: Sequence[Slice]) -> tuple[list[Stack], list[SeriesFinding]]:
    """Return the stacks of a series and what is odd about there being several.

    Slices that call themselves localizers are left out. Nothing else is: a series of two orientations is two stacks,
    and which of them is meant is for a person to say.

    Parameters
    ----------
    slices
        Slices with a place, of one series; none gives no stack.
    """
    pilots = [one for one in slices if any("LOCALIZER" in word.upper() for word in one.image_type)]
    rest = [one for one in slices if one not in pilots]
    findings = _localizers(len(pilots), len(slices))
    if not rest:
        return [], findings
    orientations = by_orientation(rest)
    findings += _orientations(orientations)
    groups = [(group, "") for group in orientations]
    if len(groups) > 1:
        groups = [(group, f"orientation {n}") for n, group in enumerate(orientations, start=1)]
    # A number for each patient id; the id itself is not even here.
    people = list(dict.fromkeys(one.person for one in rest))
    groups = _part(groups, lambda one: one.person, lambda one: f"patient {people.index(one.person) + 1}")
    groups = _part(groups, lambda one: (one.shape, one.spacing), _grid_words)
    groups = _part(groups, lambda one: one.b_value, lambda one: "no b-value" if one.b_value is None else _b_words(one))
    groups = _part(groups, _echo, lambda one: "no echo time" if one.echo_ms is None else f"echo {one.echo_ms:.4g} ms")
    groups = [parted for group, words in groups for parted in _part_repeated(group, words)]
    stacks = [build_stack(group, words) for group, words in groups]
    if len(stacks) > 1:
        findings.append(_several(stacks))
    return stacks, findings


def _part(
    groups: list[tuple[list[Slice], str]], key: Key, words: Callable[[Slice], str]
) -> list[tuple[list[Slice], str]]:
    parted = []
    for group, told in groups:
        by_key: dict[Hashable, list[Slice]] = {}
        for one in group:
            by_key.setdefault(key(one), []).append(one)
        for members in by_key.values():
            more = words(members[0]) if len(by_key) > 1 else ""
            parted.append((members, ", ".join(filter(None, (told, more)))))
    return parted


def _part_repeated(group: list[Slice], told: str) -> list[tuple[list[Slice], str]]:
    """Part slices that lie several times in each place, by the first tag that makes equal, full stacks of them."""
    if not repeats(group):
        return [(group, told)]
    names = sorted({name for one in group for name, _ in one.others}, key=_USUAL_ORDER.index)
    keys: list[tuple[Key, Callable[[Slice], str]]] = [
        (lambda one: one.image_type, lambda one: "image type " + "/".join(one.image_type[2:]).lower())
    ]
    keys += [(_other(name), _other_words(name)) for name in names]
    for key, words in keys:
        parted = _part([(group, told)], key, words)
        if len(parted) > 1 and _equal_and_full([members for members, _ in parted]):
            return parted
    return [(group, told)]


_USUAL_ORDER = ["time point", "trigger time", "inversion time", "acquisition", "gradient direction"]


def _equal_and_full(groups: list[list[Slice]]) -> bool:
    if len({len(group) for group in groups}) > 1 or len(groups[0]) < 2 or any(repeats(group) for group in groups):
        return False
    places = [np.sort(np.array([one.position for one in group]), axis=0) for group in groups]
    return all(np.allclose(place, places[0], atol=1e-2) for place in places)


def _other(name: str) -> Key:
    return lambda one: dict(one.others).get(name)


def _other_words(name: str) -> Callable[[Slice], str]:
    def words(one: Slice) -> str:
        value = dict(one.others).get(name, 0)
        numbers = (value,) if isinstance(value, int | float) else value
        return f"{name} {'/'.join(f'{number:.6g}' for number in numbers)}"

    return words


def _echo(one: Slice) -> Hashable:
    return None if one.echo_ms is None else round(one.echo_ms, 2)


def _b_words(one: Slice) -> str:
    return f"b-value {one.b_value:.6g}"


def _grid_words(one: Slice) -> str:
    rows, columns = one.shape
    return f"{rows} x {columns} pixels of {one.spacing[0]:.4g} x {one.spacing[1]:.4g} mm"


def _localizers(n: int, n_all: int) -> list[SeriesFinding]:
    if n == 0:
        return []
    if n == n_all:
        return [SeriesFinding("localizer", f"its {n} image(s) are localizers, drawn for planning and no volume")]
    return [SeriesFinding("localizer", f"{n} of {n_all} slices call themselves localizers and are left out")]


def _orientations(groups: list[list[Slice]]) -> list[SeriesFinding]:
    """Return a finding if one or two slices lie across a stack, or three directions are all there is."""
    if len(groups) < 2:
        return []
    normals = [np.cross(group[0].row, group[0].column) for group in groups]
    across = float(np.rad2deg(np.arccos(np.clip(np.abs(np.array(normals[1:]) @ normals[0]), 0, 1))).max())
    small = sum(len(group) for group in groups[1:])
    if across > 20 and small <= _FEW < len(groups[0]):
        text = f"{small} of {small + len(groups[0])} slices lie across the others ({across:.3g} degrees): a localizer?"
        return [SeriesFinding("localizer", text)]
    if across > 20 and len(groups) >= 3 and small + len(groups[0]) <= 12 * len(groups):
        return [SeriesFinding("localizer", f"it holds a few slices in each of {len(groups)} directions, as localizers")]
    return []


def _several(stacks: list[Stack]) -> SeriesFinding:
    named = [f"{stack.told_apart_by} ({len(stack.slices)} slices)" for stack in stacks[:_MOST_STACKS_NAMED]]
    more = f" and {len(stacks) - _MOST_STACKS_NAMED} more" if len(stacks) > _MOST_STACKS_NAMED else ""
    text = f"it holds {len(stacks)} stacks of slices in one series: {'; '.join(named)}{more}"
    return SeriesFinding("mixed_series", text)
