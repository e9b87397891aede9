"""Names and pictures by which a person is known again."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.image_hash import N_BITS, from_text, image_hash, to_text, unlikeness
from napari_mmssl.cohorts.names import other_names, plain_name
from napari_mmssl.cohorts.people import SAME_SCAN, Traits, same_people


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sub-TCGA-DU-7294", "TCGA-DU-7294"),
        ("TCGA_DU_7294", "tcga-du-7294"),
        ("sub-TCGA-DU-7294_ses-02", "TCGA-DU-7294"),
        ("BraTS19_TCIA01_131_1", "Brats18_TCIA01_131_1"),
        ("BraTS-GLI-00005-000", "BraTS-GLI-00005-001"),
    ],
)
def test_spellings_of_one_person_are_one(one, other):
    assert plain_name(one) == plain_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("case-1_1", "case-11"), ("p1-11", "p11-1"), ("BraTS-GLI-00005-000", "BraTS-GLI-00006-000"), ("sub-1", "sub-2")],
)
def test_different_people_stay_apart(one, other):
    assert plain_name(one) != plain_name(other)


def test_names_that_brats_gave_in_other_years_are_read(tmp_path):
    (tmp_path / "name_mapping.csv").write_text(
        "Grade,BraTS_2017_subject_ID,BraTS_2018_subject_ID,TCGA_TCIA_subject_ID,BraTS_2019_subject_ID,"
        "BraTS_2020_subject_ID\n"
        "HGG,Brats17_CBICA_AAB_1,Brats18_CBICA_AAB_1,NA,BraTS19_CBICA_AAB_1,BraTS20_Training_001\n"
        "HGG,Brats17_TCIA_192_1,Brats18_TCIA02_192_1,TCGA-06-1084,BraTS19_TCIA02_192_1,BraTS20_Training_040\n"
    )
    known = other_names([tmp_path, tmp_path / "gone"])
    assert plain_name("TCGA-06-1084") in known[plain_name("BraTS20_Training_040")]
    assert plain_name("Brats18_TCIA02_192_1") in known[plain_name("TCGA-06-1084")]
    assert "na" not in known
    assert not known[plain_name("BraTS20_Training_001")] & known[plain_name("BraTS20_Training_040")]


def test_a_person_of_two_names_is_one_subject_that_no_split_parts(tmp_path, write_nifti):
    for name in ("TCGA-06-1084", "BraTS20_Training_040", "BraTS20_Training_041", "sub-XY-77", "XY-77"):
        write_nifti(tmp_path / name / "t1.nii.gz")
    (tmp_path / "name_mapping.csv").write_text(
        "Grade,TCGA_TCIA_subject_ID,BraTS_2020_subject_ID\nHGG,TCGA-06-1084,BraTS20_Training_040\n"
    )
    cohort = find_cohort(tmp_path)
    assert [len({case.subject for case in cohort.cases if part in case.id}) for part in ("1084", "040", "XY")] == [
        1,
        1,
        1,
    ]
    subjects = {case.id: case.subject for case in cohort.cases}
    assert subjects["TCGA-06-1084"] == subjects["BraTS20_Training_040"] != subjects["BraTS20_Training_041"]
    assert sum("one subject" in reason for reason in cohort.reasons) == 2


def picture(seed, shape=(34, 40, 32)):
    rng = np.random.default_rng(seed)
    grid = np.indices(shape) - (np.array(shape) / 2)[:, None, None, None]
    body = sum((g / (0.42 * n)) ** 2 for g, n in zip(grid, shape, strict=True)) < 1
    values = np.where(body, 500 + 900 * ndimage.gaussian_filter(rng.normal(size=shape), 3), 0)
    return values, body


@given(seed=st.integers(0, 50), gain=st.floats(0.01, 100), offset=st.floats(-500, 500), gamma=st.floats(0.7, 1.4))
def test_the_hash_does_not_change_with_how_intensities_are_written(seed, gain, offset, gamma):
    values, body = picture(seed)
    other = np.where(body, gain * np.maximum(values, 1) ** gamma + offset, 17.0)
    assert unlikeness(image_hash(values, body), image_hash(other, body)) < 0.03


def test_the_hash_stands_cropping_noise_and_other_voxels_and_tells_people_apart():
    values, body = picture(1)
    own = image_hash(values, body)
    noisy = values + np.where(body, np.random.default_rng(0).normal(size=values.shape) * 20, 0)
    assert unlikeness(own, image_hash(noisy, body)) < SAME_SCAN
    assert unlikeness(own, image_hash(values[3:, 2:-2, 1:], body[3:, 2:-2, 1:])) < 0.02
    fine = ndimage.zoom(values, 1.4, order=1)
    assert unlikeness(own, image_hash(fine, fine > 100)) < SAME_SCAN
    for seed in range(2, 12):
        assert unlikeness(own, image_hash(*picture(seed))) > 2 * SAME_SCAN


def test_what_shows_too_little_has_no_hash():
    flat = np.ones((20, 20, 20))
    assert image_hash(flat, flat > 0) is None
    assert image_hash(*(one[:3] for one in picture(1))) is None


def test_hashes_are_kept_as_text():
    bits = image_hash(*picture(4))
    assert (from_text(to_text(bits)) == bits).all()
    assert bits.size * 8 == N_BITS
    with pytest.raises(ValueError, match="bits"):
        from_text(to_text(bits)[:100])


def person(name, seed=None, cohort="/a"):
    hashes = {} if seed is None else {"t1": image_hash(*picture(seed))}
    return Traits(cohort, name, name, frozenset({plain_name(name)}), hashes)


def test_anybodys_names_count_between_cohorts_only_if_no_scan_speaks_against_them():
    ours, theirs = person("case12", 1), person("case12", 2, cohort="/b")
    assert same_people([ours], [theirs]) == []
    assert same_people([ours], [replace(theirs, cohort="/a")])
    assert same_people([ours], [replace(theirs, hashes={})])
    assert same_people([person("TCGA-DU-7294", 1)], [person("TCGA-DU-7294", 2, cohort="/b")])


def test_pairs_are_found_across_blocks_of_many_people(monkeypatch):
    monkeypatch.setattr("napari_mmssl.cohorts.people._BLOCK", 3)
    ours = [person(f"a{seed}x", seed) for seed in range(8)]
    theirs = [person(f"b{seed}x", seed, cohort="/b") for seed in (20, 5, 21, 22, 7)]
    found = {(match.one.case_id, match.other.case_id) for match in same_people(ours, theirs)}
    assert found == {("a5x", "b5x"), ("a7x", "b7x")}
