"""Who a person is goes into nothing that is written, said or logged, but the DICOM segmentation that must tell it."""

import gzip
import logging
import zlib

import numpy as np
import pydicom
import pytest
from made_dicom import dataset, places, save

from napari_mmssl.cli.main import main
from napari_mmssl.volumes.dicom_segmentation_writing import write_segmentation
from napari_mmssl.volumes.dicom_series import choose_series
from napari_mmssl.volumes.volume import LabelClass, LabelMap

WHO = {
    "PatientName": "Zyxwvut^Quirinus",
    "PatientID": "PID-8675309",
    "PatientBirthDate": "19570314",
    "ReferringPhysicianName": "Housekeeper^Dr",
    "InstitutionName": "Saint Eligius",
    "AccessionNumber": "ACC424242",
    "OtherPatientIDs": "OTHER5551212",
    "PatientAddress": "Elmstreet",
}
MARKS = [part for value in WHO.values() for part in value.replace("^", " ").split() if len(part) > 3]
SMALL = ["--steps", "2", "--patch", "16,16,16", "--validate-every", "2"]
PUZZLE = ["--set", "objectives.puzzle.grid=[2,2,2]", "--set", "objectives.puzzle.jitter=1"]


def write_people(root):
    z, y, x = np.indices((20, 22, 18))
    body = ((z - 10) / 9) ** 2 + ((y - 11) / 10) ** 2 + ((x - 9) / 8) ** 2 < 1
    lesion = (z - 10) ** 2 + (y - 11) ** 2 + (x - 7) ** 2 < 16
    for n in range(3):
        for name, level in (("t1", 300), ("flair", 500)):
            pixels = (body * level + lesion * 150 + (z * y + x * n) % 7).astype(np.uint16)
            for k, place in enumerate(places(20)):
                same = {"series": f"1.{n}.{level}", "study": f"2.{n}", "spacing": (3, 3), "number": k + 1}
                who = WHO | {"PatientID": f"{WHO['PatientID']}{n}"}
                save(dataset(pixels[k], place, **same, **who), root / f"case{n}" / name / f"{k}.dcm")
        (stack,) = choose_series(root / f"case{n}" / "t1").stacks
        labels = LabelMap(lesion.astype(np.uint8), stack.geometry, (LabelClass(1, "lesion", "#d55e00"),))
        write_segmentation(root / f"case{n}" / "t1" / "labels.dcm", labels, stack)
    return root


def unpacked(path):
    """Everything readable in a file: its bytes, and what is packed in them."""
    data = path.read_bytes()
    texts = [data]
    if data[:2] == b"\x1f\x8b":
        texts.append(gzip.decompress(data))
    start = data.find(b"\x1f\x8b", 1)
    if start > 0 and path.suffix == ".nrrd":
        texts.append(gzip.decompress(data[start:]))
    if path.suffix == ".mha" and (end := data.find(b"LOCAL\n")) > 0:
        texts.append(zlib.decompress(data[end + 6 :]))
    return b"\n".join(texts).decode("latin-1")


@pytest.fixture
def said(tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")
    caplog.set_level(logging.DEBUG)

    def collected():
        output = capsys.readouterr()
        return output.out + output.err + caplog.text

    return collected


def test_from_dicom_to_prediction_nobody_is_named(tmp_path, said):
    people, out = write_people(tmp_path / "people"), tmp_path / "out"
    out.mkdir()
    # highdicom copies the patient, and would log a name it finds odd.
    assert not [mark for mark in MARKS if mark in said()]
    scan, seg = people / "case1" / "t1", people / "case1" / "t1" / "labels.dcm"
    commands = [
        ["inspect", people],
        ["inspect", people, "--json"],
        ["convert", scan, out / "a.nii.gz"],
        ["convert", scan, out / "a.nrrd"],
        ["convert", scan, out / "a.mha"],
        *(["convert", seg, out / f"seg{ending[1:]}{ending}"] for ending in (".nii.gz", ".nrrd", ".mha")),
        ["pretrain", people, "--recipe", "taleb2020", "--out", out / "pre", *SMALL, *PUZZLE],
        ["finetune", people, "--weights", out / "pre", "--out", out / "fine", *SMALL],
        ["predict", people, "--weights", out / "fine", "--out", out / "all"],
        ["evaluate", out / "all", people],
        ["convert", out / "all" / "case1.nii.gz", out / "seg.dcm", "--reference", scan],
    ]
    for command in commands:
        assert main([str(word) for word in command]) == 0, command
    assert not [mark for mark in MARKS if mark in said()]
    for path in (*out.rglob("*"), *(tmp_path / "home").rglob("*")):
        if path.is_file() and path.name != "seg.dcm":
            text = f"{path} {unpacked(path)}"
            assert not [mark for mark in MARKS if mark in text], path
    told = pydicom.dcmread(out / "seg.dcm")
    assert told.PatientID == "PID-86753091"
    assert {one.SegmentAlgorithmType for one in told.SegmentSequence} == {"AUTOMATIC"}
