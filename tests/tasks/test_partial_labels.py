import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.cohorts.case import Cohort
from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.errors import ConfigError
from napari_mmssl.tasks.conventions import BRATS_2018
from napari_mmssl.tasks.partial_labels import SOME_CLASS, UNKNOWN, drawn_whole, mark_whole, with_unknown
from napari_mmssl.tasks.segmentation import Segmentation, SegmentationSettings
from napari_mmssl.volumes.geometry import Geometry

MIXED = {"a": {0, 1, 2, 4}, "b": {0, 1}, "c": {0, 255}, "d": {0}, "e": {0, 2}}


def prepared(case_id, label):
    geometry = Geometry(label.shape, np.eye(4))
    return PreparedCase(case_id, case_id, ("t1",), np.zeros((1, *label.shape)), label > -1, label, geometry, geometry)


def test_whole_lesions_are_those_of_one_value_beside_others_with_parts():
    assert drawn_whole(MIXED) == {"b", "c"}
    assert drawn_whole({"a": {0, 1}, "b": {1}}) == set()


@given(values=st.lists(st.sampled_from([0, 1, 2, 4, 9]), min_size=8, max_size=8))
def test_what_is_known_keeps_its_class_and_the_rest_says_nothing(values):
    label = np.array(values).reshape(2, 2, 2)
    classes = with_unknown(BRATS_2018, [9]).to_classes(label)
    known = label != 9
    assert (classes[~known] == UNKNOWN).all()
    np.testing.assert_array_equal(classes[known], BRATS_2018.to_classes(label[known]))


def test_a_whole_lesion_says_some_class_and_other_cases_are_as_they_were():
    label = np.array([[[0, 1], [1, 0]]])
    whole, plain = mark_whole([prepared("b", label), prepared("a", label)], {"b"})
    convention = with_unknown(BRATS_2018, [])
    np.testing.assert_array_equal(convention.to_classes(whole.label), label * SOME_CLASS)
    np.testing.assert_array_equal(convention.to_classes(plain.label), label)
    assert plain.label is label


def test_mixed_codings_are_refused_unless_the_union_was_asked_for(tmp_path):
    cohort = Cohort(tmp_path, "brats", (), ())
    with pytest.raises(ConfigError, match="coded differently"):
        Segmentation.fit(SegmentationSettings(), cohort, [], MIXED)
    facts, reason = Segmentation.fit(SegmentationSettings(whole_lesions="union"), cohort, [], MIXED)
    assert facts["convention"]["name"] == "brats2018"
    assert facts["whole"] == ["b", "c"]
    assert "2 cases hold whole lesions" in reason


def test_unknown_values_do_not_stand_in_the_way_of_telling_the_coding(tmp_path):
    cohort = Cohort(tmp_path, "brats", (), ())
    facts, _ = Segmentation.fit(SegmentationSettings(unknown=[9]), cohort, [], {"a": {0, 1, 2, 4, 9}})
    assert facts["convention"]["name"] == "brats2018"
