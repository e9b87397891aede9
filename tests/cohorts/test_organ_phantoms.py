"""The prostate and the liver phantom: what their labels cover looks as it should, and people differ."""

import itertools
import json

import numpy as np
import pytest
from scipy import ndimage

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.phantoms.grid import Grid
from napari_mmssl.cohorts.phantoms.liver import liver_case
from napari_mmssl.cohorts.phantoms.prostate import marksheet, prostate_case
from napari_mmssl.cohorts.phantoms.prostate_anatomy import PERIPHERAL, TRANSITION
from napari_mmssl.cohorts.phantoms.shapes import Tissues, ellipsoid, inside, sliced
from napari_mmssl.errors import ConfigError
from napari_mmssl.training.settings import DataSettings
from napari_mmssl.volumes.geometry import to_canonical
from napari_mmssl.volumes.image_files import read_header
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.material import gather
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.sample import make_sample


@pytest.fixture(scope="module")
def men():
    return [prostate_case(index, seed=1, spacing_mm=1.6) for index in range(6)]


@pytest.fixture(scope="module")
def abdomens():
    return [liver_case(index, seed=1, spacing_mm=5.0) for index in range(6)]


@pytest.fixture(scope="module")
def liver_cohort(tmp_path_factory):
    return make_sample("liver", tmp_path_factory.mktemp("sample") / "liver", cases=4, seed=1, spacing_mm=6.0)


def upright(case, array):
    return to_canonical(case.geometry).apply(array)


def test_tissues_always_fill_a_voxel(rng):
    tissues = Tissues((4, 5, 6), "fat")
    for tissue in ("muscle", "bone", "muscle"):
        tissues.put(tissue, rng.uniform(-0.2, 1.2, (4, 5, 6)))
    np.testing.assert_allclose(sum(tissues.shares.values()), 1, atol=1e-5)
    assert np.allclose(tissues.render({"fat": 7.0, "muscle": 7.0, "bone": 7.0}), 7.0, atol=1e-4)


def test_an_ellipsoid_has_its_volume():
    grid = Grid((40, 40, 40), (1.0, 1.0, 1.0), (-19.5, -19.5, -19.5))
    share = inside(ellipsoid(grid.points_mm(), (0, 0, 0), (8, 10, 12)))
    assert share.sum() == pytest.approx(4 / 3 * np.pi * 8 * 10 * 12, rel=0.02)


def test_a_thick_slice_is_the_mean_of_its_layers(rng):
    layers = rng.normal(size=(6, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(sliced(layers, 3)[1], layers[3:].mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("make_case", [prostate_case, liver_case])
def test_the_same_seed_and_index_give_the_same_bits_and_another_seed_does_not(make_case):
    one, again, other = (make_case(1, seed, 5.0 if make_case is liver_case else 2.0) for seed in (3, 3, 4))
    for name, volume in one.volumes.items():
        np.testing.assert_array_equal(again.volumes[name], volume)
    np.testing.assert_array_equal(again.label, one.label)
    assert (again.clinical, again.facts) == (one.clinical, one.facts)
    assert other.facts != one.facts


def test_prostates_have_both_zones_of_human_size_in_thick_slices(men):
    for man in men:
        canonical = to_canonical(man.geometry).apply_to(man.geometry)
        slice_mm, *in_plane_mm = canonical.spacing_mm
        assert 3.0 <= slice_mm <= 4.0
        assert max(in_plane_mm) < 1.7
        counts_ml = np.bincount(man.label.ravel(), minlength=3) * man.geometry.voxel_ml
        assert 15 < counts_ml[1:].sum() < 110
        assert min(counts_ml[1:]) > 2
        zones = {value: ndimage.center_of_mass(upright(man, man.label) == value) for value in (PERIPHERAL, TRANSITION)}
        assert zones[PERIPHERAL][1] < zones[TRANSITION][1], "the peripheral zone lies behind"


def test_the_peripheral_zone_is_brighter_on_both_scans_in_the_mean_and_not_in_everyone_by_much(men):
    ratios = [
        [man.volumes[name][man.label == PERIPHERAL].mean() / man.volumes[name][man.label == TRANSITION].mean()]
        for man in men
        for name in ("t2", "adc")
    ]
    assert 1.1 < np.mean(ratios) < 2.5
    assert min(ratios)[0] < 1.35


def test_cancers_diffuse_less_than_the_gland_round_them(men):
    ill = [man for man in men if man.facts["isup"] >= 2 and man.facts["lesion_ml"] > 0.3]
    assert ill
    for man in ill:
        gland = man.volumes["adc"][man.label > 0]
        assert np.percentile(gland, 2) < 0.85 * np.median(gland)


def test_the_marksheet_calls_grade_group_2_and_more_significant():
    man = {"age_years": 60, "psa": 4.0, "prostate_ml": 40}
    table = marksheet([("a", {**man, "isup": 1, "cancer": False}), ("b", {**man, "isup": 2, "cancer": True})])
    assert [row[-2:] for row in table["marksheet.csv"][1:]] == [["1", "NO"], ["2", "YES"]]


def test_every_other_person_of_the_liver_cohort_has_ct_and_the_others_mr(abdomens):
    assert [list(case.volumes) for case in abdomens] == [["ct"], ["mr"]] * 3
    assert len({case.geometry.shape for case in abdomens}) == 6
    tall_mm = [
        case.geometry.shape[0] * to_canonical(case.geometry).apply_to(case.geometry).spacing_mm[0] for case in abdomens
    ]
    assert max(tall_mm) - min(tall_mm) > 15, "fields of view differ"


def test_livers_have_human_size_and_hounsfield_units_and_lie_on_the_right(abdomens):
    for case in abdomens:
        liver_ml = np.count_nonzero(case.label) * case.geometry.voxel_ml
        assert 450 < liver_ml < 2600
        middle = case.geometry.index_to_world(np.argwhere(case.label)).mean(axis=0)
        assert middle[0] > 15, "world x runs to the right"
        if "ct" in case.volumes:
            ct = case.volumes["ct"]
            assert -10 < np.median(ct[case.label > 0]) < 140
            assert ct.min() < -900
            assert ct.max() > 300
            outside = ndimage.binary_dilation(case.label, iterations=4) & (case.label == 0)
            assert abs(np.median(ct[outside]) - np.median(ct[case.label > 0])) > 10


def test_people_are_not_one_body_bent(men, abdomens):
    def centred(case, volume, edge_mm, size):
        array, label = upright(case, volume).astype(float), upright(case, case.label)
        spacing = np.array(to_canonical(case.geometry).apply_to(case.geometry).spacing_mm)
        middle = np.array(ndimage.center_of_mass(label > 0))[:, None, None, None]
        offsets = (np.indices((size,) * 3) - (size - 1) / 2) * edge_mm / spacing[:, None, None, None]
        return ndimage.map_coordinates(array, middle + offsets, order=1).ravel()

    glands = [centred(man, man.volumes["t2"], 1.5, 30) for man in men]
    livers = [centred(case, case.volumes["ct"], 5.0, 30) for case in abdomens[::2]]
    for group, most in ((glands, 0.85), (livers, 0.93)):
        pairs = [np.corrcoef(one, other)[0, 1] for one, other in itertools.combinations(group, 2)]
        assert 0.05 < np.mean(pairs) < most


def test_a_written_liver_cohort_is_found_marked_and_never_mixed(liver_cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "home"))
    cohort = find_cohort(liver_cohort)
    assert [tuple(case.modalities) for case in cohort.cases] == [("ct",), ("mr",)] * 2
    assert all(any(found.kind == "phantom" for found in case.findings) for case in cohort.cases)
    for path in liver_cohort.rglob("*.nii.gz"):
        assert read_header(path).description.startswith("MMSSL PHANTOM liver v1")
    assert json.loads((liver_cohort / "phantom.json").read_text())["spacing_mm"] == 6.0
    assert gather(liver_cohort, DataSettings(), 0, labelled=True).modalities == ("ct", "mr")

    settings = pretrain_settings(flags={"cohort": str(liver_cohort), "data": {"patch": [16, 16, 16]}})
    with pytest.raises(ConfigError, match=r"different people, who are never mixed.*mmssl synthesize"):
        pretrain(settings, tmp_path / "run")


def test_a_spacing_that_does_not_suit_the_organ_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"0\.4 to 3 mm, not 4"):
        make_sample("prostate", tmp_path / "out", cases=1, seed=0, spacing_mm=4.0)
