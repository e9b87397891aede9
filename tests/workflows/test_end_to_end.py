"""The whole path through the command line, and what happens with bad input."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from small_cohorts import write_small_cohort

from napari_mmssl.cli.main import main
from napari_mmssl.training.run_folder import RunFolder

SMALL = ["--set", "optimisation.steps=4", "--set", "data.patch=[16,16,16]", "--set", "validate_every=2"]
PUZZLE = ["--set", "objectives.puzzle.grid=[2,2,2]", "--set", "objectives.puzzle.jitter=1"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A cohort that went all the way: pretrained, fine-tuned, predicted."""
    base = tmp_path_factory.mktemp("path")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(base / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        cohort = write_small_cohort(base / "cohort")
        assert main(["pretrain", str(cohort), "--out", str(base / "pre"), *SMALL, *PUZZLE]) == 0
        tuned = ["--weights", str(base / "pre"), "--out", str(base / "fine"), "--label-fraction", "0.5"]
        assert main(["finetune", str(cohort), *tuned, *SMALL]) == 0
        weights = ["--weights", str(base / "fine")]
        assert main(["predict", str(cohort), *weights, "--out", str(base / "test"), "--cases", "test"]) == 0
        assert main(["predict", str(cohort), *weights, "--out", str(base / "all")]) == 0
        yield base


@pytest.fixture(autouse=True)
def own_cache(path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(path / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")


def test_label_maps_lie_where_the_scans_lie(path):
    for file in sorted((path / "all").glob("*.nii.gz")):
        case = file.name.removesuffix(".nii.gz")
        made, scan = nib.load(file), nib.load(path / "cohort" / case / "t1.nii.gz")
        np.testing.assert_array_equal(made.affine, scan.affine)
        assert made.shape == scan.shape
        assert set(np.unique(made.dataobj)) <= {0, 1}
    assert len(list((path / "all").glob("*.nii.gz"))) == 6


def test_only_held_out_people_are_test_cases(path):
    split = RunFolder(path / "fine").provenance()["split"]

    predicted = {file.name.removesuffix(".nii.gz") for file in (path / "test").glob("*.nii.gz")}
    assert predicted == set(split["test"])
    assert RunFolder(path / "pre").provenance()["split"]["test"] == split["test"]


def test_evaluate_prints_json_alone_and_parts_what_was_trained_on(path, capsys):
    assert main(["evaluate", str(path / "all"), str(path / "cohort"), "--json"]) == 0

    result = json.loads(capsys.readouterr().out)
    split = RunFolder(path / "fine").provenance()["split"]
    assert {case for case, one in result["cases"].items() if not one["trained_on"]} == set(split["test"])
    assert result["n"] == len(split["test"])
    unseen = [result["cases"][case]["classes"]["lesion"]["dice"] for case in split["test"]]
    defined = [dice for dice in unseen if dice is not None]
    assert result["mean"]["classes"]["lesion"]["dice"] == (pytest.approx(np.mean(defined)) if defined else None)


def test_pretrained_tensors_arrive_in_the_fine_tuned_network(path):
    report = RunFolder(path / "fine").provenance()["transfer"]

    assert [one["outcome"] for one in report].count("converted") == 1
    assert {one["outcome"] for one in report} == {"loaded", "converted"}


def test_the_card_tells_how_sure_the_network_may_be(path):
    fit = json.loads((path / "fine" / "weights" / "card.json").read_text())["calibration"]

    assert 0.1 < fit["temperature"] < 10
    assert fit["nll_after"] <= fit["nll_before"]


def test_preview_pictures_a_case_of_choice(path, tmp_path):
    arguments = [str(path / "pre"), str(path / "cohort"), "--case", "sub-03", "--out", str(tmp_path / "picture")]
    assert main(["preview", *arguments]) == 0

    head = json.loads((tmp_path / "picture" / "puzzle.json").read_text())
    assert head["case"] == "sub-03"
    assert [item["name"] for item in head["items"]][:4] == ["source", "mixed", "shuffled", "solved"]


def test_a_case_without_any_modality_of_the_network_is_not_pictured(path, tmp_path, capsys):
    shutil.copytree(path / "cohort" / "sub-03", tmp_path / "cohort" / "sub-03")
    first, *others = sorted((tmp_path / "cohort" / "sub-03").glob("*.nii.gz"))
    for other in others:
        other.unlink()
    first.rename(first.with_name("ct.nii.gz"))

    arguments = (path / "pre", tmp_path / "cohort", "--case", "sub-03", "--out", tmp_path / "picture")
    assert "the network knows" in refused(capsys, "preview", *arguments)


def test_a_settings_file_equals_the_flags(path, tmp_path):
    (tmp_path / "same.toml").write_text(
        f'cohort = "{path / "cohort"}"\nvalidate_every = 2\n[optimisation]\nsteps = 4\n'
        "[data]\npatch = [16, 16, 16]\n[objectives.puzzle]\ngrid = [2, 2, 2]\njitter = 1\n"
    )
    assert main(["pretrain", "--config", str(tmp_path / "same.toml"), "--out", str(tmp_path / "same")]) == 0

    for name in ("encoder", "objective.puzzle"):
        file = f"weights/{name}.safetensors"
        assert (tmp_path / "same" / file).read_bytes() == (path / "pre" / file).read_bytes()


def test_the_spelling_of_brats_2023_gives_its_own_label_coding(path, tmp_path):
    cohort = tmp_path / "cohort"
    for number, case in enumerate(sorted((path / "cohort").iterdir())):
        name = f"BraTS-GLI-{number:05d}-000"
        (cohort / name).mkdir(parents=True)
        for old, new in (("t1", "t1n"), ("flair", "t2f")):
            shutil.copy(case / f"{old}.nii.gz", cohort / name / f"{name}-{new}.nii.gz")
        seg = nib.load(case / "seg.nii.gz")
        labels = np.asarray(seg.dataobj) * (1 + np.arange(seg.shape[2]) % 3)
        nib.save(nib.Nifti1Image(labels.astype(np.uint8), seg.affine), cohort / name / f"{name}-seg.nii.gz")

    assert main(["finetune", str(cohort), "--out", str(tmp_path / "run"), *SMALL, "--set", "data.test_share=0.0"]) == 0

    assert RunFolder(tmp_path / "run").provenance()["convention"]["name"] == "brats2023"


def test_segmentation_from_scratch_needs_no_weights(path, tmp_path):
    assert main(["finetune", str(path / "cohort"), "--weights", "none", "--out", str(tmp_path / "run"), *SMALL]) == 0

    assert RunFolder(tmp_path / "run").provenance()["transfer"] == []


def refused(capsys, *arguments):
    """Run a command that must be refused and return its one sentence."""
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr().err.strip()
    assert code == 2
    assert said.startswith(f"mmssl {arguments[0]}: ")
    assert said.count("\n") == 0
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize("command", ["pretrain", "finetune"])
def test_a_missing_folder_is_named(command, tmp_path, capsys):
    assert "nowhere" in refused(capsys, command, tmp_path / "nowhere", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_mistyped_setting_names_its_neighbour(path, tmp_path, capsys):
    said = refused(
        capsys, "pretrain", path / "cohort", "--out", tmp_path / "run", "--set", "objectives.puzzle.gird=[2,2,2]"
    )
    assert "objectives.puzzle.grid" in said
    assert "optimisation.steps" in refused(
        capsys, "pretrain", path / "cohort", "--out", tmp_path / "run", "--set", "optimisation.step=3"
    )


def test_different_grids_are_refused_and_named(path, tmp_path, capsys):
    cohort = shutil.copytree(path / "cohort", tmp_path / "cohort")
    scan = nib.load(cohort / "sub-02" / "t1.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(scan.dataobj)[:, :, :-2], scan.affine), cohort / "sub-02" / "t1.nii.gz")

    said = refused(capsys, "pretrain", cohort, "--out", tmp_path / "run", *SMALL, *PUZZLE)

    assert "sub-02" in said
    assert "18 x 24 x 22" in said
    assert "20 x 24 x 22" in said


def test_weights_that_are_none_are_refused(path, tmp_path, capsys):
    for weights in (tmp_path, path / "cohort", path / "pre"):
        said = refused(capsys, "predict", path / "cohort", "--weights", weights, "--out", tmp_path / "out")
        assert str(weights) in said
        assert not (tmp_path / "out").exists()


def test_damaged_weights_are_refused(path, tmp_path, capsys):
    run = shutil.copytree(path / "fine", tmp_path / "fine")
    file = run / "weights" / "network.safetensors"
    file.write_bytes(file.read_bytes()[:-100])

    assert "damaged" in refused(capsys, "predict", path / "cohort", "--weights", run, "--out", tmp_path / "out")


def test_a_run_of_a_newer_version_is_refused(path, tmp_path, capsys):
    run = shutil.copytree(path / "pre", tmp_path / "pre")
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"format": 99}))

    assert "newer" in refused(capsys, "runs", "resume", run)


def test_people_none_of_whom_can_be_read_are_refused_before_the_training_starts(path, tmp_path, capsys):
    cohort = shutil.copytree(path / "cohort", tmp_path / "cohort")
    for file in cohort.glob("*/flair.nii.gz"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 0xFF
        file.write_bytes(bytes(data))

    code = main(["pretrain", str(cohort), "--out", str(tmp_path / "run"), *SMALL, *PUZZLE])

    *left_out, last = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert left_out  # a word on each case as it is met, then the end in one sentence
    assert all(line.startswith("case 'sub-0") for line in left_out)
    assert last.startswith("mmssl pretrain: ")
    assert "flair" in last
    assert not (tmp_path / "run").exists()


def test_a_case_with_none_of_the_modalities_is_refused(path, tmp_path, capsys):
    other = write_small_cohort(tmp_path / "other", cases=1, modalities=("ct",))

    said = refused(capsys, "predict", other, "--weights", path / "fine", "--out", tmp_path / "out")

    assert "ct" in said
    assert "flair" in said


def test_a_prediction_checks_all_cases_before_the_first(path, tmp_path, capsys):
    cohort = shutil.copytree(path / "cohort", tmp_path / "cohort")
    scan = nib.load(cohort / "sub-06" / "t1.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(scan.dataobj)[:, :, :-2], scan.affine), cohort / "sub-06" / "t1.nii.gz")

    said = refused(capsys, "predict", cohort, "--weights", path / "fine", "--out", tmp_path / "out")

    assert "sub-06" in said
    assert not (tmp_path / "out").exists()


def test_usage_errors_end_with_two(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["pretrain", "--steps", "many"])

    assert ended.value.code == 2


def test_a_missing_modality_is_left_out_at_prediction(path, tmp_path):
    only = write_small_cohort(tmp_path / "only", cases=1, modalities=("flair",))

    assert main(["predict", str(only), "--weights", str(path / "fine"), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "sub-01.nii.gz").is_file()
