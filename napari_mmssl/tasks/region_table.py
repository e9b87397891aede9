"""A user's own ``[task.regions]`` table, turned into the fewest classes that tell its regions apart."""

from collections.abc import Collection, Mapping

from napari_mmssl.errors import ConfigError
from napari_mmssl.tasks.label_convention import LabelConvention, Source, colour, listed
from napari_mmssl.volumes.volume import LabelClass


def from_table(regions: Mapping[str, Collection[int] | str], name: str = "custom") -> LabelConvention:
    """Return the convention that a user's ``[task.regions]`` table describes.

    Parameters
    ----------
    regions
        Region name to the label values it holds, or to ``">0"`` for every label. Values that are in
        exactly the same regions become one class. A class that is a whole region has its name; other
        classes are called by their values.
    name
        What the convention is called in reports.

    Raises
    ------
    ConfigError
        If the table is empty, or a region is no list of values above 0.
    """
    wanted = {region: _checked_values(region, values) for region, values in regions.items()}
    if not wanted:
        raise ConfigError('the table [task.regions] is empty; write one line such as: lesion = ">0"')
    atoms = _atoms(wanted)
    if len(atoms) > 255:
        raise ConfigError(f"[task.regions] makes {len(atoms)} classes; 255 are the most")
    classes = tuple(
        LabelClass(value, _atom_name(source, membership, wanted), colour(n))
        for n, (value, (source, membership)) in enumerate(sorted(atoms.items()))
    )
    return LabelConvention(
        name,
        classes,
        {value: source for value, (source, _) in sorted(atoms.items())},
        {r: tuple(value for value, (_, inside) in sorted(atoms.items()) if r in inside) for r in wanted},
        unlisted="background",
    )


def _checked_values(region: str, values: Collection[int] | str) -> Source:
    if values == ">0":
        return "any"
    is_list = not isinstance(values, str) and len(values) > 0
    # type(), not isinstance: TOML's true is an int to Python.
    if not is_list or any(type(value) is not int or value < 1 for value in values):
        raise ConfigError(f"region '{region}' is {values!r}; write a list of label values above 0, or \">0\"")
    return tuple(sorted({int(value) for value in values}))


def _atoms(wanted: Mapping[str, Source]) -> dict[int, tuple[Source, frozenset[str]]]:
    """Return class value -> (label values, the regions they are in): values that no region tells apart."""
    named_values = sorted({value for source in wanted.values() if source != "any" for value in source})
    everywhere = frozenset(region for region, source in wanted.items() if source == "any")
    by_membership: dict[frozenset[str], list[int]] = {}
    for value in named_values:
        inside = everywhere | {region for region, source in wanted.items() if source != "any" and value in source}
        by_membership.setdefault(inside, []).append(value)
    atoms: dict[int, tuple[Source, frozenset[str]]] = {
        values[0]: (tuple(values), inside) for inside, values in by_membership.items()
    }
    if everywhere:
        atoms[max(named_values, default=0) + 1] = ("any", everywhere)
    return atoms


def _atom_name(source: Source, membership: frozenset[str], wanted: Mapping[str, Source]) -> str:
    same = sorted(region for region in membership if wanted[region] == source)
    alone = source != "any" or all(other == "any" for other in wanted.values())
    if same and alone:
        return same[0]
    if source == "any":
        return "other labels"
    return f"label{'s' if len(source) > 1 else ''} {listed(source)}"
