"""Proofs that generators learn, on anatomies in two contrasts that no curve of brightness connects."""

import json

import pytest
from rendered_people import render_people
from toy_contrasts import write_toy_contrasts

from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.configure import pretrain_settings, synthesis_settings
from napari_mmssl.workflows.partners import INDEX_NAME, make_partners
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.sample import make_sample
from napari_mmssl.workflows.synthesize import train_generators


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_toy_contrasts(tmp_path_factory.mktemp("toy") / "cohort", cases=8, shape=(12, 28, 28))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path_factory.getbasetemp() / "home"))


def validations(run: RunFolder) -> list[dict[str, float]]:
    return [event["metrics"] for event in run.events()[0] if event["kind"] == "validation"]


@pytest.mark.slow
@pytest.mark.parametrize("anatomy", ["toy", "rendered"])
def test_unpaired_generators_close_the_cycle_and_find_the_other_contrast(anatomy, tmp_path, request):
    data = {"patch": [4, 28, 28]}
    if anatomy == "toy":
        cohort = request.getfixturevalue("cohort")
    else:
        label_maps = request.getfixturevalue("shared_data") / "labelmaps_synthseg_2mm"
        cohort, data = render_people(label_maps, tmp_path / "people"), {"patch": [4, 32, 28], "spacing_mm": [6, 6, 6]}
    settings = synthesis_settings(
        flags={
            "cohort": str(cohort),
            "source": "t1",
            "target": "t2",
            "dimensions": "2.5d",
            "data": data,
            "optimisation": {"steps": 150, "learning_rate": 2e-3},
            "validate_every": 150,
        }
    )
    before, after = validations(train_generators(settings, tmp_path / "run"))
    print(anatomy, "before:", before, "after:", after)
    assert after["cycle_l1"] < 0.5 * before["cycle_l1"]
    assert after["ssim"] > after["ssim_of_source"] + 0.05
    assert after["psnr_db"] > before["psnr_db"]


@pytest.mark.slow
def test_a_paired_generator_makes_what_people_it_never_saw_look_like(cohort, tmp_path):
    settings = synthesis_settings(
        flags={
            "cohort": str(cohort),
            "source": "t1",
            "target": "t2",
            "method": "paired",
            "data": {"patch": [8, 24, 24]},
            "optimisation": {"steps": 100},
            "validate_every": 100,
        }
    )
    before, after = validations(train_generators(settings, tmp_path / "run"))
    assert after["ssim"] > after["ssim_of_source"] + 0.15
    assert after["psnr_db"] > before["psnr_db"] + 2


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_ct_of_some_and_mr_of_others_become_puzzles_across_modalities(tmp_path):
    """The whole way: generators, partners, the gate, and a pretraining that takes those which passed it."""
    livers = make_sample("liver", tmp_path / "livers", 10, 1, 5.0)
    settings = synthesis_settings(
        flags={
            "cohort": str(livers),
            "source": "ct",
            "target": "mr",
            "loss": {"distribution": 10.0},
            "data": {"spacing_mm": [10, 9, 9], "patch": [4, 40, 40], "test_share": 0.0},
            "optimisation": {"steps": 400, "batch_size": 2, "learning_rate": 2e-3},
            "validate_every": 400,
        }
    )
    generators = train_generators(settings, tmp_path / "generators")
    partners = make_partners(livers, generators.path, tmp_path / "partners").path
    verdicts = json.loads((partners / INDEX_NAME).read_text())["cases"]
    for case, made in verdicts.items():
        print(case, {name: (one["quality"], one["below_gate_because"]) for name, one in made.items()})
    made_mr = [made["mr"]["passed"] for made in verdicts.values() if "mr" in made]
    assert sum(made_mr) >= 4
    assert len(made_mr) == 5

    wanted = pretrain_settings(
        flags={
            "cohort": str(partners),
            "recipe": "taleb2020",
            "data": {"spacing_mm": [10, 9, 9], "patch": [24, 24, 24], "synthetic": "allow", "validation_share": 0.2},
            "optimisation": {"steps": 4, "batch_size": 2},
            "validate_every": 4,
        }
    )
    run = pretrain(wanted, tmp_path / "run")
    assert run.status()["state"] == "done"
