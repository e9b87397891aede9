"""NRRD and MetaImage headers in the variants that are about, against what SimpleITK makes of them."""

import numpy as np
import pytest
import SimpleITK as sitk

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.image_files import read_header, read_volume

ARRAY = np.arange(60, dtype=np.int16).reshape(5, 4, 3) * 300 - 5000

NRRD = {
    "plain": "NRRD0004\ntype: short\ndimension: 3\nsizes: 3 4 5\nendian: little\nencoding: raw\n",
    "in scanner space": "space directions: (1,0,0.5) (0,2,0) (-1.5,0,3)\nspace origin: (10,20,30)\n",
}
SPACES = [
    "right-anterior-superior",
    "RAS",
    "left-anterior-superior",
    "LAS",
    "left-posterior-superior",
    "LPS",
    "scanner-xyz",
    "3D-right-handed",
]
META = (
    "ObjectType = Image\nNDims = 3\nDimSize = 3 4 5\nElementType = MET_SHORT\nBinaryData = True\n"
    "TransformMatrix = 0 1 0 -1 0 0 0 0 1\nElementSpacing = 1 2 3\nOffset = 10 20 30\n"
)


def write(path, header, voxels):
    path.write_bytes(header.encode() + voxels)
    return path


def assert_as_simpleitk(path):
    image = sitk.ReadImage(str(path))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))
    for z, y, x in [(0, 0, 0), (4, 0, 0), (0, 3, 0), (0, 0, 2)]:
        r, a, s = volume.geometry.index_to_world([z, y, x])
        assert image.TransformIndexToPhysicalPoint((x, y, z)) == pytest.approx((-r, -a, s), abs=1e-9)


@pytest.mark.parametrize("space", SPACES)
def test_nrrd_in_each_space(tmp_path, space):
    header = NRRD["plain"] + f"space: {space}\n" + NRRD["in scanner space"] + "\n"
    assert_as_simpleitk(write(tmp_path / "v.nrrd", header, ARRAY.tobytes()))


@pytest.mark.parametrize(("unit", "mm"), [("mm", 1), ("m", 1000), ("um", 0.001)])
def test_nrrd_in_units_that_itk_passes_over(tmp_path, unit, mm):
    scanner = "space: LPS\nspace directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (10,20,30)\n"
    header = f'{NRRD["plain"]}{scanner}space units: "{unit}" "{unit}" "{unit}"\n\n'
    grid = read_header(write(tmp_path / "v.nrrd", header, ARRAY.tobytes())).geometry
    np.testing.assert_allclose(grid.spacing_mm, np.array((3, 2, 1)) * mm)
    np.testing.assert_allclose(grid.index_to_world((0, 0, 0)), np.array((-10, -20, 30)) * mm)


@pytest.mark.parametrize(
    "more", ["space: right-posterior-superior\n", 'space: LPS\nspace units: "inch" "inch" "inch"\n']
)
def test_nrrd_in_a_space_of_its_own_is_refused(tmp_path, more):
    header = NRRD["plain"] + more + NRRD["in scanner space"] + "\n"
    with pytest.raises(ReadError, match="its space is"):
        read_header(write(tmp_path / "v.nrrd", header, ARRAY.tobytes()))


@pytest.mark.parametrize("more", ["", "spacings: 2 3 4\n", "# a remark\nkinds: domain domain domain\nkey:=value\n"])
def test_nrrd_that_says_less(tmp_path, more):
    assert_as_simpleitk(write(tmp_path / "v.nrrd", NRRD["plain"] + more + "\n", ARRAY.tobytes()))


def test_nrrd_of_the_other_byte_order(tmp_path):
    header = NRRD["plain"].replace("little", "big") + "\n"
    assert_as_simpleitk(write(tmp_path / "v.nrrd", header, ARRAY.astype(">i2").tobytes()))


def test_nrrd_as_text(tmp_path):
    header = NRRD["plain"].replace("raw", "ascii") + "\n"
    assert_as_simpleitk(write(tmp_path / "v.nrrd", header, (" ".join(map(str, ARRAY.ravel())) + "\n").encode()))


@pytest.mark.parametrize(("skip", "before", "after"), [(7, b"1234567", b"99"), (-1, b"1234567", b"")])
def test_nrrd_that_skips_bytes(tmp_path, skip, before, after):
    header = NRRD["plain"] + f"byte skip: {skip}\ndata file: v.raw\n\n"
    write(tmp_path / "v.raw", "", before + ARRAY.tobytes() + after)
    path = write(tmp_path / "v.nhdr", header, b"")
    np.testing.assert_array_equal(read_volume(path).array, ARRAY)


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("encoding: bzip2", "bzip2"),
        ("encoding: hex", "hex"),
        ("data file: LIST", "several files"),
        ("data file: slice%03d.raw 1 5 1", "several files"),
        ("line skip: 3", "skip"),
        ("axis mins: 0 0 0", "axis mins"),
        ("spacings: 1 2", "spacings"),
        ("space directions: (1,0,0) (0,1,0)", "do not fit"),
        ("space directions: none (0,1,0) (0,0,1)", "do not fit"),
        ("space directions: (1,0) (0,1) (1,1)", "do not fit"),
        ("kinds: RGB-color domain domain", "3 values"),
        ("type: block", "block"),
        ("endian:", "byte order"),
        ("sizes: 3 4", "2 sizes"),
    ],
)
def test_nrrd_that_readers_would_not_agree_on_is_refused(tmp_path, field, wanted):
    name = field.partition(":")[0] + ":"
    lines = [line for line in NRRD["plain"].splitlines() if not line.startswith(name)]
    path = write(tmp_path / "v.nrrd", "\n".join([*lines, field, "\n"]), ARRAY.tobytes())
    with pytest.raises(ReadError, match=wanted):
        read_header(path)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"TransformMatrix": "Rotation", "Offset": "Position"},
        {"TransformMatrix": "Orientation", "Offset": "Origin"},
        {"ElementSpacing": "ElementSize"},
        {"TransformMatrix = 0 1 0 -1 0 0 0 0 1\n": "", "Offset = 10 20 30\n": ""},
        {"MET_SHORT": "MET_SHORT\nElementByteOrderMSB = False"},
        {"NDims = 3\n": "NDims = 3\nAnatomicalOrientation = RAS\nCenterOfRotation = 0 0 0\n"},
    ],
)
def test_metaimage_in_the_words_of_its_history(tmp_path, changes):
    header = META
    for old, new in changes.items():
        header = header.replace(old, new)
    path = write(tmp_path / "v.mha", header + "ElementDataFile = LOCAL\n", ARRAY.tobytes())
    assert_as_simpleitk(path)


def test_metaimage_of_the_other_byte_order(tmp_path):
    header = META + "BinaryDataByteOrderMSB = True\nElementDataFile = LOCAL\n"
    assert_as_simpleitk(write(tmp_path / "v.mha", header, ARRAY.astype(">i2").tobytes()))


def test_metaimage_as_text(tmp_path):
    header = META.replace("BinaryData = True", "BinaryData = False") + "ElementDataFile = LOCAL\n"
    assert_as_simpleitk(write(tmp_path / "v.mha", header, (" ".join(map(str, ARRAY.ravel())) + "\n").encode()))


@pytest.mark.parametrize(("n_header", "before"), [(5, b"12345"), (-1, b"1234567")])
def test_metaimage_with_bytes_before_its_voxels(tmp_path, n_header, before):
    write(tmp_path / "v.raw", "", before + ARRAY.tobytes())
    path = write(tmp_path / "v.mhd", META + f"HeaderSize = {n_header}\nElementDataFile = v.raw\n", b"")
    assert_as_simpleitk(path)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_every_type_that_simpleitk_writes(tmp_path, dtype, suffix):
    array = (np.arange(60).reshape(5, 4, 3) + 7).astype(dtype)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"v{suffix}"))
    assert read_header(tmp_path / f"v{suffix}").dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read_volume(tmp_path / f"v{suffix}").array, array)


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("ElementDataFile = LIST", "several files"),
        ("ElementDataFile = v%03d.raw 1 5 1", "several files"),
        ("ElementDataFile = v.raw", "no such file"),
        ("ElementNumberOfChannels = 3", "3 values"),
        ("ElementType = MET_SHORT_ARRAY", "MET_SHORT_ARRAY"),
        ("ElementToIntensityFunctionSlope = 2", "rescaled"),
        ("NDims = 2", "3 sizes"),
        ("DimSize = 3 4", "2 sizes"),
        ("ElementSpacing = 1 2", "do not fit"),
        ("TransformMatrix = 1 0 0 1", "do not fit"),
    ],
)
def test_metaimage_that_readers_would_not_agree_on_is_refused(tmp_path, field, wanted):
    name = field.partition(" =")[0] + " ="
    lines = [line for line in META.splitlines() if not line.startswith(name)]
    end = [] if name.startswith("ElementDataFile") else ["ElementDataFile = LOCAL"]
    path = write(tmp_path / "v.mha", "\n".join([*lines, field, *end, ""]), ARRAY.tobytes())
    with pytest.raises(ReadError, match=wanted):
        read_header(path)
