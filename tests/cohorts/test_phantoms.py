"""The sample cohort: made-up people who differ as people do, with tumours that look like tumours."""

import argparse
import csv
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_mmssl.cli import sample as cli_sample
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.phantoms import phantoms
from napari_mmssl.cohorts.phantoms.glioma import VERSION, clinical_tables, draw_survival, glioma_case
from napari_mmssl.cohorts.phantoms.grid import Grid, smooth_field
from napari_mmssl.cohorts.phantoms.person import Build, grow_brain
from napari_mmssl.cohorts.phantoms.tumour import ENHANCING, NECROTIC_CORE, OEDEMA, _gradient_field
from napari_mmssl.errors import ConfigError, WriteError
from napari_mmssl.volumes.geometry import to_canonical
from napari_mmssl.volumes.image_files import read_header, read_label_map, read_volume
from napari_mmssl.workflows.sample import make_sample

SPACING_MM = 4.0
MODALITIES = ("t1", "t1ce", "t2", "flair")


@pytest.fixture(scope="module")
def people():
    return [glioma_case(index, seed=3, spacing_mm=SPACING_MM) for index in range(5)]


@pytest.fixture(scope="module")
def cohort_folder(tmp_path_factory):
    return make_sample("glioma", tmp_path_factory.mktemp("sample") / "glioma", cases=3, seed=3, spacing_mm=SPACING_MM)


def upright(case, array):
    return to_canonical(case.geometry).apply(array)


def on_common_grid(case, modality):
    """Return a modality with its brain's centre of mass in the middle of a 50³ grid of 4 mm."""
    array = upright(case, case.volumes[modality]).astype(float)
    spacing = np.array(to_canonical(case.geometry).apply_to(case.geometry).spacing_mm)
    centre = np.array(ndimage.center_of_mass(array > 0))
    offsets = (np.indices((50, 50, 50)) - 24.5) * 4.0
    return ndimage.map_coordinates(array, centre[:, None, None, None] + offsets / spacing[:, None, None, None], order=1)


def likeness(first, second):
    both = (first > 0) & (second > 0)
    return np.corrcoef(first[both], second[both])[0, 1]


def test_the_same_seed_and_index_give_the_same_bits(people):
    again = glioma_case(1, seed=3, spacing_mm=SPACING_MM)
    for modality in MODALITIES:
        np.testing.assert_array_equal(again.volumes[modality], people[1].volumes[modality])
    np.testing.assert_array_equal(again.label, people[1].label)
    np.testing.assert_array_equal(again.geometry.affine, people[1].geometry.affine)
    assert (again.clinical, again.facts) == (people[1].clinical, people[1].facts)


def test_another_seed_gives_other_people(people):
    other = glioma_case(1, seed=4, spacing_mm=SPACING_MM)
    assert likeness(on_common_grid(other, "t1"), on_common_grid(people[1], "t1")) < 0.7


def test_people_differ_by_more_than_noise(people):
    brains = [on_common_grid(case, "t1") for case in people]
    pairs = [likeness(first, second) for first, second in itertools.combinations(brains, 2)]
    # Coarse voxels hide folds; docs/concepts/phantoms.md has the numbers at 2 mm beside those of patients.
    assert max(pairs) < 0.7
    assert 0.1 < np.mean(pairs) < 0.58


def test_brains_are_not_their_own_mirror_image(people):
    brains = [on_common_grid(case, "t1") for case in people]
    assert max(likeness(brain, brain[:, :, ::-1]) for brain in brains) < 0.7


def test_brains_differ_in_size_and_fluid(people):
    brains_ml = [np.count_nonzero(case.volumes["t1"]) * case.geometry.voxel_ml for case in people]
    assert 800 < min(brains_ml) < max(brains_ml) < 2000
    assert max(brains_ml) / min(brains_ml) > 1.1
    ventricles_ml = [case.facts["ventricles_ml"] for case in people]
    assert max(ventricles_ml) > 1.5 * min(ventricles_ml)


def test_all_volumes_of_a_case_share_one_grid(people):
    for case in people:
        shapes = {array.shape for array in (*case.volumes.values(), case.label)}
        assert shapes == {case.geometry.shape}
        brain = case.volumes["t1"] > 0
        for modality in MODALITIES:
            np.testing.assert_array_equal(case.volumes[modality] > 0, brain)


def test_files_lie_in_several_orientations_and_the_head_is_upright_in_all(people):
    assert {case.geometry.orientation for case in people} == {"RAS", "LPS", "LAS"}
    for case in people:
        # The cerebrum is wider than the cerebellum, and no brain is wider than long.
        brain = upright(case, case.volumes["t1"]) > 0
        depth = len(brain)
        assert brain[depth // 2 :].any(axis=(0, 1)).sum() >= brain[: depth // 5].any(axis=(0, 1)).sum()
        extent_mm = [np.ptp(np.flatnonzero(brain.any(axis=axes))) for axes in ((0, 2), (0, 1))]
        assert extent_mm[0] > extent_mm[1]


def test_labels_are_those_of_brats_2018_and_lie_in_the_brain(people):
    for case in people:
        assert set(np.unique(case.label)) <= {0, NECROTIC_CORE, OEDEMA, ENHANCING}
        inside = case.volumes["t1"][case.label > 0] > 0
        assert inside.mean() > 0.95


def test_volumes_of_the_label_map_are_those_in_the_facts(people):
    for case in people:
        for value, name in ((OEDEMA, "oedema_ml"), (ENHANCING, "enhancing_ml")):
            measured = np.count_nonzero(case.label == value) * case.geometry.voxel_ml
            assert measured == pytest.approx(case.facts[name], abs=0.02)


def test_dead_core_is_mostly_enclosed_by_enhancing_tumour():
    cases = [glioma_case(index, seed=3, spacing_mm=2.0) for index in (2, 3)]
    for case in cases:
        assert case.facts["grade"] == "high"
        dead = case.label == NECROTIC_CORE
        around = ndimage.binary_dilation(dead) & ~dead
        assert (case.label[around] == ENHANCING).mean() > 0.6


def test_tumour_shows_as_it_does_on_a_scan(people):
    for case in people:
        flair, t1ce = case.volumes["flair"], case.volumes["t1ce"]
        healthy = (flair > 0) & (case.label == 0)
        assert np.median(flair[case.label == OEDEMA]) > np.median(flair[healthy])
        if case.facts["grade"] == "high":
            assert np.median(t1ce[case.label == ENHANCING]) > np.percentile(t1ce[healthy], 90)


def test_a_threshold_does_not_solve_the_task(people):
    scores = []
    for case in people:
        flair, tumour = case.volumes["flair"].astype(float), case.label > 0
        brain = flair > 0
        found = brain & (flair > flair[brain].mean() + 1.7 * flair[brain].std())
        scores.append(2 * (found & tumour).sum() / (found.sum() + tumour.sum()))
    assert np.mean(scores) < 0.8


def test_fluid_in_the_ventricles_grows_with_their_walls_and_in_the_sulci_with_atrophy():
    grid = Grid((44, 52, 44), (4.0, 4.0, 4.0), (-78.0, -114.0, -88.0))

    def grow(ventricle_mm, atrophy):
        build = Build((0.9, 0.9, 0.9), (0, 0, 0), (0, 0, 0), (ventricle_mm, ventricle_mm), atrophy)
        return grow_brain(np.random.default_rng(0), build, grid)

    narrow, wide, thin = grow(-1.0, 0.0), grow(4.0, 0.0), grow(-1.0, 0.8)
    assert wide.ventricle.sum() > 2 * narrow.ventricle.sum()
    inside = narrow.head > 0.5
    assert (thin.csf[inside].sum()) > 1.15 * narrow.csf[inside].sum()
    for anatomy in (narrow, wide, thin):
        np.testing.assert_allclose(anatomy.csf + anatomy.gm + anatomy.wm, 1, atol=1e-5)
        assert min(anatomy.csf.min(), anatomy.gm.min(), anatomy.wm.min()) > -1e-5


def test_displacement_has_the_divergence_it_was_asked_for():
    grid = Grid((40, 44, 48), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    far = np.linalg.norm(grid.points_mm() - np.array([40, 44, 48])[:, None, None, None], axis=0)
    source = ndimage.gaussian_filter((far < 14).astype(np.float32), 1.5)
    field = _gradient_field(source, grid)
    divergence = sum(np.gradient(field[axis], 2.0, axis=axis) for axis in range(3))
    inner = (slice(8, -8),) * 3
    np.testing.assert_allclose(divergence[inner], source[inner], atol=0.05)


@given(st.integers(0, 2**32 - 1), st.floats(5, 40))
@settings(max_examples=20, deadline=None)
def test_a_field_is_the_same_on_a_finer_grid(seed, scale_mm):
    coarse = Grid((10, 12, 14), (8.0, 8.0, 8.0), (-40.0, -48.0, -56.0))
    fine = Grid((19, 23, 27), (4.0, 4.0, 4.0), (-40.0, -48.0, -56.0))
    first, second = (smooth_field(np.random.default_rng(seed), grid, scale_mm) for grid in (coarse, fine))
    np.testing.assert_allclose(second[::2, ::2, ::2], first, atol=1e-4)


def test_a_field_has_mean_0_and_variance_1():
    grid = Grid((60, 60, 60), (4.0, 4.0, 4.0), (-120.0, -120.0, -120.0))
    field = smooth_field(np.random.default_rng(0), grid, 6.0)
    assert abs(field.mean()) < 0.05
    assert field.std() == pytest.approx(1, abs=0.05)


def survivals(age_years, tumour_ml):
    drawn = [draw_survival(np.random.default_rng(seed), age_years, tumour_ml) for seed in range(300)]
    return drawn, np.median([one["survival_days"] for one in drawn])


def test_old_people_and_those_with_large_tumours_die_sooner():
    drawn, usual = survivals(58, 54)
    assert survivals(75, 54)[1] < 0.85 * usual
    assert survivals(58, 180)[1] < 0.85 * usual
    censored = np.mean([not one["survival_observed"] for one in drawn])
    assert 0.1 < censored < 0.5


def test_the_table_has_the_columns_and_the_wording_of_brats_2020():
    dead = {"age_years": 61, "survival_days": 300, "survival_observed": True, "resection": "GTR", "grade": "HGG"}
    tables = clinical_tables([("a", dead), ("b", {**dead, "survival_observed": False})])
    (name, rows), (other, grades) = tables.items()
    assert name == "survival_info.csv"
    assert rows[0] == ["Brats20ID", "Age", "Survival_days", "Extent_of_Resection"]
    assert [row[2] for row in rows[1:]] == ["300", "ALIVE (300 days later)"]
    assert (other, grades[1:]) == ("name_mapping.csv", [["HGG", "a"], ["HGG", "b"]])


def test_a_written_cohort_is_found_with_everything_in_it(cohort_folder, people):
    cohort = find_cohort(cohort_folder)
    assert cohort.layout == "folder_per_case"
    assert [case.id for case in cohort.cases] == [f"phantom-glioma-{n:03d}" for n in (1, 2, 3)]
    for case, made in zip(cohort.cases, people, strict=False):
        assert set(case.modalities) == set(MODALITIES)
        assert case.label is not None
        for scan in (*case.modalities.values(), case.label):
            assert scan.geometry.same_grid(made.geometry)
        known = {key: value for key, value in made.clinical.items() if value != "NA"}
        assert case.clinical == known


def test_every_file_says_that_it_is_a_phantom(cohort_folder):
    files = sorted(cohort_folder.rglob("*.nii.gz"))
    assert len(files) == 3 * 5
    for path in files:
        assert read_header(path).description.startswith(f"MMSSL PHANTOM glioma v{VERSION}")
    note = json.loads((cohort_folder / "phantom.json").read_text())
    assert (note["generator"], note["version"], note["seed"], note["cases"]) == ("glioma", VERSION, 3, 3)
    assert "nilearn" in note["made_from"]
    assert all(any(found.kind == "phantom" for found in case.findings) for case in find_cohort(cohort_folder).cases)


def test_label_maps_carry_the_names_of_their_classes(cohort_folder):
    label_map = read_label_map(cohort_folder / "phantom-glioma-001" / "seg.nii.gz")
    assert {one.value: one.name for one in label_map.classes} == {
        NECROTIC_CORE: "necrotic core",
        OEDEMA: "oedema",
        ENHANCING: "enhancing tumour",
    }


def test_a_case_is_the_same_however_many_are_made(cohort_folder, tmp_path):
    fewer = make_sample("glioma", tmp_path / "two", cases=2, seed=3, spacing_mm=SPACING_MM)
    for name in ("t1", "flair", "seg"):
        path = f"phantom-glioma-002/{name}.nii.gz"
        first, second = read_volume(fewer / path), read_volume(cohort_folder / path)
        np.testing.assert_array_equal(first.array, second.array)
    with (fewer / "survival_info.csv").open() as few, (cohort_folder / "survival_info.csv").open() as many:
        assert list(csv.reader(few)) == list(csv.reader(many))[:3]


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(WriteError, match="not empty"):
        make_sample("glioma", tmp_path, cases=1, seed=0, spacing_mm=6.0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_unknown_organ_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="glioma"):
        make_sample("spleen", tmp_path / "out", cases=1, seed=0, spacing_mm=6.0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("cases", "seed", "spacing_mm"), [(0, 0, 2.0), (1000, 0, 2.0), (1, -1, 2.0), (1, 0, 0.1), (1, 0, float("nan"))]
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(tmp_path, cases, seed, spacing_mm):
    with pytest.raises(ConfigError):
        make_sample("glioma", tmp_path / "out", cases, seed, spacing_mm)
    assert not (tmp_path / "out").exists()


def test_the_command_writes_what_it_was_asked_for(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    cli_sample.add_arguments(parser)
    out = tmp_path / "out"
    args = parser.parse_args(["glioma", str(out), "--cases", "1", "--seed", "5", "--spacing", "4"])
    assert cli_sample.run(args) == 0
    assert (out / "phantom-glioma-001" / "flair.nii.gz").is_file()
    assert capsys.readouterr().out == ""


def test_phantoms_are_found_through_the_registry():
    assert [entry.name for entry in phantoms.entries()] == ["glioma", "liver", "prostate"]
