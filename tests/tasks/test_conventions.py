import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.errors import ConfigError
from napari_mmssl.tasks.conventions import (
    BRATS_2018,
    BRATS_2023,
    LESION,
    MSD_TASK01,
    READY,
    LabelConvention,
    colour,
    from_table,
    named,
    one_per_value,
    read_table,
)
from napari_mmssl.volumes.volume import LabelClass

region_tables = st.dictionaries(
    st.text("abcdefgh ", min_size=1, max_size=6),
    st.just(">0") | st.lists(st.integers(1, 12), min_size=1, max_size=6),
    min_size=1,
    max_size=5,
)


def in_region(value: int, listed: str | list[int]) -> bool:
    return value > 0 if listed == ">0" else value in listed


@pytest.mark.parametrize("convention", READY.values(), ids=READY)
def test_class_indices_survive_writing_and_reading(convention: LabelConvention):
    indices = np.arange(len(convention.classes) + 1).repeat(3).reshape(3, -1)
    written = convention.from_classes(indices)
    np.testing.assert_array_equal(convention.to_classes(written), indices)
    assert written.dtype == np.uint8


@pytest.mark.parametrize(
    ("convention", "values", "regions"),
    [
        (BRATS_2018, [0, 1, 2, 4], {"WT": [0, 1, 1, 1], "TC": [0, 1, 0, 1], "ET": [0, 0, 0, 1]}),
        (BRATS_2023, [0, 1, 2, 3], {"WT": [0, 1, 1, 1], "TC": [0, 1, 0, 1], "ET": [0, 0, 0, 1]}),
        (MSD_TASK01, [0, 1, 2, 3], {"WT": [0, 1, 1, 1], "TC": [0, 0, 1, 1], "ET": [0, 0, 0, 1]}),
        (LESION, [0, 1, 2, 9], {"lesion": [0, 1, 1, 1]}),
        (READY["prostate_zones"], [0, 1, 2], {"gland": [0, 1, 1]}),
    ],
)
def test_ready_regions_are_the_published_unions(convention, values, regions):
    masks = dict(convention.masks(convention.to_classes(np.array(values))))
    assert {name: mask.astype(int).tolist() for name, mask in masks.items()} == regions


def test_the_same_tissue_has_one_name_and_colour_in_every_coding():
    tissues = [{(c.name, c.colour) for c in convention.classes} for convention in (BRATS_2018, BRATS_2023, MSD_TASK01)]
    assert tissues[0] == tissues[1] == tissues[2]
    assert [c.name for c in MSD_TASK01.classes] == ["oedema", "necrotic core", "enhancing tumour"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_every_whole_number_type_is_read(dtype):
    labels = np.array([[0, 4], [2, 1]], dtype)
    np.testing.assert_array_equal(BRATS_2018.to_classes(labels), [[0, 3], [2, 1]])


def test_large_values_are_read_and_written():
    labels = np.array([[[0, 2035, 3_000_000_000]]])
    convention = one_per_value([0, 2035, 3_000_000_000])
    indices = convention.to_classes(labels)
    np.testing.assert_array_equal(indices, [[[0, 1, 2]]])
    np.testing.assert_array_equal(convention.from_classes(indices), labels)


def test_an_empty_array_stays_empty():
    assert BRATS_2018.to_classes(np.zeros((0, 3, 3), int)).shape == (0, 3, 3)
    assert BRATS_2018.from_classes(np.zeros((0, 3), np.uint8)).shape == (0, 3)


def test_a_value_of_another_coding_is_refused():
    with pytest.raises(ConfigError, match=r"holds 3, 7, and the coding 'brats2018' has only 1, 2, 4;.*--regions"):
        BRATS_2018.to_classes(np.array([0, 1, 3, 7]))


def test_negative_labels_are_refused():
    with pytest.raises(ConfigError, match="this one holds -1"):
        LESION.to_classes(np.array([-1, 0]))


def test_impossible_class_indices_are_a_defect():
    with pytest.raises(ValueError, match="run from 0 to 3"):
        BRATS_2018.from_classes(np.array([4]))


@pytest.mark.parametrize(
    ("sources", "regions"),
    [
        ({1: (1, 2), 2: (2,)}, {}),  # value 2 twice
        ({1: (3,), 2: (2,)}, {}),  # 1 is not read back as itself
        ({1: "any", 2: "any"}, {}),
        ({1: (1,)}, {}),  # class 2 has no source
        ({1: (1,), 2: (2,)}, {"all": (1, 3)}),
        ({1: (1,), 2: (2,)}, {"none": ()}),
    ],
)
def test_a_contradictory_convention_cannot_be_made(sources, regions):
    with pytest.raises(ValueError, match="odd"):
        LabelConvention("odd", (LabelClass(1, "a", "#000000"), LabelClass(2, "b", "#ffffff")), sources, regions)


@given(region_tables)
def test_a_table_gives_back_its_own_regions(table):
    convention = from_table(table)
    labels = np.arange(16)
    masks = dict(convention.masks(convention.to_classes(labels)))
    assert {r: m.tolist() for r, m in masks.items()} == {
        region: [in_region(value, listed) for value in labels.tolist()] for region, listed in table.items()
    }


@given(region_tables)
def test_classes_of_a_table_are_as_few_as_tell_the_regions_apart(table):
    convention = from_table(table)
    memberships = {
        frozenset(r for r, listed in table.items() if in_region(value, listed)) for value in range(1, 14)
    } - {frozenset()}
    assert len(convention.classes) == len(memberships)
    assert len({one.name for one in convention.classes}) == len(convention.classes)


@given(region_tables)
def test_a_table_survives_writing_and_reading(table):
    convention = from_table(table)
    indices = np.arange(len(convention.classes) + 1)
    np.testing.assert_array_equal(convention.to_classes(convention.from_classes(indices)), indices)
    assert read_table(json.loads(json.dumps(convention.as_table()))) == convention


@pytest.mark.parametrize("convention", READY.values(), ids=READY)
def test_ready_codings_survive_json(convention):
    assert read_table(json.loads(json.dumps(convention.as_table()))) == convention


def test_brats_regions_as_a_table_are_brats_classes():
    convention = from_table({"WT": [1, 2, 4], "TC": [1, 4], "ET": [4]}, name="mine")
    assert [(c.value, c.name) for c in convention.classes] == [(1, "label 1"), (2, "label 2"), (4, "ET")]
    assert convention.regions == BRATS_2018.regions


def test_values_no_region_tells_apart_are_one_class():
    convention = from_table({"tumour": [3, 1], "organ": [1, 3, 7, 8]})
    assert [(c.value, c.name) for c in convention.classes] == [(1, "tumour"), (7, "labels 7, 8")]
    np.testing.assert_array_equal(convention.to_classes(np.array([0, 1, 3, 7, 8, 5])), [0, 1, 1, 2, 2, 0])


def test_any_label_beside_a_listed_one_is_the_rest():
    convention = from_table({"lesion": ">0", "core": [1]})
    assert [(c.value, c.name) for c in convention.classes] == [(1, "core"), (2, "other labels")]
    np.testing.assert_array_equal(convention.to_classes(np.array([0, 1, 2, 5])), [0, 1, 2, 2])


@pytest.mark.parametrize("bad", [[], [0, 1], [-1], [1.5], [True], "lesion", "> 0 ", ["1"]])
def test_a_region_that_is_no_list_of_labels_is_refused(bad):
    with pytest.raises(ConfigError, match="region 'r' is"):
        from_table({"r": bad})


def test_an_empty_table_is_refused():
    with pytest.raises(ConfigError, match=r"\[task.regions\] is empty"):
        from_table({})


@pytest.mark.parametrize("damaged", [{}, {"name": "x"}, BRATS_2018.as_table() | {"classes": [{"value": "a"}]}])
def test_a_damaged_table_is_refused(damaged):
    with pytest.raises(ConfigError, match="not a label coding"):
        read_table(damaged)


def test_an_unknown_name_names_the_near_one():
    with pytest.raises(ConfigError, match="unknown label coding 'brats2019'; did you mean 'brats20"):
        named("brats2019")
    assert named("lesion") is LESION
    assert [c.name for c in named("values", {0, 3, 5}).classes] == ["label 3", "label 5"]


def test_too_many_or_no_values_make_no_coding():
    with pytest.raises(ConfigError, match="here are 0"):
        one_per_value([0])
    with pytest.raises(ConfigError, match="here are 256"):
        one_per_value(range(257))


# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
DEFICIENCIES = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(hex_colour: str, deficiency: str) -> np.ndarray:
    srgb = np.array([int(hex_colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(DEFICIENCIES[deficiency]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(to_xyz @ seen / [0.9505, 1.0, 1.089], 1e-3))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("convention", [*READY.values(), one_per_value(range(6))], ids=[*READY, "values"])
def test_colours_are_told_apart_by_everyone(convention, deficiency):
    seen = [lab(one.colour, deficiency) for one in convention.classes]
    apart = [np.linalg.norm(a - b) for n, a in enumerate(seen) for b in seen[n + 1 :]]
    assert min(apart, default=100) > 15


def test_many_classes_have_many_colours():
    assert len({colour(n) for n in range(28)}) == 28


def test_conventions_import_no_torch():
    code = "import sys, napari_mmssl.tasks.convention_choice; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
