"""Corrections are kept apart and can be learned from; a report stands alone and says what it is."""

import base64
import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from napari_mmssl.cli.main import main
from napari_mmssl.cohorts.case import ScanFile
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.errors import ConfigError, GeometryError, LayoutError, ReadError, WriteError
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import read_label_map, write_label_map, write_volume
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume
from napari_mmssl.workflows.corrections import correct_case, keep_correction
from napari_mmssl.workflows.report import report_cases
from napari_mmssl.workflows.report_pictures import slice_picture

LPS = np.array([[0, 0, -2.0, 20], [0, -2.0, 0, 30], [3.0, 0, 0, -40], [0, 0, 0, 1]])
SHAPE = (10, 12, 14)
LESION = LabelClass(1, "lesion", "#d55e00")


@pytest.fixture
def cohort(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("anna", "bert"):
        folder = tmp_path / "cohort" / name
        folder.mkdir(parents=True)
        for modality in ("t1", "flair"):
            scan = rng.normal(100, 5, SHAPE).astype(np.float32)
            write_volume(folder / f"{modality}.nii.gz", Volume(scan, Geometry(SHAPE, LPS)))
        write_label_map(folder / "seg.nii.gz", drawn(4))
    return tmp_path / "cohort"


def drawn(width):
    array = np.zeros(SHAPE, np.uint8)
    array[4:6, 5:8, 6 : 6 + width] = 1
    return LabelMap(array, Geometry(SHAPE, LPS), (LESION,))


def test_a_correction_says_what_was_changed_and_from_what(cohort, tmp_path):
    case = find_cohort(cohort).case("anna")
    path = keep_correction(tmp_path / "kept", case, drawn(5), predicted=drawn(3), source={"weights": "run"})

    story = json.loads((tmp_path / "kept" / "anna_corrected.json").read_text())
    assert path.name == "anna_corrected.nii.gz"
    np.testing.assert_array_equal(read_label_map(path).array, drawn(5).array)
    assert story["from"] == {"weights": "run"}
    assert story["changed"]["voxels"] == 12
    assert story["changed"]["classes"]["lesion"] == {"added_ml": pytest.approx(12 * 0.012), "removed_ml": 0}
    np.testing.assert_array_equal(read_label_map(cohort / "anna" / "seg.nii.gz").array, drawn(4).array)


def test_corrected_cases_are_a_cohort_with_the_corrected_labels(cohort, tmp_path):
    cases = find_cohort(cohort)
    for name in ("anna", "bert", "anna"):
        keep_correction(tmp_path / "kept", cases.case(name), drawn(5))

    found = find_cohort(tmp_path / "kept" / "corrected.csv")

    assert [case.id for case in found.cases] == ["anna", "bert"]
    assert all(set(case.modalities) == {"t1", "flair"} for case in found.cases)
    assert found.cases[0].label.path.resolve() == (tmp_path / "kept" / "anna_corrected.nii.gz").resolve()
    assert found.label_names == {1: "lesion"}


def test_a_correction_on_another_grid_or_for_nobody_is_refused(cohort, tmp_path):
    elsewhere = LabelMap(drawn(2).array, Geometry(SHAPE, np.eye(4)), (LESION,))
    with pytest.raises(GeometryError, match="does not lie on the scan"):
        keep_correction(tmp_path / "kept", find_cohort(cohort).case("anna"), elsewhere)
    with pytest.raises(ConfigError, match="cleo"):
        correct_case(cohort, "cleo", cohort / "anna" / "seg.nii.gz", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_file_of_the_cohort_is_never_written_over(cohort):
    # Whoever keeps corrections beside the scans, in a folder that is read as a cohort, must not lose any of them.
    (cohort / "anna" / "seg.nii.gz").rename(cohort / "anna" / "anna_corrected.nii.gz")
    (cohort / "anna" / "seg.labels.json").rename(cohort / "anna" / "anna_corrected.labels.json")
    case = find_cohort(cohort).case("anna")
    case = replace(case, label=ScanFile(cohort / "anna" / "anna_corrected.nii.gz", Geometry(SHAPE, LPS)))
    with pytest.raises(WriteError, match="never changed"):
        keep_correction(cohort / "anna", case, drawn(5))


def test_the_command_keeps_a_correction_from_any_program(cohort, tmp_path):
    write_label_map(tmp_path / "painted.nrrd", drawn(2))
    words = ["correct", str(tmp_path / "painted.nrrd"), str(cohort), "--case", "bert", "--out", str(tmp_path / "kept")]

    assert main(words) == 0
    assert read_label_map(tmp_path / "kept" / "bert_corrected.nii.gz").array.sum() == 12


def predictions(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    write_label_map(folder / "anna.nii.gz", drawn(2))
    return folder


def test_a_report_holds_volumes_scores_pictures_and_its_limits(cohort, tmp_path):
    assert main(["report", str(predictions(tmp_path)), str(cohort), "--out", str(tmp_path / "out")]) == 0

    page = (tmp_path / "out" / "anna_report.html").read_text()
    row, any_label = csv.DictReader(io.StringIO((tmp_path / "out" / "anna_volumes.csv").read_text()))
    (lesion,) = csv.DictReader(io.StringIO((tmp_path / "out" / "anna_lesions.csv").read_text()))
    assert page.count("Research use only") >= 2
    assert "made elsewhere" in page
    assert float(row["volume_ml"]) == pytest.approx(12 * 0.012)
    assert float(row["dice"]) == pytest.approx(2 * 12 / (12 + 24), abs=1e-5)
    assert any_label["class"] == "any label"
    assert float(lesion["longest_mm"]) == pytest.approx(np.linalg.norm([6, 6, 4]), rel=1e-5)
    pictures = re.findall(r"base64,([^\"]+)", page)
    assert len(pictures) == 2
    assert all(Image.open(io.BytesIO(base64.b64decode(one))).width > 200 for one in pictures)
    # Nothing in it tells where the scans lie or whose they are.
    assert str(tmp_path) not in page


def test_a_corrected_map_is_reported_as_such(cohort, tmp_path):
    path = keep_correction(tmp_path / "kept", find_cohort(cohort).case("anna"), drawn(5))

    (page,) = report_cases(path, cohort, tmp_path / "out")

    assert "A person corrected" in page.read_text()


def test_a_label_map_of_nobody_is_one_sentence(cohort, tmp_path):
    write_label_map(tmp_path / "stranger.nii.gz", drawn(2))
    with pytest.raises(LayoutError, match="anna"):
        report_cases(tmp_path / "stranger.nii.gz", cohort, tmp_path / "out")
    with pytest.raises(ConfigError, match="unknown case 'berta'"):
        report_cases(tmp_path / "stranger.nii.gz", cohort, tmp_path / "out", ["berta"])
    with pytest.raises(ReadError, match=r"no file or folder '.*nowhere'"):
        report_cases(tmp_path / "nowhere", cohort, tmp_path / "out")


def test_the_patients_right_is_on_the_left_and_anterior_is_up():
    shape = (3, 40, 40)
    geometry = Geometry(shape, np.array([[0, 0, 1.0, 0], [0, 1.0, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]]))
    array = np.zeros(shape, np.float32)
    array[1, 30:38, 30:38] = 1  # anterior, right
    empty = LabelMap(np.zeros(shape, np.uint8), geometry)

    png = np.asarray(Image.open(io.BytesIO(slice_picture(Volume(array, geometry), empty, (0, 0, 1)))).convert("L"))

    half = png.shape[0] // 2
    assert png[:half, :half].max() > 200
    assert png[half:].max() < 10
    assert png[:, half:].max() < 10
