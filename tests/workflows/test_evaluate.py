import json
from pathlib import Path

import numpy as np
import pytest

from napari_mmssl.cli.main import main
from napari_mmssl.errors import ConfigError, GeometryError, LayoutError, ReadError
from napari_mmssl.tasks.conventions import BRATS_2018, LESION, LabelConvention, one_per_value
from napari_mmssl.volumes.geometry import Geometry, Reorientation
from napari_mmssl.volumes.image_files import write_label_map, write_volume
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume
from napari_mmssl.workflows.evaluate import evaluate

SHAPE = (6, 10, 12)
#: An oblique grid of 3 x 1 x 2 mm voxels.
ROTATION = np.array([[0.8, 0.0, 0.6], [0.0, -1.0, 0.0], [-0.6, 0.0, 0.8]])
AFFINE = np.eye(4)
AFFINE[:3, :3] = ROTATION @ np.diag([3.0, 1.0, 2.0])
GRID = Geometry(SHAPE, AFFINE)


def labels(*blocks: tuple[int, slice]) -> np.ndarray:
    """Return labels with slabs of rows ``(value, rows)`` along y, 4 voxels wide."""
    array = np.zeros(SHAPE, np.uint8)
    for value, rows in blocks:
        array[1:5, rows, 2:6] = value
    return array


NOTHING = labels()
TUMOUR = labels((2, slice(1, 7)), (1, slice(2, 4)), (4, slice(4, 5)))


@pytest.fixture
def folders(tmp_path: Path):
    """Return a function that writes references and predictions and returns (predictions, cohort)."""

    def write(
        references: dict[str, np.ndarray | None],
        predictions: dict[str, np.ndarray],
        convention: LabelConvention | None = BRATS_2018,
        trained_on: tuple[str, ...] = (),
    ) -> tuple[Path, Path]:
        cohort, out = tmp_path / "cohort", tmp_path / "predictions"
        for name, array in references.items():
            (cohort / name).mkdir(parents=True)
            write_volume(cohort / name / "t1.nii.gz", Volume(np.ones(SHAPE, np.float32), GRID))
            if array is not None:
                write_label_map(cohort / name / "seg.nii.gz", LabelMap(array, GRID))
        out.mkdir()
        for name, array in predictions.items():
            write_label_map(out / f"{name}.nii.gz", LabelMap(array, GRID))
        if convention is not None:
            seen = {
                n: {"trained_on": n in trained_on, "seen_in": ["fine-tuning"] * (n in trained_on)} for n in predictions
            }
            record = {"format": 1, "convention": convention.as_table(), "cases": seen, "weights": "run"}
            (out / "predictions.json").write_text(json.dumps(record))
        return out, cohort

    return write


def test_scores_are_those_worked_out_by_hand(folders):
    # The whole is 6 rows, the prediction 5 of them and none wrong; ET of 1 row is found one row (1 mm) off.
    predicted = labels((2, slice(1, 6)), (1, slice(2, 4)), (4, slice(5, 6)))
    found = evaluate(*folders({"a": TUMOUR}, {"a": predicted})).to_json()
    case = found["cases"]["a"]
    assert case["regions"]["WT"] == {"dice": pytest.approx(10 / 11), "hd95_mm": pytest.approx(1.0), "nsd": 1.0}
    assert case["regions"]["ET"] == {"dice": 0.0, "hd95_mm": pytest.approx(1.0), "nsd": 1.0}
    assert case["classes"]["enhancing tumour"] == case["regions"]["ET"]
    assert case["classes"]["necrotic core"] == {"dice": 1.0, "hd95_mm": 0.0, "nsd": 1.0}
    assert case["regions"]["TC"]["dice"] == pytest.approx(2 * 2 / 6)
    assert case["trained_on"] is False
    assert (found["n"], found["n_trained_on"], found["mean_trained_on"]) == (1, 0, None)
    assert found["mean"] == {"classes": case["classes"], "regions": case["regions"]}


def test_distances_use_the_spacing_of_each_axis(folders):
    reference, predicted = labels(), labels()
    reference[1, 2:8, 2:9], predicted[3, 2:8, 2:9] = 4, 4
    case = evaluate(*folders({"a": reference}, {"a": predicted})).to_json()["cases"]["a"]
    assert case["regions"]["ET"]["hd95_mm"] == pytest.approx(6.0)  # Two slices of 3 mm.


def test_what_is_undefined_is_null_left_out_of_the_mean_and_counted(folders):
    no_core = labels((2, slice(1, 7)))
    references = {"a": TUMOUR, "b": no_core, "c": NOTHING}
    found = evaluate(*folders(references, {"a": TUMOUR, "b": TUMOUR, "c": NOTHING})).to_json()
    assert found["cases"]["b"]["regions"]["ET"] == {"dice": 0.0, "hd95_mm": None, "nsd": 0.0}
    assert found["cases"]["c"]["regions"]["ET"] == {"dice": None, "hd95_mm": None, "nsd": None}
    assert found["mean"]["regions"]["ET"] == {"dice": 0.5, "hd95_mm": 0.0, "nsd": 0.5}
    assert found["undefined"]["regions"]["ET"] == {"dice": 1, "hd95_mm": 2, "nsd": 1}
    assert found["n"] == 3


def test_cases_the_network_was_trained_on_are_averaged_apart(folders):
    predictions = {"a": TUMOUR, "b": NOTHING}
    found = evaluate(*folders({"a": TUMOUR, "b": TUMOUR}, predictions, trained_on=("a",))).to_json()
    assert found["mean"]["regions"]["WT"]["dice"] == 0.0
    assert found["mean_trained_on"]["regions"]["WT"]["dice"] == 1.0
    assert (found["n"], found["n_trained_on"]) == (1, 1)
    assert found["cases"]["a"]["trained_on"] is True
    assert found["cases"]["a"]["seen_in"] == ["fine-tuning"]


def test_there_is_no_mean_when_every_case_was_trained_on(folders):
    found = evaluate(*folders({"a": TUMOUR}, {"a": TUMOUR}, trained_on=("a",))).to_json()
    assert found["mean"] is None
    assert found["n"] == 0
    assert any("trained on every one" in note for note in found["notes"])
    json.dumps(found, allow_nan=False)


def test_a_reference_of_one_value_is_doubted_where_classes_are_told_apart(folders):
    whole = (TUMOUR > 0).astype(np.uint8)
    found = evaluate(*folders({"a": whole}, {"a": TUMOUR}))
    assert found.cases["a"].regions["WT"].dice == 1.0
    assert any("reference of 'a' holds one value alone" in note for note in found.notes)


@pytest.mark.parametrize(("reference", "coding"), [(TUMOUR, BRATS_2018), ((TUMOUR > 0).astype(np.uint8), LESION)])
def test_no_other_reference_is_doubted(folders, reference, coding):
    found = evaluate(*folders({"a": reference}, {"a": reference}, convention=coding))
    assert not any("one value alone" in note for note in found.notes)


def test_label_maps_made_elsewhere_are_compared_in_the_coding_of_the_references(folders):
    found = evaluate(*folders({"a": TUMOUR}, {"a": TUMOUR}, convention=None)).to_json()
    assert found["convention"] == "brats2018"
    assert found["cases"]["a"]["trained_on"] is False
    assert any("not known" in note for note in found["notes"])
    assert any("BraTS 2018" in note for note in found["notes"])


def test_two_codings_are_compared_as_lesion_when_asked(folders):
    coded_2023 = np.where(TUMOUR == 4, 3, TUMOUR).astype(np.uint8)
    out, cohort = folders({"a": coded_2023}, {"a": TUMOUR})
    with pytest.raises(ConfigError, match=r"seg.nii.gz': the label map holds 3, .*--regions lesion"):
        evaluate(out, cohort)
    found = evaluate(out, cohort, "lesion").to_json()["mean"]["regions"]
    assert found == {"lesion": {"dice": 1.0, "hd95_mm": 0.0, "nsd": 1.0}}
    values = evaluate(out, cohort, "values").convention
    assert [one.value for one in values.classes] == [1, 2, 3, 4]


def test_references_coded_differently_are_not_averaged_silently(folders):
    whole = (TUMOUR > 0).astype(np.uint8)
    out, cohort = folders({"a": TUMOUR, "b": whole}, {"a": TUMOUR, "b": TUMOUR})
    with pytest.raises(ConfigError, match="coded differently"):
        evaluate(out, cohort)
    assert evaluate(out, cohort, "lesion").to_json()["mean"]["regions"]["lesion"]["dice"] == 1.0


def test_references_without_any_label_are_scored_too(folders):
    found = evaluate(*folders({"a": NOTHING, "b": NOTHING}, {"a": NOTHING, "b": TUMOUR})).to_json()
    assert found["mean"]["regions"]["WT"] == {"dice": 0.0, "hd95_mm": None, "nsd": 0.0}
    assert found["undefined"]["regions"]["WT"] == {"dice": 1, "hd95_mm": 2, "nsd": 1}


def test_a_prediction_on_another_grid_is_refused_with_both_names(folders):
    out, cohort = folders({"a": TUMOUR}, {"a": TUMOUR})
    moved = GRID.affine.copy()
    moved[0, 3] += 1.0
    write_label_map(out / "a.nii.gz", LabelMap(TUMOUR, Geometry(SHAPE, moved)))
    with pytest.raises(GeometryError, match=r"predictions/a.nii.gz' .*cohort/a/seg.nii.gz' .*up to 1 mm apart"):
        evaluate(out, cohort)


def test_a_prediction_whose_axes_run_another_way_is_compared_voxel_by_voxel(folders):
    out, cohort = folders({"a": TUMOUR}, {"a": NOTHING})
    turn = Reorientation((2, 0, 1), (True, False, True))
    write_label_map(out / "a.nii.gz", LabelMap(turn.apply(TUMOUR), turn.apply_to(GRID)))
    assert {scores.dice for scores in evaluate(out, cohort).cases["a"].classes.values()} == {1.0}


def test_files_and_cases_without_a_partner_are_noted(folders):
    out, cohort = folders({"a": TUMOUR, "b": None}, {"a": TUMOUR, "b": TUMOUR, "zzz": TUMOUR})
    found = evaluate(out, cohort)
    assert list(found.cases) == ["a"]
    assert any("'b' has no reference" in note for note in found.notes)
    assert any("'zzz.nii.gz' belongs to no case" in note for note in found.notes)


def test_a_folder_with_nothing_to_compare_is_refused(folders):
    out, cohort = folders({"a": TUMOUR}, {"b": TUMOUR})
    with pytest.raises(LayoutError, match="belongs to a labelled case"):
        evaluate(out, cohort)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 1, "cases": [], "convention": {}}'])
def test_a_damaged_record_is_refused(folders, text):
    out, cohort = folders({"a": TUMOUR}, {"a": TUMOUR})
    (out / "predictions.json").write_text(text)
    with pytest.raises(ReadError, match="damaged"):
        evaluate(out, cohort)


def test_a_newer_record_is_refused(folders):
    out, cohort = folders({"a": TUMOUR}, {"a": TUMOUR})
    (out / "predictions.json").write_text('{"format": 2, "cases": {}, "convention": {}}')
    with pytest.raises(ReadError, match="newer napari-mmssl"):
        evaluate(out, cohort)


def test_the_command_prints_json_alone(folders, capsys):
    out, cohort = folders({"a": TUMOUR, "b": NOTHING}, {"a": TUMOUR, "b": NOTHING}, convention=LESION)
    assert main(["evaluate", str(out), str(cohort), "--json", "--regions", "lesion"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == evaluate(out, cohort, "lesion").to_json()
    assert printed.err == ""


def test_the_command_prints_a_table(folders, capsys):
    out, cohort = folders({"a": TUMOUR, "b": NOTHING}, {"a": TUMOUR, "b": NOTHING}, trained_on=("b",))
    assert main(["evaluate", str(out), str(cohort)]) == 0
    lines = capsys.readouterr().out.splitlines()
    head, case_a, case_b = (next(line for line in lines if line.startswith(word)) for word in ("case", "a ", "b "))
    assert head.split()[-3:] == ["WT", "TC", "ET"]
    assert case_a.split()[1:] == ["1.000", "0.0", "1.000"] * 6
    assert case_b.split()[1:] == ["-"] * 18 + ["trained", "on"]
    assert any(line.startswith("mean ") and line.endswith("n = 1") for line in lines)


@pytest.mark.parametrize("missing", ["predictions", "cohort"])
def test_a_missing_folder_is_one_sentence_and_exit_code_2(folders, capsys, missing):
    out, cohort = folders({"a": TUMOUR}, {"a": TUMOUR})
    paths = {"predictions": out, "cohort": cohort} | {missing: out / "nowhere"}
    assert main(["evaluate", str(paths["predictions"]), str(paths["cohort"])]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert "nowhere" in printed.err


def test_classes_are_called_as_the_references_call_them(folders):
    references = {"a": labels((1, slice(1, 4)), (3, slice(5, 8))), "b": labels((3, slice(2, 6)), (1, slice(7, 8)))}
    predictions, cohort = folders(references, references, None)
    classes = (LabelClass(1, "liver", "#ff0000"), LabelClass(3, "spleen", "#00ff00"))
    write_label_map(cohort / "a" / "seg.nii.gz", LabelMap(references["a"], GRID, classes))
    assert list(evaluate(predictions, cohort).cases["a"].classes) == ["liver", "spleen"]
    assert list(evaluate(predictions, cohort, "values").cases["a"].classes) == ["liver", "spleen"]
    # Where two files disagree, none is believed; where two values share a name, both are told.
    write_label_map(cohort / "b" / "seg.nii.gz", LabelMap(references["b"], GRID, (LabelClass(1, "spleen", "#ff0000"),)))
    assert list(evaluate(predictions, cohort).cases["a"].classes) == ["label 1", "spleen"]
    assert [one.name for one in one_per_value({1, 3}, {1: "lesion", 3: "lesion"}).classes] == [
        "lesion (1)",
        "lesion (3)",
    ]


@pytest.mark.parametrize("words", [["--missing", "zero"], ["--subsets", "--regions", "lesion"]])
def test_flags_that_would_not_be_heeded_are_refused(tmp_path, capsys, words):
    assert main(["evaluate", str(tmp_path), str(tmp_path), *words]) == 2
    assert "--subsets" in capsys.readouterr().err
