"""One coding of label maps: what its values mean, and the ready codings.

The same tumour is written 1, 2, 4 by one cohort, 1, 2, 3 with another meaning by the next and 0, 1
by a third. A :class:`LabelConvention` turns each into classes a network counts from 0, and back.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_mmssl.errors import ConfigError
from napari_mmssl.registry import unknown_name
from napari_mmssl.volumes.label_classes import PALETTE as PALETTE
from napari_mmssl.volumes.label_classes import colour as colour
from napari_mmssl.volumes.volume import LabelClass

#: Label values one class is made of; ``"any"``: every value above 0 that no other class claims.
Source: TypeAlias = tuple[int, ...] | Literal["any"]

_LARGEST_TABLE = 1 << 16


@dataclass(frozen=True)
class LabelConvention:
    """The classes of a label map, the values they are read from, and their unions.

    Parameters
    ----------
    name
        What ``--regions`` calls it.
    classes
        Disjoint classes, in the order in which a network counts them: index 1 is ``classes[0]``,
        index 0 background. ``value`` is what is written for the class.
    sources
        By class value, the label values that are read as this class; its own is one of them.
    regions
        Name to class values: unions of classes that are reported and learned beside them.
    unlisted
        What :meth:`to_classes` does with a value that no class claims: ``refuse`` for the ready
        codings, where it means that the coding is another one; ``background`` for a user's table,
        which may name one organ of twenty.
    """

    name: str
    classes: tuple[LabelClass, ...]
    sources: dict[int, Source]
    regions: dict[str, tuple[int, ...]]
    unlisted: Literal["refuse", "background"] = "refuse"

    def __post_init__(self) -> None:
        values = [one.value for one in self.classes]
        claimed = [value for source in self.sources.values() if source != "any" for value in source]
        if len(set(values)) != len(values) or set(values) != set(self.sources) or min(values, default=0) < 1:
            raise ValueError(f"classes {values} and sources {list(self.sources)} of '{self.name}' do not fit")
        if len(set(claimed)) != len(claimed) or list(self.sources.values()).count("any") > 1:
            raise ValueError(f"a label value belongs to two classes of '{self.name}'")
        for value, source in self.sources.items():
            if value in claimed if source == "any" else value not in source:
                raise ValueError(f"class value {value} of '{self.name}' would be read back as another class")
        if not all(members and set(members) <= set(values) for members in self.regions.values()):
            raise ValueError(f"a region of '{self.name}' holds a value that is no class")

    @property
    def claimed(self) -> tuple[int, ...]:
        """Label values that are named by a class, sorted."""
        return tuple(sorted(v for source in self.sources.values() if source != "any" for v in source))

    def to_classes(self, labels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint8]:
        """Turn label values into class indices 0 (background) to ``len(classes)``; any shape, empty too.

        Raises
        ------
        ConfigError
            If there is a negative value, or one that no class claims (unless ``unlisted`` says background).

        See Also
        --------
        from_classes : the inverse, for values that are class values.
        """
        if labels.size == 0:
            return np.zeros(labels.shape, np.uint8)
        lowest, highest = int(labels.min()), int(labels.max())
        if lowest < 0:
            raise ConfigError(f"a label map holds values from 0 up, this one holds {lowest}")
        if highest < _LARGEST_TABLE:
            # One look-up per voxel, and the values met without sorting 9 million of them.
            met = np.flatnonzero(np.bincount(labels.ravel().astype(np.intp, copy=False)))
            table = np.zeros(highest + 1, np.uint8)
            table[met] = self._indices(met)
            return np.asarray(table[labels])
        met, places = np.unique(labels, return_inverse=True)
        return self._indices(met)[places].reshape(labels.shape)

    def from_classes(self, indices: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.integer[Any]]:
        """Turn class indices into label values, in the smallest unsigned type that holds them.

        Raises
        ------
        ValueError
            If an index is not in 0 to ``len(classes)``.
        """
        if indices.size and (indices.min() < 0 or indices.max() > len(self.classes)):
            raise ValueError(f"class indices of '{self.name}' run from 0 to {len(self.classes)}")
        values = [0, *(one.value for one in self.classes)]
        return np.asarray(np.array(values, np.min_scalar_type(max(values)))[indices])

    def masks(self, indices: npt.NDArray[np.integer[Any]]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
        """Yield the name and mask of each region in class ``indices``, in the order of :attr:`regions`."""
        for region in self.regions:
            yield region, np.isin(indices, self.indices_of(region))

    def indices_of(self, region: str) -> tuple[int, ...]:
        """Return the class indices that make up ``region``, ascending."""
        return tuple(i for i, one in enumerate(self.classes, start=1) if one.value in self.regions[region])

    def called(self, names: Mapping[int, str]) -> "LabelConvention":
        """Return this convention with ``names`` for the classes that go by their value alone.

        A name that several values have gets the value behind it: scores are told by name.
        """
        met = Counter(names.get(one.value, one.name) for one in self.classes)

        def name(one: LabelClass) -> str:
            if one.name != _unnamed(one.value) or one.value not in names:
                return one.name
            said = names[one.value]
            return said if met[said] == 1 else f"{said} ({one.value})"

        return replace(self, classes=tuple(LabelClass(one.value, name(one), one.colour) for one in self.classes))

    def measured(self) -> list[tuple[int, ...]]:
        """Return the class indices of all that has a volume of its own: each class, and each union of classes."""
        alone = [(index,) for index in range(1, len(self.classes) + 1)]
        return list(dict.fromkeys([*alone, *map(self.indices_of, self.regions)]))

    def as_table(self) -> dict[str, Any]:
        """Return this convention as plain tables for JSON or TOML; the inverse is :func:`read_table`."""
        return {
            "name": self.name,
            "unlisted": self.unlisted,
            "classes": [
                {"value": one.value, "name": one.name, "colour": one.colour, "sources": _plain(self.sources[one.value])}
                for one in self.classes
            ],
            "regions": {region: list(values) for region, values in self.regions.items()},
        }

    def _indices(self, values: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint8]:
        """Return the class index of each of a few distinct ``values``."""
        index_of: dict[int, int] = {0: 0}
        rest = None
        for index, one in enumerate(self.classes, start=1):
            source = self.sources[one.value]
            if source == "any":
                rest = index
            else:
                index_of.update(dict.fromkeys(source, index))
        unknown = [int(value) for value in values if int(value) not in index_of]
        if unknown and rest is None and self.unlisted == "refuse":
            raise ConfigError(
                f"the label map holds {listed(unknown)}, and the coding '{self.name}' has only {listed(self.claimed)}; "
                "name the right coding with --regions, or pass --regions lesion for 'label above 0'"
            )
        return np.array([index_of.get(int(value), rest or 0) for value in values], np.uint8)


def _plain(source: Source) -> list[int] | str:
    return source if isinstance(source, str) else list(source)


def listed(values: Collection[int]) -> str:
    """Return ``values`` in order, for a sentence."""
    return ", ".join(str(value) for value in sorted(values))


def _ready(
    name: str, classes: Mapping[int, tuple[str, str]], regions: Mapping[str, tuple[int, ...]]
) -> LabelConvention:
    return LabelConvention(
        name,
        tuple(LabelClass(value, *name_and_colour) for value, name_and_colour in classes.items()),
        {value: (value,) for value in classes},
        dict(regions),
    )


# A part of a tumour has the same colour in every coding.
_NCR = ("necrotic core", PALETTE[0])
_ED = ("oedema", PALETTE[1])
_ET = ("enhancing tumour", PALETTE[2])

BRATS_2018 = _ready("brats2018", {1: _NCR, 2: _ED, 4: _ET}, {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)})
BRATS_2023 = _ready("brats2023", {1: _NCR, 2: _ED, 3: _ET}, {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)})
#: With operated people among them: 4 is the cavity that was left, part of neither tumour nor core.
BRATS_2024 = _ready(
    "brats2024",
    {1: _NCR, 2: _ED, 3: _ET, 4: ("resection cavity", PALETTE[3])},
    {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,), "RC": (4,)},
)
#: Tumours of children, in another order than adults' of the same year.
BRATS_PED_2024 = _ready(
    "brats_ped2024",
    {1: _ET, 2: ("non-enhancing tumour", PALETTE[5]), 3: ("cystic component", PALETTE[4]), 4: _ED},
    {"WT": (1, 2, 3, 4), "TC": (1, 2, 3), "ET": (1,)},
)
MSD_TASK01 = _ready("msd_task01", {1: _ED, 2: _NCR, 3: _ET}, {"WT": (1, 2, 3), "TC": (2, 3), "ET": (3,)})
PROSTATE_ZONES = _ready(
    "prostate_zones", {1: ("peripheral zone", PALETTE[1]), 2: ("transition zone", PALETTE[0])}, {"gland": (1, 2)}
)
LESION = LabelConvention("lesion", (LabelClass(1, "lesion", PALETTE[0]),), {1: "any"}, {"lesion": (1,)})

#: The ready codings by the name ``--regions`` knows them by.
READY = {
    ready.name: ready
    for ready in (BRATS_2018, BRATS_2023, BRATS_2024, BRATS_PED_2024, MSD_TASK01, PROSTATE_ZONES, LESION)
}


def named(name: str, values: Collection[int] = (), names: Mapping[int, str] | None = None) -> LabelConvention:
    """Return the ready coding ``name``; ``"values"`` makes a class of each value, called by ``names``, if it has one.

    Raises
    ------
    ConfigError
        If there is no such coding; the message names the near ones.
    """
    if name == "values":
        return one_per_value(values, names)
    if name not in READY:
        raise ConfigError(unknown_name("label coding", name, [*READY, "values"]))
    return READY[name]


def one_per_value(values: Collection[int], names: Mapping[int, str] | None = None) -> LabelConvention:
    """Return the convention ``values``: one class for each value above 0, and their union.

    A class is called as ``names`` has it, or else ``label v``.

    Raises
    ------
    ConfigError
        If there is no value above 0, or more than 255.
    """
    found = sorted({int(value) for value in values if value > 0})
    if not 0 < len(found) < 256:
        raise ConfigError(f"a label coding has 1 to 255 values above 0, here are {len(found)}")
    classes = {value: (_unnamed(value), colour(n)) for n, value in enumerate(found)}
    return _ready("values", classes, {"any label": tuple(found)}).called(names or {})


def _unnamed(value: int) -> str:
    return f"label {value}"


def read_table(table: Mapping[str, Any]) -> LabelConvention:
    """Return the convention written by :meth:`LabelConvention.as_table`.

    Raises
    ------
    ConfigError
        If the table is not one.
    """
    try:
        classes = tuple(LabelClass(int(one["value"]), one["name"], one["colour"]) for one in table["classes"])
        sources: dict[int, Source] = {
            int(one["value"]): "any" if one["sources"] == "any" else tuple(one["sources"]) for one in table["classes"]
        }
        regions = {region: tuple(values) for region, values in table["regions"].items()}
        return LabelConvention(table["name"], classes, sources, regions, table["unlisted"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"this is not a label coding: {error!r}") from error
