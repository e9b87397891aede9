"""RTSTRUCT: contours become the voxels whose centres they enclose, holes stay holes, and what is lost is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_dicom import NAME, PATIENT_ID, oblique, places, save, structure_set, write_series

from napari_mmssl.cli.main import main
from napari_mmssl.errors import MmsslError
from napari_mmssl.volumes.dicom_series import read_series
from napari_mmssl.volumes.image_files import read_header, read_label_map
from napari_mmssl.volumes.polygons import fill_even_odd
from napari_mmssl.volumes.volume import LabelClass
from napari_mmssl.workflows.segmentation_export import draw_contours

SHAPE = (16, 20)


def encloses(contour, row, column):
    """Whether a ray to the left of a point crosses the contour an odd number of times: slow, edge by edge."""
    odd = False
    for (r0, c0), (r1, c1) in zip(contour, np.roll(contour, -1, axis=0), strict=True):
        odd ^= (r0 <= row) != (r1 <= row) and c0 + (row - r0) * (c1 - c0) / (r1 - r0) < column
    return odd


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(3, 12), st.integers(1, 3))
def test_filling_is_that_of_a_ray_through_every_pixel(seed, n_corners, n_contours):
    rng = np.random.default_rng(seed)
    contours = [rng.uniform(-3, 23, (n_corners, 2)) for _ in range(n_contours)]
    wanted = np.array(
        [[sum(encloses(c, r, k) for c in contours) % 2 == 1 for k in range(SHAPE[1])] for r in range(SHAPE[0])]
    )
    np.testing.assert_array_equal(fill_even_odd(contours, SHAPE), wanted)


@given(st.integers(0, 2**32 - 1))
def test_polygons_that_share_edges_share_no_pixel_and_leave_none_out(seed):
    rng = np.random.default_rng(seed)
    # Corners on whole numbers: many centres lie exactly on the common edge.
    cut = np.array([[0, rng.integers(1, 19)], *sorted(rng.integers(1, 15, (3, 2)).tolist()), [15, rng.integers(1, 19)]])
    left = np.array([[0, 0], *cut, [15, 0]], float)
    right = np.array([*cut, [15, 19], [0, 19]], float)
    whole = fill_even_odd([np.array([[0, 0], [0, 19], [15, 19], [15, 0]], float)], SHAPE)
    parts = fill_even_odd([left], SHAPE).astype(int) + fill_even_odd([right[::-1]], SHAPE)
    # A cut that crosses itself covers places an even number of times in each part: compare by parity.
    np.testing.assert_array_equal(parts % 2 == 1, whole)


def test_a_keyhole_is_a_hole():
    outer, inner = [(2, 2), (2, 17), (13, 17), (13, 2)], [(5, 5), (5, 9), (9, 9), (9, 5)]
    keyhole = np.array([*outer, outer[0], inner[0], *inner[::-1], inner[0]], float)
    two = fill_even_odd([np.array(outer, float), np.array(inner, float)], SHAPE)
    np.testing.assert_array_equal(fill_even_odd([keyhole], SHAPE), two)
    assert not two[6, 6]
    assert two[3, 3]


def contour_on(grid, plane, corners):
    """Corners (row, column) on a slice of ``grid`` in LPS mm."""
    index = np.column_stack([np.full(len(corners), plane, float), np.array(corners, float)])
    return grid.index_to_world(index) * (-1, -1, 1)


def box(low, high):
    """Corners half a pixel beside the centres of the rows and columns from ``low`` to ``high``."""
    (r0, c0), (r1, c1) = np.array(low) - 0.5, np.array(high) + 0.5
    return [(r0, c0), (r0, c1), (r1, c1), (r1, c0)]


@pytest.fixture
def series(tmp_path, rng):
    orientation = oblique(rng)
    write_series(tmp_path / "ct", places(6, orientation), rng, orientation=orientation, shape=(12, 10))
    return tmp_path / "ct", read_series(tmp_path / "ct").geometry


def saved(folder, grid, name="rs.dcm", **more):
    outer = [contour_on(grid, plane, box((1, 1), (7, 6))) for plane in (1, 2, 4)]
    hole = [contour_on(grid, 2, box((3, 2), (5, 4)))]
    gland = ("Gland", (255, 0, 18), [*outer, *hole])
    lesion = ("Läsion", None, [contour_on(grid, 4, box((9, 1), (10, 3)))])
    return save(structure_set([gland, lesion], **more), folder / name)


def wanted():
    array = np.zeros((6, 12, 10), np.uint8)
    array[[1, 2, 4], 1:8, 1:7] = 1
    array[2, 3:6, 2:5] = 0
    array[4, 9:11, 1:4] = 2
    return array


def test_contours_become_the_voxels_inside_with_names_and_colours(series):
    folder, grid = series
    labels = read_label_map(saved(folder, grid))
    np.testing.assert_array_equal(labels.array, wanted())
    np.testing.assert_array_equal(labels.geometry.affine, grid.affine)
    assert labels.classes[0] == LabelClass(1, "Gland", "#ff0012")
    assert labels.classes[1].name == "Läsion"
    assert read_header(folder / "rs.dcm").geometry.shape == grid.shape


def test_elsewhere_the_series_must_be_named(series, tmp_path, capsys):
    folder, grid = series
    path = saved(tmp_path / "rt", grid)
    command = ["convert", str(path), str(tmp_path / "out.nii.gz")]
    assert main(command) == 2
    assert "--reference" in capsys.readouterr().err
    assert main([*command, "--reference", str(folder)]) == 0
    np.testing.assert_array_equal(read_label_map(tmp_path / "out.nii.gz").array, wanted())
    other = saved(tmp_path / "rt", grid, "other.dcm", series="9.9")
    assert main(["convert", str(other), str(tmp_path / "b.nii"), "--reference", str(folder)]) == 2
    assert "is that of the contours" in capsys.readouterr().err


def test_structures_that_overlap_are_named_and_can_be_split(series, tmp_path, capsys):
    folder, grid = series
    body = ("Body", None, [contour_on(grid, 2, box((0, 0), (9, 9)))])
    organ = ("Organ", None, [contour_on(grid, 2, box((3, 3), (5, 5)))])
    path = save(structure_set([body, organ]), folder / "rs.dcm")
    command = ["convert", str(path), str(tmp_path / "out.nii.gz")]
    assert main(command) == 2
    assert "'Body' and 'Organ' overlap" in capsys.readouterr().err
    assert main([*command, "--split"]) == 0
    counts = [np.count_nonzero(read_label_map(tmp_path / f"out_{n}.nii.gz").array) for n in range(2)]
    assert counts == [100, 9]
    assert read_label_map(tmp_path / "out_1.nii.gz").classes[0].name == "Organ"


def test_what_a_label_map_cannot_keep_is_said(series):
    folder, grid = series
    between = contour_on(grid, 2.4, box((1, 1), (2, 2)))
    outside = contour_on(grid, 9, box((1, 1), (2, 2)))
    across = grid.index_to_world([[1, 1, 1], [1, 5, 1], [4, 5, 1], [4, 1, 1]]) * (-1, -1, 1)
    save(structure_set([("a", None, [between, outside, across, between[:2]])]), folder / "rs.dcm")
    labels, notes = draw_contours(folder / "rs.dcm", folder)
    assert np.argwhere(labels.array).tolist() == [[2, 1, 1], [2, 1, 2], [2, 2, 1], [2, 2, 2]]
    told = " ".join(notes)
    for words in (
        "1 contour(s) outside",
        "1 contour(s) across",
        "1 point(s) or open line(s)",
        "1 contour(s) lie between",
    ):
        assert words in told


def test_points_are_no_region(series):
    folder, grid = series
    save(structure_set([("a", None, [contour_on(grid, 1, [(2, 2)])])], kind="POINT"), folder / "rs.dcm")
    labels, notes = draw_contours(folder / "rs.dcm", folder)
    assert not labels.array.any()
    assert "1 point(s)" in notes[0]


def test_damaged_structure_sets_are_refused_or_read_never_worse(series, rng):
    folder, grid = series
    path = saved(folder, grid)
    whole = path.read_bytes()
    said = []

    def outcome():
        try:
            read_label_map(path)
        except MmsslError as error:
            said.append(str(error))

    for n in range(140, len(whole), 211):
        path.write_bytes(whole[:n])
        outcome()
    for _ in range(100):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 8)):
            damaged[rng.integers(132, len(whole))] = rng.integers(256)
        path.write_bytes(damaged)
        outcome()
    assert said
    assert not [text for text in said if NAME[:6] in text or PATIENT_ID[:6] in text or "\n" in text]


def test_a_contour_that_goes_up_and_down_for_ever_is_refused():
    n = np.arange(3000)
    with pytest.raises(ValueError, match="too often"):
        fill_even_odd([np.column_stack([n % 2 * 9999.0, n % 7])], (10_000, 10))
