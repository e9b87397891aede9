"""Names and colours of label values, in the small file beside a label map."""

import numpy as np
import pytest

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import classes_file, read_label_map, write_label_map
from napari_mmssl.volumes.volume import LabelClass, LabelMap


def test_writing_a_label_map_without_classes_removes_the_names_of_an_earlier_one(tmp_path):
    geometry = Geometry((2, 2, 2), np.eye(4))
    labels = np.zeros((2, 2, 2), np.uint8)
    write_label_map(tmp_path / "seg.nii", LabelMap(labels, geometry, (LabelClass(1, "liver", "#ff0000"),)))
    write_label_map(tmp_path / "seg.nii", LabelMap(labels, geometry))
    assert read_label_map(tmp_path / "seg.nii").classes == ()


def test_label_maps_of_one_stem_share_no_names(tmp_path):
    labels, geometry = np.ones((2, 2, 2), np.uint8), Geometry((2, 2, 2), np.eye(4))
    names = {".nii.gz": "liver", ".mha": "spleen", ".nii": "kidney"}
    for ending, name in names.items():
        write_label_map(tmp_path / f"a{ending}", LabelMap(labels, geometry, (LabelClass(1, name, "#ff0000"),)))
    assert {end: read_label_map(tmp_path / f"a{end}").classes[0].name for end in names} == names
    write_label_map(tmp_path / "a.mha", LabelMap(labels, geometry))
    assert [read_label_map(tmp_path / f"a{end}").classes != () for end in names] == [True, False, True]


def test_names_beside_a_file_of_another_format_are_its_own_unless_a_nifti_has_them(tmp_path):
    labels = LabelMap(np.ones((2, 2, 2), np.uint8), Geometry((2, 2, 2), np.eye(4)))
    write_label_map(tmp_path / "a.mha", labels)
    (tmp_path / "a.labels.json").write_text('{"classes": [{"value": 1, "name": "liver", "colour": "#ff0000"}]}')
    assert read_label_map(tmp_path / "a.mha").classes[0].name == "liver"
    (tmp_path / "a.nii.gz").touch()
    assert read_label_map(tmp_path / "a.mha").classes == ()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"classes": 3}',
        '{"classes": [{"value": 1}]}',
        '{"classes": [{"value": "1", "name": "a", "colour": "#ff0000"}]}',
        '{"classes": [{"value": 1, "name": "a", "colour": "red"}]}',
        '{"classes": [{"value": 1, "name": "a", "colour": null}]}',
        '{"classes": [{"value": 1, "name": "a", "colour": "#ff0000"}, {"value": 1, "name": "b", "colour": "#ff0000"}]}',
    ],
)
def test_damaged_class_names_are_named(tmp_path, write_nifti, text):
    path = write_nifti(tmp_path / "seg.nii.gz", dtype=np.uint8)
    classes_file(path).write_text(text)
    with pytest.raises(ReadError, match=r"seg\.labels\.json"):
        read_label_map(path)
