"""Label maps over a DICOM case in napari: saved as DICOM segmentations through the workflow, and opened again."""

import numpy as np
import pydicom
import pytest
from made_dicom import NAME, PATIENT_ID, oblique, places, save, structure_set, write_series

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.errors import MmsslError, WriteError
from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY, labels_layer
from napari_mmssl.viewer.readers import get_reader
from napari_mmssl.viewer.reading import read_case
from napari_mmssl.viewer.segment.widget import SegmentWidget
from napari_mmssl.viewer.writers import PREDICTION_ROLE, layers_of, save_labels
from napari_mmssl.volumes.dicom_series import read_series
from napari_mmssl.volumes.image_files import read_label_map
from napari_mmssl.volumes.volume import LabelClass, LabelMap
from napari_mmssl.workflows.convert import convert

CLASSES = (LabelClass(1, "core", "#d55e00"), LabelClass(4, "oedema", "#56b4e9"))


@pytest.fixture
def case(tmp_path, rng):
    """Two series of one grid and one of another, all in one folder: the UID must tell which is meant."""
    orientation = oblique(rng)
    same = {"orientation": orientation, "SliceThickness": 3}
    for n, name in enumerate(("t1", "t2")):
        start = 10 * n
        write_series(
            tmp_path / "anna", places(5, orientation), rng, series=f"1.{n}", start=start, **same, ProtocolName=name
        )
    write_series(tmp_path / "anna", places(4), rng, series="1.5", start=40, ProtocolName="flair")
    (found,) = find_cohort(tmp_path / "anna").cases
    return found


@pytest.fixture
def shown(viewer, case):
    CaseView(viewer).show(read_case(case))
    return viewer


def predicted(case, rng):
    grid = read_series(case.modalities["t2"].path, "1.1").geometry
    labels = LabelMap(rng.choice((0, 1, 4), grid.shape).astype(np.uint8), grid, CLASSES)
    return labels, labels_layer(labels, "prediction", case=case.id, role=PREDICTION_ROLE)


def test_a_prediction_is_saved_as_a_segmentation_of_the_series_under_it(shown, case, tmp_path, rng):
    labels, (data, state, _) = predicted(case, rng)

    save_labels(tmp_path / "seg.dcm", data, state, layers_of(shown))

    back = read_label_map(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(back.array, labels.array)
    assert back.classes == CLASSES
    told = pydicom.dcmread(tmp_path / "seg.dcm")
    assert told.ReferencedSeriesSequence[0].SeriesInstanceUID in ("1.0", "1.1")
    assert (str(told.PatientName), told.PatientID) == (NAME, PATIENT_ID)
    assert told.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"


def test_the_window_and_the_command_line_write_the_same_segments(shown, case, tmp_path, rng):
    _, (data, state, _) = predicted(case, rng)
    save_labels(tmp_path / "window.dcm", data, state, layers_of(shown))
    save_labels(tmp_path / "labels.nii.gz", data, state, layers_of(shown))
    convert(tmp_path / "labels.nii.gz", tmp_path / "line.dcm", reference=tmp_path / "anna", series="1.0")
    one, other = (pydicom.dcmread(tmp_path / f"{name}.dcm") for name in ("window", "line"))
    assert one.PixelData == other.PixelData
    assert one.PerFrameFunctionalGroupsSequence == other.PerFrameFunctionalGroupsSequence


def test_the_segment_widget_offers_it(shown, case, tmp_path, rng, qtbot):
    widget = SegmentWidget(shown)
    qtbot.addWidget(widget)
    labels, layer = predicted(case, rng)
    widget.layer = CaseView(shown).add(layer)
    widget.save(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(read_label_map(tmp_path / "seg.dcm").array, labels.array)


def test_images_of_the_series_are_never_replaced(shown, case, tmp_path, rng):
    _, (data, state, _) = predicted(case, rng)
    target = tmp_path / "anna" / "IM0001.dcm"
    before = target.read_bytes()
    with pytest.raises(WriteError, match="never replaced"):
        save_labels(target, data, state, layers_of(shown))
    assert target.read_bytes() == before


def test_without_a_series_under_it_it_says_what_to_do(viewer, case, tmp_path, rng):
    _, (data, state, _) = predicted(case, rng)
    with pytest.raises(WriteError, match="mmssl convert"):
        save_labels(tmp_path / "seg.dcm", data, state, layers_of(viewer))


def test_a_segmentation_dropped_on_the_window_is_a_labels_layer_with_its_names(shown, case, tmp_path, rng):
    labels, (data, state, _) = predicted(case, rng)
    save_labels(tmp_path / "seg.dcm", data, state, layers_of(shown))
    path = str(tmp_path / "seg.dcm")
    ((read, attributes, kind),) = get_reader(path)(path)
    assert kind == "labels"
    assert attributes["features"]["class"] == ["background", "core", "oedema"]
    np.testing.assert_array_equal(np.sort(read.ravel()), np.sort(labels.array.ravel()))
    assert attributes["metadata"][METADATA_KEY].geometry.same_grid(labels.geometry)


def test_contours_that_overlap_are_layers_of_their_own(case, tmp_path):
    grid = read_series(tmp_path / "anna", "1.5").geometry
    corners = np.array([[1, 0.5, 0.5], [1, 0.5, 3.5], [1, 4.5, 3.5], [1, 4.5, 0.5]])
    contour = grid.index_to_world(corners) * (-1, -1, 1)
    structures = [("body", None, [contour]), ("organ", (1, 2, 3), [contour])]
    path = save(structure_set(structures, series="1.5"), tmp_path / "anna" / "rs.dcm")
    layers = get_reader(str(path))(str(path))
    assert [state["name"] for _, state, _ in layers] == ["rs [body]", "rs [organ]"]
    assert [np.count_nonzero(data) for data, _, _ in layers] == [12, 12]
    alone = tmp_path / "alone.dcm"
    path.rename(alone)
    with pytest.raises(MmsslError, match="--reference"):
        get_reader(str(alone))(str(alone))
