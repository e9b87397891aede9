"""TACO on real but tiny pretrainings."""

import pytest
from small_cohorts import write_small_cohort

from napari_mmssl.objectives import topology_tokens
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.pretrain import pretrain


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    folder = tmp_path_factory.mktemp("taco")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(folder / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        settings = pretrain_settings(
            flags={
                "cohort": str(write_small_cohort(folder / "cohort", cases=9)),
                "recipe": "taco2026",
                "data": {"patch": [16, 16, 16], "validation_share": 0.3, "test_share": 0.0},
                "optimisation": {"steps": 60, "batch_size": 4, "learning_rate": 1e-3},
                "validate_every": 30,
            }
        )
        return pretrain(settings, folder / "run").events()[0]


def test_all_three_losses_fall_and_add_up(events):
    seen = [event["metrics"] for event in events if event["kind"] == "validation"]
    for name in ("auto_encoding.error", "cross_modal_triplet.triplet", "neighbourhood_alignment.alignment"):
        assert seen[-1][f"loss.{name}"] < 0.9 * seen[0][f"loss.{name}"]
    for event in events:
        if event["kind"] == "step":
            parts = [value for name, value in event["losses"].items() if name != "total"]
            assert len(parts) == 3
            assert event["losses"]["total"] == pytest.approx(sum(parts), rel=1e-5)


def test_tokens_do_not_collapse(events):
    seen = [event["metrics"] for event in events if event["kind"] == "validation"]
    for prefix in ("intra", "inter"):
        assert seen[-1][f"{prefix}_effective_rank"] > seen[0][f"{prefix}_effective_rank"] / 2
        assert seen[-1][f"{prefix}_token_cosine"] < 0.9
    assert seen[-1]["inter_matched"] > 0.05


def test_a_collapse_is_told_once_for_each_objective(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "home"))
    # As if everything that is not spread more than evenly had collapsed.
    monkeypatch.setattr(topology_tokens, "_LEAST_SPREAD", 2.0)
    settings = pretrain_settings(
        flags={
            "cohort": str(write_small_cohort(tmp_path / "cohort", cases=5)),
            "recipe": "taco2026",
            "data": {"patch": [16, 16, 16], "validation_share": 0.4, "test_share": 0.0},
            "optimisation": {"steps": 2, "batch_size": 2},
            "validate_every": 1,
        }
    )
    told = [event for event in pretrain(settings, tmp_path / "run").events()[0] if event["kind"] == "warning"]

    assert [event["about"] for event in told] == ["cross_modal_triplet", "neighbourhood_alignment"]
    assert all("collapsing" in event["text"] for event in told)


def test_no_collapse_is_told_of_a_healthy_run(events):
    assert not [event for event in events if event["kind"] == "warning"]


def test_every_batch_has_pairs_of_different_people(events):
    # Six people make epochs that four does not divide: borders fall inside batches.
    for event in events:
        if event["kind"] == "step":
            assert event["metrics"]["inter_pairs"] == 6
            assert event["metrics"]["intra_subjects"] == 4
