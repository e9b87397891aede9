"""What ``mmssl predict`` writes beside label maps; the path to it is in test_end_to_end.py."""

import json

import numpy as np
import pytest
from small_cohorts import write_small_cohort
from trained_networks import write_network

from napari_mmssl.cli.main import main
from napari_mmssl.errors import MmsslError
from napari_mmssl.tasks.conventions import one_per_value
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.volumes.image_files import read_header, read_label_map, read_volume
from napari_mmssl.workflows.predict import Extras, predict


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_small_cohort(tmp_path_factory.mktemp("cohort"), cases=2)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return [write_network(folder / str(seed), seed) for seed in range(2)]


def test_probabilities_and_entropy_of_an_ensemble_lie_on_the_grid_of_the_scans(cohort, networks, tmp_path, capsys):
    out = tmp_path / "out"
    weights = [f"--weights={path}" for path in networks]
    flags = ["--tta", "--save-probabilities", "--save-entropy", "--device", "cpu"]

    assert main(["predict", str(cohort), *weights, *flags, "--out", str(out)]) == 0

    scan = read_header(cohort / "sub-01" / "t1.nii.gz").geometry
    lesion = read_volume(out / "probabilities" / "sub-01_lesion.nii.gz")
    unsure = read_volume(out / "entropy" / "sub-01.nii.gz")
    labels = read_label_map(out / "sub-01.nii.gz")
    assert lesion.geometry.same_grid(scan)
    assert unsure.geometry.same_grid(scan)
    np.testing.assert_array_equal(labels.array > 0, lesion.array > 0.5)
    assert np.unique(labels.array).tolist() == [0, 1]
    assert unsure.array[np.abs(lesion.array - 0.5) < 0.01].min() > 0.99
    assert json.loads((out / "predictions.json").read_text())["weights"] == [str(path) for path in networks]


def test_classes_whose_names_differ_in_signs_alone_have_files_of_their_own(cohort, tmp_path):
    weights = write_network(tmp_path / "weights", 0, convention=one_per_value({1, 2}, {1: "tumour +", 2: "tumour -"}))

    predict(cohort, weights, tmp_path / "out", case_ids=["sub-01"], extras=Extras(probabilities=True), device="cpu")

    written = sorted(file.name for file in (tmp_path / "out" / "probabilities").iterdir())
    assert written == ["sub-01_tumour---1.nii.gz", "sub-01_tumour---2.nii.gz"]


@pytest.mark.parametrize("missing", ["drop", "zero"])
def test_the_record_says_what_stood_in_for_a_modality_that_was_not_there(cohort, networks, tmp_path, missing):
    (cohort / "sub-02" / "flair.nii.gz").rename(tmp_path / "flair.nii.gz")
    try:
        predict(cohort, networks[0], tmp_path / "out", missing=missing, device="cpu")
    finally:
        (tmp_path / "flair.nii.gz").rename(cohort / "sub-02" / "flair.nii.gz")

    said = json.loads((tmp_path / "out" / "predictions.json").read_text())["cases"]
    assert "missing" not in said["sub-01"]
    assert said["sub-02"]["missing"] == {"flair": missing}


def test_a_full_disk_ends_in_a_sentence_and_leaves_nothing_of_the_case(cohort, networks, tmp_path):
    resource = pytest.importorskip("resource", reason="file sizes can be limited on Unix only")
    out = tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, before[1]))
    try:
        with pytest.raises(MmsslError, match=r"cannot write '.*sub-01.*nii.gz'"):
            predict(cohort, networks[0], out, extras=Extras(probabilities=True, entropy=True), device="cpu")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert RunFolder(out).status()["state"] == "failed"
    assert not [path for path in out.rglob("*") if path.name.endswith(".nii.gz")]


def test_stopping_by_cancel_takes_the_extras_away_too(cohort, networks, tmp_path):
    out = tmp_path / "out"

    def cancel_after_the_first(event):
        if event["kind"] == "step":
            RunFolder(out).request("cancel")

    predict(cohort, networks[0], out, extras=Extras(entropy=True), device="cpu", listener=cancel_after_the_first)

    assert RunFolder(out).status()["state"] == "cancelled"
    assert not [path for path in out.rglob("*") if path.name.endswith(".nii.gz")]


def test_a_network_of_values_is_not_asked_for_maps(cohort, tmp_path, capsys):
    card = {"task": "classification"}
    weights = write_network(tmp_path / "weights", **card)

    assert main(["predict", str(cohort), "--weights", str(weights), "--tta", "--out", str(tmp_path / "out")]) == 2

    assert "are for segmentations" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
