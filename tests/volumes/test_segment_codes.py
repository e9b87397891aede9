"""Codes and colours of segments against the standard's own tables and another library."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from pydicom.sr import _concepts_dict

from napari_mmssl.volumes.cielab import from_cielab, to_cielab
from napari_mmssl.volumes.segment_codes import _ALTERED, _ANATOMY, SIDES, segment_code


@pytest.mark.parametrize(("value", "meaning"), [one[:2] for one in (*_ALTERED, *_ANATOMY)])
def test_each_code_is_one_of_the_standard_and_means_what_we_say(value, meaning):
    table = _concepts_dict.concepts["NCIt" if value.startswith("C") else "SCT"]
    told = " ".join(f"{keyword} {code[value][0]}" for keyword, code in table.items() if value in code).lower()
    # Words differ (Kidney, renal; Cerebellum, cerebellar structure); their stems do not.
    stems = {"kidney": "renal", "vertebra": "spine", "esophagus": "esophag", "rectum": "rect", "heart": "cardiac"}
    for word in meaning.lower().replace("-", " ").split():
        stem = stems.get(word, word[:5])
        assert stem in told, (value, meaning, told)


@pytest.mark.parametrize("side", SIDES)
def test_sides_are_the_standard_s(side):
    codes = {value for code in _concepts_dict.concepts["SCT"][side.capitalize()].items() for value in code[:1]}
    assert SIDES[side].value in codes


@pytest.mark.parametrize(
    ("name", "value", "side"),
    [
        ("enhancing tumour", "C113842", None),
        ("Oedema", "79654002", None),
        ("kidney_L", "64033007", "Left"),
        ("right lung", "39607008", "Right"),
        ("prostate", "41216001", None),
    ],
)
def test_names_are_found_as_people_write_them(name, value, side):
    found = segment_code(name)
    assert found.kind.value == value
    assert (found.side and found.side.meaning) == side


@given(st.text(max_size=80))
def test_every_name_gets_a_code_that_dicom_can_hold(name):
    kind = segment_code(name).kind
    assert 0 < len(kind.value) <= 16
    assert 0 < len(kind.meaning) <= 64
    assert segment_code(name) == segment_code(name)


@given(st.integers(0, 0xFFFFFF))
def test_colours_come_back_to_the_last_step(number):
    colour = f"#{number:06x}"
    assert from_cielab(to_cielab(colour)) == colour


@pytest.mark.parametrize("colour", ["#d55e00", "#56b4e9", "#009e73", "#7f7f7f", "#ffffff", "#000000", "#0000ff"])
def test_colours_are_those_of_a_colour_management_system(colour):
    """LittleCMS, in steps of 8 bits; both count the ICC's D50 white."""
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lightness, a, b = ImageCms.applyTransform(Image.new("RGB", (1, 1), colour), lab).tobytes()
    ours = [value / 257 for value in to_cielab(colour)]
    # Its a and b are signed.
    theirs = [lightness, (a + 128) % 256, (b + 128) % 256]
    assert max(abs(one - other) for one, other in zip(ours, theirs, strict=True)) < 1.1
