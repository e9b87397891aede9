"""Folders of DICOM series as cases: ids, modalities, what is left out, and that no patient's name comes along."""

import json
import os
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from cohort_trees import kinds, texts
from made_dicom import NAME, PATIENT_ID, SAGITTAL, dataset, places, save, write_series

from napari_mmssl.cli.main import main
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import prepare_case, prepare_cohort
from napari_mmssl.cohorts.pseudonyms import pseudonym
from napari_mmssl.cohorts.reading import read_label, read_scan
from napari_mmssl.errors import LayoutError
from napari_mmssl.volumes import dicom_segmentation_writing
from napari_mmssl.volumes.dicom_segmentation_writing import write_segmentation
from napari_mmssl.volumes.dicom_series import choose_series
from napari_mmssl.volumes.volume import LabelClass, LabelMap


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """Pseudonyms and prepared cases of these tests are their own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MMSSL_HOME", str(folder))
    return folder


def found(path):
    return {
        case.id: {name: str(scan.path.relative_to(path)) for name, scan in case.modalities.items()}
        for case in find_cohort(path).cases
    }


def two_people(root, rng):
    for person in "ab":
        same = {"study": f"2.{ord(person)}", "patient": person}
        for n, name in enumerate(("t2_tse_tra", "adc")):
            write_series(root / person / name, places(4), rng, series=f"1.{ord(person)}.{n}", **same)
    return root


def test_a_folder_per_person_and_series(tmp_path, rng):
    cohort = find_cohort(two_people(tmp_path, rng))
    assert cohort.layout == "dicom"
    wanted = {person: {"t2": f"{person}/t2_tse_tra", "adc": f"{person}/adc"} for person in "ab"}
    assert found(tmp_path) == wanted
    assert cohort.case("a").modalities["adc"].series_uid == "1.97.1"
    assert [case.findings for case in cohort.cases] == [(), ()]


def test_one_study_is_one_case_called_after_its_folder(tmp_path, rng):
    two_people(tmp_path, rng)
    assert found(tmp_path / "a") == {"a": {"t2": "t2_tse_tra", "adc": "adc"}}
    assert list(found(tmp_path / "a/adc").values()) == [{"adc": "."}]


@pytest.mark.parametrize(("deep", "wanted"), [("DICOM_anon", "t1in"), ("2020/study/series/DICOM", "mr")])
def test_series_may_lie_deeper(tmp_path, rng, deep, wanted):
    for person in "ab":
        write_series(
            tmp_path / person / "T1DUAL" / deep / "InPhase", places(3), rng, study=f"2.{ord(person)}", patient=person
        )
    assert [list(scans) for scans in found(tmp_path).values()] == [[wanted]] * 2


def test_sessions_of_a_person_share_the_subject(tmp_path, rng):
    for n, visit in enumerate(("first", "second")):
        write_series(tmp_path / "p" / visit / "flair", places(3), rng, series=f"1.{n}", study=f"2.{n}")
    write_series(tmp_path / "q" / "flair", places(3), rng, series="1.9", study="2.9", patient="another-7")
    write_series(tmp_path / "same_as_p" / "flair", places(3), rng, series="1.10", study="2.10")
    cases = find_cohort(tmp_path).cases
    assert [case.id for case in cases] == ["p_first", "p_second", "q", "same_as_p"]
    subjects = [case.subject for case in cases]
    assert subjects[0] == subjects[1] == subjects[3] != subjects[2]


@pytest.mark.parametrize("patient", ["", "ANONYMOUS", "Anonymized", "0000", "unknown", "PATIENT"])
def test_an_id_that_many_share_joins_nobody(tmp_path, rng, patient):
    for n in range(3):
        write_series(tmp_path / f"c{n}" / "t1", places(3), rng, series=f"1.{n}", study=f"2.{n}", patient=patient)
    assert len({case.subject for case in find_cohort(tmp_path).cases}) == 3


def test_people_in_one_flat_folder_get_pseudonyms(tmp_path, rng):
    for n, person in enumerate(("Miller-1", "Smith-2")):
        write_series(
            tmp_path / "export", places(3), rng, series=f"1.{n}", study=f"2.{n}", patient=person, start=10 * n,
            SeriesDescription="t1_mprage_sag",
        )  # fmt: skip
    first, second = (case.id for case in find_cohort(tmp_path / "export").cases)
    assert first != second
    assert all(name.startswith("export_") and len(name) == len("export_") + 8 for name in (first, second))
    # The same on this computer tomorrow.
    assert [case.id for case in find_cohort(tmp_path / "export").cases] == [first, second]


def test_a_pseudonym_tells_nothing_without_the_key(home, tmp_path, monkeypatch):
    here = pseudonym("someone")
    assert here == pseudonym("someone") != pseudonym("another")
    assert (home / "pseudonyms.key").stat().st_mode & 0o077 == 0
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "elsewhere"))
    assert pseudonym("someone") != here


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ({"SeriesDescription": "t2_tse_tra_320_p2"}, "t2"),
        ({"SeriesDescription": "AX T2 FLAIR"}, "flair"),
        ({"SeriesDescription": "t2_tirm_tra_dark-fluid"}, None),
        ({"SeriesDescription": "t1_mprage_sag"}, "t1"),
        ({"SeriesDescription": "T1 post GD"}, "t1ce"),
        ({"SeriesDescription": "t1_mprage", "ContrastBolusAgent": "Gadovist"}, "t1ce"),
        ({"SeriesDescription": "", "ProtocolName": "FLAIR"}, "flair"),
        ({"SeriesDescription": "b800", "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND"]}, "adc"),
        ({"SeriesDescription": "ep2d", "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"]}, "dwi"),
        ({"SeriesDescription": "ep2d_511bCALC_BVAL"}, "hbv"),
        ({"SeriesDescription": "t2 and t1 at once"}, None),
        ({"SeriesDescription": "whatever", "modality": "CT"}, "ct"),
        ({"SeriesDescription": "MR-AC", "modality": "PT"}, "pet"),
    ],
)
def test_series_are_named_by_their_headers(tmp_path, rng, tags, wanted):
    write_series(tmp_path / "x", places(3), rng, **tags)
    (case,) = find_cohort(tmp_path / "x").cases
    assert list(case.modalities) == [wanted or "mr"]
    assert kinds(case) == ([] if wanted else ["missing_modality"])


def test_series_that_nothing_names_or_that_share_a_name_are_left_out(tmp_path, rng):
    for n, name in enumerate(("t2_tra", "t2_sag", "what", "why", "adc")):
        write_series(tmp_path / "case" / name, places(3), rng, series=f"1.{n}")
    (case,) = find_cohort(tmp_path).cases
    assert list(case.modalities) == ["adc"]
    assert kinds(case) == ["missing_modality"] * 3
    assert "may all be t2" in texts(case)


def test_stacks_that_their_type_names_are_modalities(tmp_path, rng):
    types = (["DERIVED", "PRIMARY", "DIFFUSION", "ADC"], ["ORIGINAL", "PRIMARY", "DIFFUSION", "TRACEW"])
    pixels = write_series(
        tmp_path, [place for place in places(4) for _ in range(2)], rng, each=lambda n: {"ImageType": types[n % 2]},
        shuffle=False,
    )  # fmt: skip
    (case,) = find_cohort(tmp_path).cases
    assert set(case.modalities) == {"adc", "dwi"}
    assert kinds(case) == ["mixed_series"]
    np.testing.assert_array_equal(read_scan(case.modalities["adc"]).array, pixels[::2])
    np.testing.assert_array_equal(read_scan(case.modalities["dwi"]).array, pixels[1::2])


def test_a_broken_series_is_a_finding_and_the_others_stay(tmp_path, rng):
    write_series(tmp_path / "c" / "t1", [places(6)[n] for n in (0, 1, 3, 4, 5)], rng, series="1.1")
    write_series(tmp_path / "c" / "t2", places(4), rng, series="1.2")
    write_series(tmp_path / "c" / "flair", places(4), rng, series="1.3", each=lambda n: {"DiffusionBValue": n % 2})
    (tmp_path / "c" / "t2" / "cut.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\1" * 60)
    write_series(tmp_path / "c" / "scout", places(1, SAGITTAL), rng, series="1.4", ImageType=["ORIGINAL", "LOCALIZER"])
    (case,) = find_cohort(tmp_path).cases
    assert list(case.modalities) == ["t2"]
    assert {"missing_slice", "mixed_series", "localizer", "unreadable"} == set(kinds(case))
    assert "'t1' is left out: 1 of 6 slices is missing" in texts(case)


def test_nothing_but_damage_is_refused(tmp_path):
    (tmp_path / "series").mkdir()
    (tmp_path / "series/IM1").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 100)
    with pytest.raises(LayoutError, match="DICOM"):
        find_cohort(tmp_path)


def test_nifti_files_made_of_the_series_come_first_and_cost_no_look_at_them(tmp_path, rng, write_nifti, monkeypatch):
    write_nifti(tmp_path / "a/t1.nii.gz")
    write_series(tmp_path / "a/source", places(3), rng)
    monkeypatch.setattr("napari_mmssl.cohorts.layouts.dicom.find_series", None)
    assert find_cohort(tmp_path).layout == "folder_per_case"


def test_a_label_map_beside_the_series_is_taken(tmp_path, rng, write_nifti):
    two_people(tmp_path, rng)
    write_nifti(tmp_path / "a/seg.nii.gz", dtype=np.uint8)
    write_nifti(tmp_path / "b_seg.nii.gz", dtype=np.uint8)
    assert [case.label.path.name for case in find_cohort(tmp_path).cases] == ["seg.nii.gz", "b_seg.nii.gz"]


def test_two_series_of_one_folder_are_prepared_apart(tmp_path, rng):
    for n in range(2):
        write_series(
            tmp_path / "x", places(12), rng, shape=(12, 12), series=f"1.{n}", study=f"2.{n}", start=20 * n,
            SeriesDescription="t1",
        )  # fmt: skip
    first, second = prepare_cohort(find_cohort(tmp_path / "x").cases, None)
    assert not np.array_equal(first.volumes, second.volumes)


def leaks(text):
    return [word for word in (NAME, *NAME.split("^"), PATIENT_ID) if word.lower() in text.lower()]


def test_no_patient_comes_along(tmp_path, rng, capsys, home):
    root = two_people(tmp_path / "in", rng)
    write_series(root / "flat", places(3), rng, series="5", study="5")
    write_series(root / "flat", places(3), rng, series="6", study="6", start=10)
    broken = root / "flat" / "IM0011.dcm"
    data = broken.read_bytes()
    broken.write_bytes(data[: data.index(NAME.encode()) + 6])
    odd = pydicom.dcmread(root / "a/adc/IM0001.dcm")
    odd.PixelSpacing = [1, 2]
    odd[0x00280030]._value = NAME
    save(odd, root / "a/adc/IM0001.dcm")
    for arguments in (
        ["inspect", str(root)],
        ["inspect", str(root), "--json"],
        ["convert", str(root / "a/t2_tse_tra"), str(tmp_path / "out.nii")],
        ["convert", str(root / "a/t2_tse_tra"), str(tmp_path / "out.mha")],
        ["convert", str(root / "a/t2_tse_tra"), str(tmp_path / "out.nrrd")],
        ["convert", str(root / "a/adc"), str(tmp_path / "adc.nii")],
        ["convert", str(broken), str(tmp_path / "no.nii")],
    ):
        main(arguments)
        output = capsys.readouterr()
        assert leaks(output.out + output.err) == []
    written = [*tmp_path.glob("out.*"), *home.rglob("*")]
    assert len(list(tmp_path.glob("out.*"))) == 3
    assert [path for path in written if path.is_file() and leaks(path.read_bytes().decode("latin-1"))] == []


def test_inspect_shows_the_series(tmp_path, rng, capsys):
    two_people(tmp_path, rng)
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    first, _ = json.loads(capsys.readouterr().out)["cases"]
    assert first["modalities"]["t2"] == {
        "path": str(tmp_path / "a/t2_tse_tra"),
        "channel": None,
        "series_uid": "1.97.0",
        "shape": [4, 7, 5],
        "spacing_mm": [3.0, 1.5, 2.0],
        "orientation": "LPS",
        "synthetic": False,
    }


def test_a_loop_of_links_ends(tmp_path, rng):
    two_people(tmp_path, rng)
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert set(found(tmp_path)) == {"a", "b"}


def test_a_file_by_itself(tmp_path, rng):
    save(dataset(np.zeros((5, 6), np.uint16), (0, 0, 0)), tmp_path / "adc.dcm")
    (case,) = find_cohort(tmp_path / "adc.dcm").cases
    assert case.modalities["adc"].geometry.shape == (1, 5, 6)


@pytest.mark.parametrize("most_bytes", [1 << 20, 0])
def test_a_segmentation_among_the_series_is_the_label_map(tmp_path, rng, monkeypatch, most_bytes):
    """With all slices in it, and with those alone that hold a label."""
    monkeypatch.setattr(dicom_segmentation_writing, "_MOST_BYTES", most_bytes)
    write_series(tmp_path / "anna" / "t1", places(5), rng)
    (stack,) = choose_series(tmp_path / "anna" / "t1").stacks
    array = rng.integers(0, 3, stack.geometry.shape).astype(np.uint8)
    array[[0, 1]] = 0
    labels = LabelMap(array, stack.geometry, (LabelClass(1, "liver", "#ff0000"), LabelClass(2, "spleen", "#00ff00")))
    for folder in ("seg", "t1"):
        path = tmp_path / "anna" / folder / "seg.dcm"
        path.parent.mkdir(exist_ok=True)
        write_segmentation(path, labels, stack)
        (case,) = find_cohort(tmp_path).cases
        assert list(case.modalities) == ["t1"]
        assert not case.findings
        np.testing.assert_array_equal(read_label(case.label).array, array)
        assert prepare_case(case, None).label.any()
        if folder == "seg":
            path.unlink()
    write_segmentation(tmp_path / "anna" / "t1" / "second.dcm", labels, stack)
    (case,) = find_cohort(tmp_path).cases
    assert case.label is None
    assert "label_candidates" in [finding.kind for finding in case.findings]


def test_processes_that_come_at_once_agree_on_the_key(tmp_path):
    code = "from napari_mmssl.cohorts.pseudonyms import pseudonym; print(pseudonym('someone'))"
    environment = os.environ | {"MMSSL_HOME": str(tmp_path / "new")}
    every = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert len({one.communicate()[0] for one in every}) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pseudonyms.key"]
