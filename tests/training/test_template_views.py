"""Fine-tuning with learned templates in the place of modalities, and templates for what is missing."""

import pytest
import torch
from patch_batches import VOCABULARY, make_batch
from safetensors.torch import load_file
from small_cohorts import write_small_cohort

from napari_mmssl.cli.main import main
from napari_mmssl.errors import ConfigError
from napari_mmssl.inference.missing import Missing
from napari_mmssl.networks.template_shelf import TemplateShelf, shelf_from
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.template_files import read_shelf
from napari_mmssl.training.template_views import two_views
from napari_mmssl.training.weights_cards import read_card

SMALL = ["--steps", "2", "--batch-size", "2", "--patch", "16", "--validate-every", "2"]
TEMPLATES = [f"objectives.{name}.block=[4,4,4]" for name in ("cross_modal_reconstruction", "template_distillation")]


def shelf(names=VOCABULARY):
    volumes = torch.randn(len(names), 5, 6, 7, generator=torch.Generator().manual_seed(9))
    return TemplateShelf(volumes, names, 0.1)


def replaced(batch, views, here):
    """Which channels of each sample of ``2 B`` show their template; every other one is as it was."""
    shown = here.show(batch.vocabulary, batch.patch_to_world, batch.body_box_mm, batch.foreground)
    found = []
    for number, volumes in enumerate(views.volumes):
        sample = number % len(batch)
        channels = set()
        for channel in range(volumes.shape[0]):
            if not torch.equal(volumes[channel], batch.volumes[sample, channel]):
                assert torch.equal(volumes[channel], shown[sample, channel])
                channels.add(channel)
        found.append(channels)
    return found


@pytest.mark.parametrize("most", [1, 2, 9])
def test_each_channel_is_its_modality_or_its_template_and_never_are_all_replaced(most):
    counts, different = set(), False
    for seed in range(12):
        batch = make_batch((8, 9, 10), samples=3, absent=[(0, 1)], seed=seed)
        batch = type(batch)(**{**vars(batch), "seed": batch.seed + 100 * seed})
        views = two_views(batch, shelf(), most)
        channels = replaced(batch, views, shelf())
        for number, some in enumerate(channels):
            there = set(batch.channels(number % 3))
            assert some < there
            assert len(some) <= most
            counts.add(len(some))
        different |= channels[:3] != channels[3:]
    assert counts == set(range(min(most, 2) + 1))
    assert different


def test_a_modality_alone_is_never_replaced():
    batch = make_batch((8, 8, 8), samples=2, absent=[(0, 0), (0, 1), (1, 1), (1, 2)])
    views = two_views(batch, shelf(), 3)
    assert torch.equal(views.volumes, torch.cat([batch.volumes] * 2))


def test_only_modalities_with_a_template_are_replaced():
    here = shelf(("flair",))
    for seed in range(6):
        batch = make_batch((8, 8, 8), seed=seed)
        batch = type(batch)(**{**vars(batch), "seed": batch.seed + seed})
        assert all(some <= {VOCABULARY.index("flair")} for some in replaced(batch, two_views(batch, here, 3), here))


def test_templates_are_nothing_outside_the_body():
    batch = make_batch((8, 8, 8))
    batch.foreground[:, :4] = False
    shown = shelf().show(batch.vocabulary, batch.patch_to_world, batch.body_box_mm, batch.foreground)
    assert shown[:, :, :4].abs().max() == 0
    assert shown[:, :, 4:].abs().min() > 0


def test_saved_templates_are_those_that_were_learned():
    one = shelf()
    other = shelf_from(one.tensors(), one.facts())
    batch = make_batch((8, 8, 8))
    places = (batch.vocabulary, batch.patch_to_world, batch.body_box_mm, batch.foreground)
    assert torch.equal(one.show(*places), other.show(*places))


@pytest.mark.parametrize("policy", ["drop", "zero", "template"])
def test_what_stands_in_for_a_missing_modality(policy):
    batch = make_batch((8, 8, 8), absent=[(0, 2)])
    present, places = batch.modality >= 0, (batch.patch_to_world, batch.body_box_mm, batch.foreground)
    volumes, counted = Missing(policy, shelf()).fill(batch.vocabulary, batch.volumes, present, places)
    assert torch.equal(volumes[present], batch.volumes[present])
    assert torch.equal(counted, present if policy == "drop" else torch.ones_like(present))
    wanted = shelf().show(batch.vocabulary, *places)[0, 2] if policy == "template" else torch.zeros(8, 8, 8)
    assert torch.equal(volumes[0, 2], wanted)


def test_a_template_that_was_never_learned_is_named():
    batch = make_batch((8, 8, 8), absent=[(0, 2)])
    places = (batch.patch_to_world, batch.body_box_mm, batch.foreground)
    for here in (None, shelf(("adc", "flair"))):
        with pytest.raises(ConfigError, match="no template of t1"):
            Missing("template", here).fill(batch.vocabulary, batch.volumes, batch.modality >= 0, places)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A pretraining that learned templates, and a fine-tuning that used them."""
    folder = tmp_path_factory.mktemp("templates")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(folder / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        cohort = write_small_cohort(folder / "cohort", 4)
        more = [part for assignment in TEMPLATES for part in ("--set", assignment)]
        pretrain = ["pretrain", str(cohort), "--recipe", "brainmvp2025", "--out", str(folder / "pre")]
        assert main([*pretrain, *SMALL, *more]) == 0
        tuned = ["finetune", str(cohort), "--weights", str(folder / "pre"), "--out", str(folder / "fine")]
        assert main([*tuned, *SMALL, "--set", "templates.substitute=1"]) == 0
        yield folder


def test_templates_of_the_pretraining_go_with_the_fine_tuned_weights(base):
    learned = load_file(base / "pre" / "weights" / "objective.template_distillation.safetensors")
    speed = 10.0
    taken = load_file(base / "fine" / "weights" / "templates.safetensors")
    assert torch.equal(taken["volumes"], learned["templates.parameter"] * speed)
    assert taken["volumes"].abs().max() > 0
    assert read_card(base / "fine")["templates"] == {"modalities": ["flair", "t1"], "margin": 0.1}
    assert torch.equal(read_shelf(base / "fine").tensors()["volumes"], taken["volumes"])


def test_the_consistency_of_both_views_is_a_term_of_the_loss(base):
    events, _ = RunFolder(base / "fine").events()
    terms = [event["losses"] for event in events if event["kind"] == "step"]
    assert all(set(one) == {"dice", "cross_entropy", "consistency", "total"} for one in terms)
    assert max(one["consistency"] for one in terms) > 0


def test_without_learned_templates_substitution_is_refused(base, tmp_path, capsys):
    arguments = ["finetune", str(base / "cohort"), "--out", str(tmp_path / "run"), *SMALL]
    assert main([*arguments, "--set", "templates.substitute=1"]) == 2
    assert "brainmvp2025" in capsys.readouterr().err
