"""``inspect`` through its workflow and through the command line, on made and on real cohorts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_mmssl.cli.inspect import render
from napari_mmssl.cli.main import main
from napari_mmssl.workflows.inspect import inspect

KINDS = {
    "missing_modality",
    "grid_mismatch",
    "label_candidates",
    "empty_label",
    "unreadable",
    "phantom",
    "sheared_affine",
    "not_a_volume",
    "missing_slice",
    "duplicate_slice",
    "uneven_spacing",
    "mixed_series",
    "localizer",
    "gantry_tilt",
    "misregistered",
    "outlier_intensity",
    "possible_leak",
    "impossible_label",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def cohort(tmp_path, write_nifti):
    affine = np.diag([-1.0, -1.5, 3.0, 1.0])
    for name in ("a/t1", "a/flair", "b/t1"):
        write_nifti(tmp_path / f"{name}.nii.gz", affine=affine)
    label = np.zeros((5, 6, 7))
    label[1, 1, :4] = 2
    write_nifti(tmp_path / "a/seg.nii.gz", affine=affine, array=label, dtype=np.uint8)
    write_nifti(tmp_path / "b/seg.nii.gz", affine=affine, array=label * 0, dtype=np.uint8)
    write_nifti(tmp_path / "b/flair.nii.gz", affine=affine, shape_xyz=(5, 6, 8), description="MMSSL SYNTHETIC")
    (tmp_path / "survival_info.csv").write_text("Brats20ID,Age,Survival_days\na,61.5,ALIVE (361 days later)\n")
    return tmp_path


def test_json_says_exactly_what_scripts_rely_on(cohort, capsys):
    assert main(["inspect", str(cohort), "--json"]) == 0
    output = capsys.readouterr()
    data = json.loads(output.out)
    assert output.err == ""
    assert set(data) == {"layout", "reasons", "cases"}
    assert data["layout"] == "folder_per_case"
    first, second = data["cases"]
    volume = {
        "path": str(cohort / "a/t1.nii.gz"),
        "channel": None,
        "series_uid": None,
        "shape": [7, 6, 5],
        "spacing_mm": [3.0, 1.5, 1.0],
        "orientation": "LPS",
        "synthetic": False,
    }
    assert first == {
        "id": "a",
        "modalities": {"t1": volume, "flair": volume | {"path": str(cohort / "a/flair.nii.gz")}},
        "label": volume | {"path": str(cohort / "a/seg.nii.gz")},
        "clinical": {"age_years": 61.5, "survival_days": 361, "survival_observed": False},
        "findings": [],
        "label_values": {"2": 4},
    }
    assert second["modalities"]["flair"]["synthetic"]
    assert [finding["kind"] for finding in second["findings"]] == ["grid_mismatch", "empty_label"]
    assert second["label_values"] == {}


def test_text_says_it_in_100_columns(cohort, capsys):
    assert main(["inspect", str(cohort)]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert max(map(len, lines[1:])) <= 100
    assert f"{cohort}: 2 cases, layout folder_per_case" in lines
    table = {line.split()[0]: line.split() for line in lines if line.startswith(("case", "a ", "b "))}
    assert table["case"] == ["case", "t1", "flair", "label", "label", "values", "(voxels)"]
    assert table["a"] == ["a", "1", "1", "1", "2:", "4"]
    assert table["b"] == ["b", "1", "2*", "1", "empty"]
    grids = [" ".join(line.split()) for line in lines]
    assert "1 7 x 6 x 5 3 x 1.5 x 1 LPS 5 in 2 cases" in grids
    assert "2 8 x 6 x 5 3 x 1.5 x 1 LPS 1 in 1 case" in grids
    assert "grid_mismatch: flair lies on another grid" in text
    assert "empty_label" in text


def test_the_table_stays_narrow_with_long_names_and_many_label_values(tmp_path, write_nifti):
    folder = tmp_path / ("case-with-a-very-long-name-" * 3)
    for name in ("t1", "t1ce", "t2", "flair", "dwi", "adc"):
        write_nifti(folder / f"{name}.nii.gz")
    write_nifti(folder / "seg.nii.gz", array=np.arange(210).reshape(5, 6, 7), dtype=np.int16)
    lines = render(inspect(tmp_path)).splitlines()
    assert max(map(len, lines[1:])) <= 100


def test_equal_findings_of_many_cases_are_one_line(tmp_path, write_nifti):
    for n in range(9):
        write_nifti(tmp_path / f"c{n}/t1.nii.gz")
    write_nifti(tmp_path / "c9/t1.nii.gz")
    write_nifti(tmp_path / "c9/t2.nii.gz")
    text = render(inspect(tmp_path))
    assert text.count("t2 is missing") == 1
    assert "and 5 more" in text


def test_a_sound_cohort_says_so(tmp_path, write_nifti):
    write_nifti(tmp_path / "a/t1.nii.gz")
    assert "Nothing odd was found." in render(inspect(tmp_path))


def test_progress_goes_through_headers_and_voxels(cohort):
    told = []
    inspect(cohort, lambda *now: told.append(now))
    assert told == [("headers", 1, 2), ("headers", 2, 2), ("voxels", 1, 2), ("voxels", 2, 2)]


def test_a_quick_look_opens_no_voxels_and_says_so(cohort):
    kept = {path: path.read_bytes() for path in cohort.rglob("t1.nii.gz")}
    for path in kept:
        # Whole, as far as the header tells, and without sense after it.
        path.write_bytes(kept[path][:120] + bytes(len(kept[path]) - 120))
    inspection = inspect(cohort, quick=True)
    assert inspection.label_values == {}
    assert "Only headers were read" in render(inspection)


def test_a_quick_look_for_people_is_refused_and_not_left_undone(cohort, capsys):
    assert main(["inspect", str(cohort), "--quick", "--against", str(cohort)]) == 2
    assert "leave --quick out" in capsys.readouterr().err


def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, write_nifti, capsys):
    cut = write_nifti(tmp_path / "t1.nii.gz", shape_xyz=(20, 20, 20))
    cut.write_bytes(cut.read_bytes()[:3000])
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "gone", tmp_path / "empty", cut):
        assert main(["inspect", str(path), "--json"]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.count("\n") == 1
        assert path.name in output.err


# --- on real scans, where they are at hand ---


def test_every_real_folder_and_file_is_understood_or_refused_in_a_sentence(shared_data, capsys):
    paths = [shared_data, *sorted(path for path in shared_data.rglob("*") if path.is_dir())]
    paths += sorted(path for path in (shared_data / "odd_files").rglob("*") if path.is_file())
    assert len(paths) > 80
    for path in paths:
        code = main(["inspect", str(path), "--json", "--quick"])
        output = capsys.readouterr()
        if code == 0:
            data = json.loads(output.out)
            assert data["cases"], path
            assert {finding["kind"] for case in data["cases"] for finding in case["findings"]} <= KINDS
        else:
            assert code == 2, path
            assert output.out == ""
            assert output.err.count("\n") == 1, path


MINI_COHORT = {
    "sub-BraTS-MET-00110-000": ("t1 t1ce t2 flair", "RAS", {1, 2}),
    "sub-BrainLesion-preproc": ("t1 t1ce t2 flair", "LPS", {1, 2, 3}),
    "sub-TCGA-DU-7294": ("t1 t1ce t2 flair", "LPS", {1, 2}),
    "sub-TCGA-FG-6692": ("t1 t1ce t2 flair", "LPS", {1, 2, 4}),
    **{f"sub-brats18-{n}": ("t1 flair", "LPS", {1}) for n in range(5)},
    "sub-brats_2013_pat0003_1": ("t1ce flair", "LPS", {1, 2, 3, 4}),
    "sub-brats_2013_pat0005_1": ("t1ce flair", "LPS", {1, 2, 3, 4}),
    "sub-ms07": ("t1 t1ce t2 flair", "LAS", {1}),
    "sub-ms26": ("t1 t1ce t2 flair", "LAS", {1}),
}


def test_the_real_mini_cohort(shared_data):
    inspection = inspect(shared_data / "mini_cohort_2mm")
    seen = {
        case.id: (" ".join(case.modalities), case.label.geometry.orientation, set(inspection.label_values[case.id]))
        for case in inspection.cohort.cases
    }
    assert seen == MINI_COHORT
    assert {finding.kind for case in inspection.cohort.cases for finding in case.findings} == {"missing_modality"}
    for case in inspection.cohort.cases:
        for scan in (*case.modalities.values(), case.label):
            assert scan.geometry.spacing_mm == pytest.approx((2, 2, 2), abs=1e-4)


@pytest.mark.parametrize(
    ("path", "modalities", "labelled", "kinds"),
    [
        ("tumour_4mod", "t1 t1ce t2 flair", True, set()),
        ("tumour_4mod/TCGA-FG-6692/native_unregistered", "t1 t1ce t2 flair", False, {"grid_mismatch", "misregistered"}),
        ("ms_4mod_mni", "t1 t1ce t2 flair", True, set()),
        ("prostate_t2_adc_hbv", "t2 adc hbv", False, {"grid_mismatch", "label_candidates"}),
        ("prostate_t2_adc_hbv/ProstateX-0001/resampled_common_grid", "t2 adc hbv", False, set()),
        ("abdomen_ct_mr_unpaired", "mr ct", False, {"grid_mismatch", "label_candidates", "misregistered"}),
        ("stroke_dwi_adc", "dwi adc", False, set()),
        ("tumour_2d_slices_brats2013", "t1 t1ce t2 flair", False, {"label_candidates"}),
        ("cord_multicontrast", "t1 t2 t2star mt0 mt1", False, {"grid_mismatch", "label_candidates"}),
        ("atlas_mni152_spm12", "t1 t2 pd", False, {"label_candidates", "missing_modality"}),
        ("labelmaps_synthseg_2mm/seg_01.nii.gz", "", True, set()),
        ("odd_files/niivue/FLAIR.nrrd", "flair", False, set()),
    ],
)
def test_real_cohorts_are_what_their_readme_says(shared_data, path, modalities, labelled, kinds):
    for case in inspect(shared_data / path).cohort.cases:
        assert " ".join(case.modalities) == modalities
        assert (case.label is not None) is labelled
        assert {finding.kind for finding in case.findings} == kinds


@pytest.mark.parametrize("name", ["AIL", "IRP", "LAS", "LPS", "PSR", "RAS", "RPI", "SAL"])
def test_real_orientations_are_what_their_files_are_called(shared_data, name):
    (case,) = inspect(shared_data / f"odd_files/orientations/{name}.nii.gz").cohort.cases
    assert case.modalities["unknown"].geometry.orientation == name


def test_a_real_prostate_of_three_dicom_series_is_one_case(shared_data):
    (case,) = inspect(shared_data / "dicom/ProstateX-0218").cohort.cases
    assert case.id == "ProstateX-0218"
    assert list(case.modalities) == ["t2", "adc", "hbv"]
    assert all(scan.series_uid for scan in case.modalities.values())
    assert {finding.kind for finding in case.findings} == {"grid_mismatch"}


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_names_that_are_no_text_or_break_the_line_are_told_on_one_line(tmp_path, write_nifti):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xffodd"))
    write_nifti(odd / "t1.nii.gz")
    broken = tmp_path / "two\nlines.nii"
    broken.write_bytes(b"nothing")
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    outcomes = [
        subprocess.run(
            [sys.executable, "-m", "napari_mmssl", "inspect", path], capture_output=True, env=environment, check=False
        )
        for path in (odd, broken)
    ]
    assert [done.returncode for done in outcomes] == [0, 2]
    assert b"\\udcffodd: 1 case" in outcomes[0].stdout
    assert outcomes[1].stderr.count(b"\n") == 1
    assert b"two\\nlines.nii" in outcomes[1].stderr
