"""The map of a cohort: what the plane keeps, and what a missing modality must not do to it."""

import json
import shutil

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from small_cohorts import write_small_cohort

from napari_mmssl.cli.main import main
from napari_mmssl.workflows.embedding import plane, without_modality

SMALL = ["--recipe", "mae", "--steps", "2", "--batch-size", "2", "--patch", "16", "--checkpoint-every", "1"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_small_cohort(tmp_path_factory.mktemp("embedding") / "cohort", 4)


@pytest.fixture(scope="module")
def pretrained(cohort):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(cohort.parent / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        assert main(["pretrain", str(cohort), "--out", str(cohort.parent / "run"), *SMALL]) == 0
    return cohort.parent / "run"


@pytest.fixture(autouse=True)
def own_cache(cohort, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(cohort.parent / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")


def test_the_plane_is_that_of_another_library():
    features = np.random.default_rng(0).normal(size=(12, 5)) * [1, 10, 0.1, 3, 1]

    points, shares = plane(features)

    reference = PCA(2).fit(StandardScaler().fit_transform(features))
    expected = reference.transform(StandardScaler().fit_transform(features))
    np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-9)
    np.testing.assert_allclose(shares, reference.explained_variance_ratio_, atol=1e-9)


def test_the_map_is_the_same_whatever_the_order_of_the_cases():
    features = np.random.default_rng(1).normal(size=(9, 4))
    order = np.random.default_rng(2).permutation(9)

    np.testing.assert_allclose(plane(features[order])[0], plane(features)[0][order], atol=1e-9)


def test_features_that_never_change_put_all_cases_in_one_place():
    points, shares = plane(np.ones((4, 3)))

    assert not points.any()
    assert not shares.any()


def test_a_missing_modality_alone_puts_no_case_apart():
    # Two modalities far from each other, four people alike, one of whom lacks the second.
    features = np.zeros((4, 2, 3))
    features[:, 1] = 100
    features[3, 1] = np.nan

    np.testing.assert_allclose(without_modality(features), 0)


@pytest.mark.parametrize("ended", [True, False])
def test_a_cohort_is_mapped_by_an_encoder_that_has_ended_or_is_at_work(pretrained, cohort, tmp_path, ended, capsys):
    run = pretrained if ended else _without_weights(pretrained, tmp_path / "at_work")

    assert main(["embed", str(cohort), "--weights", str(run), "--out", str(tmp_path / "map.json")]) == 0

    found = json.loads((tmp_path / "map.json").read_text())
    assert len(found["cases"]) == 4
    assert found["step"] == (None if ended else 2)
    assert len({(one["x"], one["y"]) for one in found["cases"]}) == 4
    assert "the plane shows" in capsys.readouterr().out


def test_a_run_without_weights_and_checkpoint_is_refused_in_a_sentence(cohort, tmp_path, capsys):
    assert main(["embed", str(cohort), "--weights", str(tmp_path)]) == 2
    assert "no weights" in capsys.readouterr().err


def _without_weights(run, to):
    shutil.copytree(run, to)
    shutil.rmtree(to / "weights")
    return to
