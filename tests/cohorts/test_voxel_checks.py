"""What the voxels of made-up heads tell: modalities that do not fit, odd intensities, labels in the wrong place."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_mmssl.cohorts.case import Case, Cohort, ScanFile
from napari_mmssl.cohorts.checks import check_voxels
from napari_mmssl.cohorts.checks.intensities import impossible, outlier_intensities
from napari_mmssl.cohorts.checks.labels import check_label, rare_values
from napari_mmssl.cohorts.checks.registration import misregistered
from napari_mmssl.cohorts.thumbnails import Intensities, make_thumbnail, thumbnail
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import write_label_map, write_volume
from napari_mmssl.volumes.volume import LabelMap, Volume

SHAPE = (40, 48, 42)
GRID = Geometry(SHAPE, np.array([[0, 0, 4.0, -82], [0, 4.0, 0, -94], [4.0, 0, 0, -78], [0, 0, 0, 1]]))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path_factory.mktemp("home")))


def head(seed=3):
    """A made-up head with structures of its own on each side, in two contrasts; array order S, A, R."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(SHAPE) - (np.array(SHAPE) - 1)[:, None, None, None] / 2
    body = (z / 17) ** 2 + (y / 21) ** 2 + (x / 18) ** 2 < 1
    tissue = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2.5)
    tissue = np.digitize(tissue, np.quantile(tissue, (0.3, 0.7)))
    lesion = ((x - 9) ** 2 + y**2 + z**2 < 30) & body
    first = np.choose(tissue, (40, 80, 120)) + 60 * lesion
    second = np.choose(tissue, (150, 60, 100)) + 90 * lesion
    noise = rng.normal(size=(2, *SHAPE)) * 4
    return tuple(
        np.where(body, image + n, 0).astype(np.float32) for image, n in zip((first, second), noise, strict=True)
    ), lesion


def moved(grid, shift_mm=(0, 0, 0), degrees=0, mirror=False):
    """The same voxels elsewhere in the world, about its origin (the middle of the head)."""
    a = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:3, :3] = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    matrix[:3, 3] = shift_mm
    return Geometry(grid.shape, matrix @ np.diag([-1.0 if mirror else 1.0, 1, 1, 1]) @ grid.affine)


@pytest.mark.parametrize(
    ("movement", "said"),
    [
        ({}, ""),
        ({"shift_mm": (1.5, 0, 1.5)}, ""),
        ({"shift_mm": (0, 8, 0)}, "8 mm off t1"),
        ({"shift_mm": (50, -30, 20)}, "mm off t1"),
        ({"degrees": 15}, "mm off t1"),
        ({"mirror": True}, "left and right are in doubt"),
        ({"shift_mm": (900, 0, 0)}, "another place in the scanner"),
    ],
)
def test_modalities_that_do_not_lie_on_each_other_are_found(movement, said):
    (first, second), _ = head()
    small = {"t1": make_thumbnail(first, GRID), "t2": make_thumbnail(second, moved(GRID, **movement))}
    findings = misregistered(small)
    assert [finding.kind for finding in findings] == (["misregistered"] if said else [])
    assert said in " ".join(finding.text for finding in findings)


def test_how_a_file_orders_its_axes_is_no_reason_for_doubt():
    (first, second), _ = head()
    flipped = Geometry(
        SHAPE, GRID.affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, SHAPE[2] - 1], [0, 0, 0, 1]])
    )
    assert misregistered({"t1": make_thumbnail(first, GRID), "t2": make_thumbnail(second[:, :, ::-1], flipped)}) == []


def label_findings(tmp_path, mark, grid=GRID):
    (first, second), _ = head()
    write_label_map(tmp_path / "seg.nii.gz", LabelMap(mark, grid))
    small = {"t1": make_thumbnail(first, GRID), "t2": make_thumbnail(second, GRID)}
    values, findings = check_label(Case("c", "c", {}, ScanFile(tmp_path / "seg.nii.gz", grid)), small)
    return values, [(finding.kind, finding.text) for finding in findings]


def test_a_label_map_where_it_belongs_is_not_odd(tmp_path):
    _, lesion = head()
    assert label_findings(tmp_path, lesion.astype(np.uint8)) == ({1: int(lesion.sum())}, [])


def test_a_label_map_on_the_other_side_is_doubted(tmp_path):
    _, lesion = head()
    _, ((kind, text),) = label_findings(tmp_path, lesion[:, :, ::-1].astype(np.uint8))
    assert (kind, "left and right" in text) == ("misregistered", True)


def test_a_label_map_outside_the_body_is_impossible(tmp_path):
    mark = np.zeros(SHAPE, np.uint8)
    mark[:8, :8, :8] = 1
    _, findings = label_findings(tmp_path, mark)
    assert ("impossible_label", "100% of the label map lies outside the body") in [
        (kind, text.split(":")[0]) for kind, text in findings
    ]


def test_negative_labels_and_images_taken_for_labels_are_impossible(tmp_path):
    _, lesion = head()
    _, ((kind, text),) = label_findings(tmp_path, -lesion.astype(np.int16))
    assert (kind, "negative values (-1)" in text) == ("impossible_label", True)
    many = np.arange(np.prod(SHAPE), dtype=np.int32).reshape(SHAPE) % 1000
    _, ((kind, text),) = label_findings(tmp_path, many)
    assert (kind, "999 different values" in text) == ("impossible_label", True)


def test_a_value_that_one_label_map_of_many_holds_is_spoken_of():
    values = {f"c{n}": {1: 50, 2: 9} for n in range(12)}
    values["c5"] = {1: 50, 7: 3}
    (only,) = rare_values(values)
    assert only == "c5"
    assert "holds 7" in rare_values(values)["c5"][0].text
    assert rare_values(dict(list(values.items())[:9])) == {}


SOUND = Intensities(lowest=0, highest=900, median=200, spread=400, not_finite=0, at_highest=0.0001)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("t1", {}, ""),
        ("t1", {"not_finite": 0.02}, "NaN or infinite values in 2.00%"),
        ("t1", {"highest": 0, "median": 0, "spread": 0}, "constant: every voxel is 0"),
        ("t1", {"at_highest": 0.1}, "saturated: 10%"),
        ("ct", {}, "it was rescaled"),
        ("ct", {"lowest": -1000}, ""),
        ("adc", {"lowest": -900, "median": -50}, "negative in most of the body"),
    ],
)
def test_what_no_scan_of_a_kind_can_hold(name, change, said):
    texts = impossible(name, replace(SOUND, **change))
    assert len(texts) == bool(said)
    assert said in "".join(texts)


def test_of_a_scan_that_holds_no_number_nothing_else_is_said():
    (text,) = impossible("t1", replace(SOUND, not_finite=1.0, lowest=0.0, highest=0.0, median=0.0, spread=0.0))
    assert text == "holds NaN or infinite values in 100.00% of its voxels"


def test_a_scan_in_other_units_is_unlike_the_rest_and_scanners_gains_are_not():
    gains = [0.3, 0.6, 1, 1, 1.4, 2, 3]
    scans = {f"c{n}": {"adc": replace(SOUND, spread=400 * gain)} for n, gain in enumerate(gains)}
    assert outlier_intensities(scans) == {}
    scans["c3"] = {"adc": replace(SOUND, spread=0.4)}
    found = outlier_intensities(scans)
    assert list(found) == ["c3"]
    assert "other units" in found["c3"][0].text


def test_one_normalised_scan_among_raw_ones_is_said_and_a_mixed_cohort_is_not():
    scans = {f"c{n}": {"t1": SOUND} for n in range(9)}
    scans["c2"] = {"t1": replace(SOUND, lowest=-3, median=0, spread=3)}
    assert "normalised in another way" in outlier_intensities(scans)["c2"][0].text
    for n in range(4):
        scans[f"c{n}"] = {"t1": replace(SOUND, lowest=-30, median=0)}
    assert outlier_intensities(scans) == {}


def test_thumbnails_lie_where_the_scan_lies_and_are_read_once(tmp_path):
    (first, _), _ = head()
    fine = np.kron(first, np.ones((2, 2, 2), np.float32))
    # Half a small voxel back, so that both grids cover the same box.
    grid = Geometry(
        fine.shape, GRID.affine @ np.array([[0.5, 0, 0, -0.25], [0, 0.5, 0, -0.25], [0, 0, 0.5, -0.25], [0, 0, 0, 1]])
    )
    path = tmp_path / "t1.nii.gz"
    write_volume(path, Volume(fine, grid))
    small = thumbnail(ScanFile(path, grid))
    assert small.geometry.same_grid(GRID)
    assert np.allclose(small.array, first, atol=1e-3)
    assert small.intensities.highest == pytest.approx(first.max(), rel=1e-6)
    path.write_bytes(path.read_bytes())  # another date, other voxels for all we know
    kept = thumbnail(ScanFile(path, grid))
    assert (kept.array == small.array).all()
    assert kept.intensities == small.intensities


def test_one_unreadable_scan_is_a_finding_and_the_rest_is_checked(tmp_path):
    (first, second), _ = head()
    for name, array in (("t1", first), ("t2", second)):
        write_volume(tmp_path / f"{name}.nii.gz", Volume(array, GRID))
    (tmp_path / "flair.nii.gz").write_bytes((tmp_path / "t1.nii.gz").read_bytes()[:5000])
    files = {name: ScanFile(tmp_path / f"{name}.nii.gz", GRID) for name in ("flair", "t1", "t2")}
    checked, _ = check_voxels(Cohort(tmp_path, "x", (), (Case("c", "c", files),)))
    ((kind, text),) = [(finding.kind, finding.text) for finding in checked.cases[0].findings]
    assert (kind, text.startswith("flair")) == ("unreadable", True)
