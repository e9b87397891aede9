"""Broken files, odd folders and marks on a cohort."""

import os

import nibabel as nib
import numpy as np
import pytest
from cohort_trees import found, kinds, texts, tree

from napari_mmssl.cohorts.find import find_cohort, recognise
from napari_mmssl.errors import GeometryError, LayoutError, MmsslError, ReadError
from napari_mmssl.volumes.geometry import to_nifti


def test_ids_are_unique_and_safe_as_file_names(tmp_path, write_nifti):
    names = ["one/x/t1.nii.gz", "two/x/t1.nii.gz", "two/X/t1.nii.gz", "two/a b(ä)/t1.nii.gz"]
    for name in names:
        write_nifti(tmp_path / name)
    ids = [case.id for case in find_cohort(tmp_path).cases]
    assert len({case_id.lower() for case_id in ids}) == 4
    assert all(part not in case_id for case_id in ids for part in '/\\ ():*?"<>|ä')
    assert {"one_x", "a_b"} <= {case_id.rstrip("_") for case_id in ids}


def test_one_file_that_cannot_be_read_is_an_error(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "t1.nii.gz", shape_xyz=(20, 20, 20))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ReadError, match="ends early"):
        find_cohort(path)
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), None)
    image.set_sform(np.zeros((4, 4)), code=1)
    nib.save(image, tmp_path / "t2.nii")
    with pytest.raises(GeometryError, match=r"t2\.nii"):
        find_cohort(tmp_path / "t2.nii")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ReadError, match="known file endings"):
        find_cohort(tmp_path / "notes.txt")


def test_one_broken_file_is_a_finding_on_its_case(tmp_path, write_nifti):
    tree(tmp_path, "a/t1.nii.gz a/t2.nii.gz a/seg.nii.gz b/t1.nii.gz b/t2.nii.gz", write_nifti)
    (tmp_path / "a/t1.nii.gz").write_bytes(b"")
    write_nifti(tmp_path / "a/seg.nii.gz", shape_xyz=(5, 6, 7, 3), dtype=np.uint8)
    first, second = find_cohort(tmp_path).cases
    assert set(first.modalities) == {"t2"}
    assert first.label is None
    assert sorted(kinds(first)) == ["not_a_volume", "unreadable"]
    assert set(second.modalities) == {"t1", "t2"}
    assert second.findings == ()


def test_a_broken_link_is_a_finding(tmp_path, write_nifti):
    tree(tmp_path, "a/t1.nii.gz", write_nifti)
    (tmp_path / "a/t2.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    (case,) = find_cohort(tmp_path / "a").cases
    assert kinds(case) == ["unreadable"]


def test_a_loop_of_links_ends(tmp_path, write_nifti):
    tree(tmp_path, "a/t1.nii.gz", write_nifti)
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert "a" in found(find_cohort(tmp_path))


@pytest.mark.parametrize(
    ("names", "wanted"),
    [("", "no image file"), ("x/AIL.nii.gz x/LAS.nii.gz", "named after a modality"), ("seg_1.nii.gz", "named after")],
)
def test_a_folder_in_no_layout_is_refused_with_what_was_met(tmp_path, write_nifti, names, wanted):
    tree(tmp_path, names, write_nifti)
    with pytest.raises(LayoutError, match=wanted):
        find_cohort(tmp_path)


def test_a_folder_of_dicom_files_is_named_as_one(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    (folder / "IM1").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 100)
    with pytest.raises(LayoutError, match="DICOM"):
        find_cohort(tmp_path)


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(LayoutError, match="no file or folder"):
        find_cohort(tmp_path / "gone")


def test_images_of_a_decathlon_alone_lead_to_the_folder_above(tmp_path, write_nifti):
    tree(tmp_path, "imagesTr/BRATS_001.nii.gz", write_nifti)
    with pytest.raises(LayoutError, match="folder above"):
        find_cohort(tmp_path / "imagesTr")


def test_folder_names_of_all_sorts_do_no_harm(tmp_path, write_nifti, rng):
    alphabet = "t1seg_-. *ä\n'\"%s{}0"
    for _ in range(60):
        name = "".join(rng.choice(list(alphabet), rng.integers(1, 12)))
        if name.strip(". "):
            write_nifti(tmp_path / name / f"{name}_t1.nii.gz")
    try:
        cohort = find_cohort(tmp_path)
    except MmsslError as error:
        pytest.fail(f"nothing of this is broken: {error}")
    assert len({case.id for case in cohort.cases}) == len(cohort.cases) > 30


def test_recognising_opens_no_image(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/t1.nii.gz").write_bytes(b"not an image")
    name, recognised = recognise(tmp_path)
    assert (name, len(recognised.cases)) == ("folder_per_case", 1)


def test_a_phantom_is_marked_by_its_note_and_by_its_headers(tmp_path, write_nifti):
    write_nifti(tmp_path / "noted/a/t1.nii.gz")
    (tmp_path / "noted/phantom.json").write_text('{"generator": "glioma", "version": 3}')
    write_nifti(tmp_path / "marked/a/t1.nii.gz", description="MMSSL PHANTOM glioma v3")
    for path in (tmp_path / "noted", tmp_path / "noted/a", tmp_path / "noted/a/t1.nii.gz", tmp_path / "marked/a"):
        (case,) = find_cohort(path).cases
        assert kinds(case) == ["phantom"]
        assert "3" in texts(case)


def test_a_place_that_is_a_guess_is_said(tmp_path):
    array = np.zeros((4, 5, 6), np.int16)
    nowhere = nib.Nifti1Image(array, None)  # neither qform nor sform
    mirrored = nib.Nifti1Image(array, np.eye(4))
    mirrored.set_sform(np.diag([-1.0, 1, 1, 1]), "scanner")
    mirrored.set_qform(np.eye(4), "scanner")
    for folder, image in (("a", nowhere), ("b", mirrored)):
        (tmp_path / folder).mkdir()
        nib.save(image, tmp_path / folder / "t1.nii.gz")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "t1.nrrd").write_bytes(
        b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 5 6\nspacings: 1 2 3\nencoding: raw\n\n" + bytes(120)
    )
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "t1.mha").write_bytes(
        b"NDims = 3\nDimSize = 4 5 6\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n" + bytes(120)
    )
    findings = {case.id: case.findings for case in find_cohort(tmp_path).cases}
    assert {finding.kind for found in findings.values() for finding in found} == {"misregistered"}
    assert [("are a guess" in found.text, "in doubt" in found.text) for (found,) in findings.values()] == [
        (True, False), (False, True), (True, False), (True, False)
    ]  # fmt: skip
    # nibabel is followed where readers differ.
    (case,) = (case for case in find_cohort(tmp_path).cases if case.id == "a")
    np.testing.assert_allclose(
        to_nifti(case.modalities["t1"].geometry.affine), nib.load(tmp_path / "a/t1.nii.gz").affine
    )


def test_a_synthetic_file_is_marked(tmp_path, write_nifti):
    write_nifti(tmp_path / "t1.nii.gz")
    write_nifti(tmp_path / "t2.nii.gz", description="MMSSL SYNTHETIC t2 from t1")
    (case,) = find_cohort(tmp_path).cases
    assert {name: scan.synthetic for name, scan in case.modalities.items()} == {"t1": False, "t2": True}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_keeps_nobody_waiting(tmp_path, write_nifti):
    os.mkfifo(tmp_path / "a")
    with pytest.raises(LayoutError, match="no image file"):
        find_cohort(tmp_path)
    tree(tmp_path, "case/t1.nii.gz", write_nifti)
    os.mkfifo(tmp_path / "case/t2.nii.gz")
    (case,) = find_cohort(tmp_path).cases
    assert kinds(case) == ["unreadable"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to this user")
def test_a_closed_folder_is_said_and_stops_nothing(tmp_path, write_nifti):
    tree(tmp_path, "a/t1.nii.gz lost+found/x.nii.gz", write_nifti)
    (tmp_path / "lost+found").chmod(0)
    try:
        cohort = find_cohort(tmp_path)
        assert found(cohort) == {"a": {"t1": "t1.nii.gz"}}
        assert "lost+found" in " ".join(cohort.reasons)
    finally:
        (tmp_path / "lost+found").chmod(0o700)


def test_a_folder_of_several_cohorts_leads_to_one_of_them(tmp_path, write_nifti):
    for task in ("Task01_BrainTumour", "Task05_Prostate"):
        write_nifti(tmp_path / task / "imagesTr/a_001.nii.gz", shape_xyz=(5, 6, 7, 2))
        (tmp_path / task / "dataset.json").write_text('{"modality": {"0": "T2", "1": "ADC"}}')
    with pytest.raises(LayoutError, match="choose one of them"):
        find_cohort(tmp_path)
