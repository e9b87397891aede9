"""Proofs that objectives teach what they say, on people the network has not learned from.

What was measured, on phantoms and on real scans, is in ``docs/concepts/proofs.md``. Run with ``-s`` to see the numbers.
"""

import itertools
import json

import numpy as np
import pytest
import torch
from deformed_people import match_bent
from scipy import ndimage
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.phantom_mark import NOTE_NAME
from napari_mmssl.cohorts.prepare import prepare_case
from napari_mmssl.inference.features import FrozenEncoder, case_features
from napari_mmssl.metrics.ranking import concordance
from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.networks.templates import ModalityTemplates
from napari_mmssl.sampling.sampler import PatchSampler
from napari_mmssl.tasks.case_task import covering_patch
from napari_mmssl.workflows.sample import make_sample

pytestmark = pytest.mark.slow
on_both_anatomies = pytest.mark.parametrize("anatomy", ["phantom", "rendered"])
CROPS = ("data.patch=[24,24,24]",)
WHOLE = ("objectives.puzzle.placement=whole", "data.patch=[48,48,48]")


@on_both_anatomies
def test_whole_body_puzzles_of_unseen_people_are_solved(train_on, anatomy):
    curve = train_on("taleb2020", *WHOLE, steps=96, anatomy=anatomy).curve("tile_accuracy")

    print("tile accuracy, whole body 3x3x3:", np.round(curve, 3))
    assert curve[0] < 0.2
    assert curve[-1] > 0.8


def test_puzzles_of_random_crops_are_learned_but_not_exhausted(train_on):
    curve = train_on("taleb2020", *CROPS, steps=240).curve("tile_accuracy")

    print("tile accuracy, random crops 3x3x3:", np.round(curve, 3))
    assert curve[0] < 0.12
    assert curve[-1] > 4 / 27
    assert curve[-1] < 0.95


def test_the_more_tiles_the_harder(train_on):
    few = train_on("taleb2020", *CROPS, "objectives.puzzle.grid=[2,2,2]", steps=240).curve("tile_accuracy")
    many = train_on("taleb2020", *CROPS, steps=240).curve("tile_accuracy")

    print("tile accuracy, random crops 2x2x2:", np.round(few, 3), "3x3x3:", np.round(many, 3))
    assert few[-1] > many[-1] + 0.1
    assert few[-1] > 2 / 8


#: Of two modalities, what is hidden is told by what is shown; of four, it must be guessed from an eighth of the patch.
#: Deepest features that keep half of the slices can hold a patch: PCA of as many numbers leaves 0.03 of its variance.
PAIR = (
    'data.modalities=["t1","flair"]',
    "data.patch=[24,24,24]",
    "encoder.thick_slices=2",
    "optimisation.learning_rate=4e-3",
    "objectives.template_distillation.weight=0",
    "objectives.modality_contrast.weight=0",
)


@on_both_anatomies
def test_one_modality_is_restored_better_than_by_copying_another(train_on, anatomy):
    trained = train_on("brainmvp2025", *PAIR, steps=480, anatomy=anatomy)

    before, after = trained.curve("cross_modal_error")[0], restoration_errors(trained)
    print("error before:", round(before, 3), {name: round(value, 3) for name, value in after.items()})
    assert after["network"] < 0.75 * before
    assert after["network"] < 0.75 * after["mean"]
    assert after["network"] < 0.9 * after["other modality, rescaled"]
    assert after["other modality, rescaled"] < min(after["mean"], after["other modality"])


def restoration_errors(trained) -> dict[str, float]:
    """Return squared errors over hidden voxels of unseen people's bodies, of the network and of simpler answers.

    The mean is that of each patch's own hidden voxels, and the other modality is brought to their range by the best
    straight line: both are told what no network is.
    """
    trainee, objective = trained.trainee, trained.trainee.parts[0].objective
    patch = trainee.settings.data.patch
    sampler = PatchSampler(trained.validation, trainee.vocabulary, patch, 4, 8, seed=5, purpose="proof")
    rows = []
    for number in range(len(sampler)):
        batch = sampler[number]
        with torch.no_grad():
            filled = objective.hide(batch)
            answer = objective.reconstruct(filled, {objective.view: trainee.encoder(filled.input)})
        judged = ~filled.kept & batch.foreground.unsqueeze(1)
        for person, where in enumerate(judged):
            wanted, other, said = (part[person][where].numpy() for part in (filled.target, filled.filler, answer))
            line = np.polyval(np.polyfit(other, wanted, 1), other)
            rows.append([np.mean((one - wanted) ** 2) for one in (said, wanted.mean(), other, line)])
    names = ("network", "mean", "other modality", "other modality, rescaled")
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))


#: Templates learn slower than by default (their noise averages out over more patches), on voxels no smaller than what
#: a decoder of the deepest features can show.
TEMPLATES = (
    "data.patch=[24,24,24]",
    "optimisation.batch_size=8",
    "objectives.template_distillation.template=[24,28,24]",
    "objectives.template_distillation.speed=4",
    "objectives.cross_modal_reconstruction.weight=0",
    "objectives.modality_contrast.weight=0",
)


def test_templates_look_like_the_mean_of_their_modality(train_on):
    trained = train_on("brainmvp2025", *TEMPLATES, steps=320)
    templates = next(part.objective for part in trained.trainee.parts if part.name == "template_distillation").templates
    means, body = mean_images(templates, trained.train, trained.trainee.vocabulary)

    volumes = templates.volumes().detach().numpy()
    found = np.corrcoef([*(volume[body] for volume in volumes), *(mean[body] for mean in means)])
    n = len(volumes)
    own = np.diag(found[:n, n:])
    print("correlation of template and mean:", list(trained.trainee.vocabulary), own.round(3))
    assert (own > 0.5).all()


def mean_images(templates: ModalityTemplates, cases, vocabulary):
    """Return the mean of each modality over people, on the grid of the templates, and where most people have body."""
    shape = templates.parameter.shape[1:]
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1).reshape(-1, 3)
    sums, counts, bodies = np.zeros((len(vocabulary), *shape)), np.zeros(len(vocabulary)), np.zeros(shape)
    for case in cases:
        low, high = body_box(case)
        world = np.c_[index, np.ones(len(index))] @ templates.affine(np.stack([low, high])).T
        voxels = (world @ np.linalg.inv(case.geometry.affine).T)[:, :3].T
        for name, volume in zip(case.modalities, case.volumes, strict=True):
            number = vocabulary.index(name)
            sums[number] += ndimage.map_coordinates(volume, voxels, order=1).reshape(shape)
            counts[number] += 1
        bodies += ndimage.map_coordinates(case.foreground.astype(float), voxels, order=1).reshape(shape)
    return sums / counts[:, None, None, None], bodies / len(cases) > 0.5


def body_box(case):
    inside = np.argwhere(case.foreground)
    corners = np.stack([inside.min(axis=0) - 0.5, inside.max(axis=0) + 0.5])
    ends = np.c_[corners, [1, 1]] @ case.geometry.affine.T
    return ends[:, :3].min(axis=0), ends[:, :3].max(axis=0)


#: Tokens of four voxels, 16 mm.
TACO = (
    "data.patch=[24,24,24]",
    "optimisation.learning_rate=3e-3",
    "objectives.cross_modal_triplet.level=2",
    "objectives.neighbourhood_alignment.level=2",
)
TACO_STEPS = 480


def test_tokens_of_two_people_do_not_collapse(train_on):
    trained = train_on("taco2026", *TACO, steps=TACO_STEPS)

    for prefix in ("intra", "inter"):
        ranks, cosines = trained.curve(f"{prefix}_effective_rank"), trained.curve(f"{prefix}_token_cosine")
        print(f"{prefix}: effective rank", np.round(ranks, 1), "mean cosine", np.round(cosines, 2))
        assert min(ranks) > ranks[0] / 2
        assert max(cosines[1:]) < 0.9


@on_both_anatomies
def test_matches_between_two_deformed_anatomies_land_within_one_cell(train_on, cohort_of, anatomy):
    """Phantoms were learned from in either case, so that the people of ``rendered`` are of another kind too."""
    trained = train_on("taco2026", *TACO, steps=TACO_STEPS)
    people = trained.validation
    if anatomy != "phantom":
        found_people = find_cohort(cohort_of(anatomy)).cases[:4]
        people = [prepare_case(case, (4.0, 4.0, 4.0), with_label=False) for case in found_people]
    objective = next(part.objective for part in trained.trainee.parts if part.name == "neighbourhood_alignment")
    # Nothing but the features may say where a token lies: without the prior on places.
    plain, objective.settings = objective.settings, objective.settings.model_copy(update={"reach": 0.0})
    torch.manual_seed(0)
    encoders = {"untrained": build_encoder("residual_unet", "tiny", 1).eval(), "trained": trained.trainee.encoder}

    found = {}
    for name, encoder in encoders.items():
        for across, one_place in itertools.product((False, True), (True, False)):
            matched = match_bent(
                encoder,
                objective,
                people,
                trained.trainee.vocabulary,
                (24, 24, 24),
                across=across,
                one_place=one_place,
            )
            found[name, across, one_place] = matched
            print(name, "across modalities" if across else "", "one place" if one_place else "anywhere", matched)
    objective.settings = plain

    assert found["trained", False, True].found > 0.8
    for across, one_place in itertools.product((False, True), (True, False)):
        matched = found["trained", across, one_place]
        assert matched.found > 10 * matched.chance
        assert matched.found > found["untrained", across, one_place].found + 0.2
        assert matched.matched > 0.25


def test_partial_matches_are_right_more_often_than_those_of_every_token(train_on):
    """What partiality is worth: the same features matched mutually, by transport, and every token at any price."""
    trained = train_on("taco2026", *TACO, steps=TACO_STEPS)
    objective = next(part.objective for part in trained.trainee.parts if part.name == "neighbourhood_alignment")
    plain = objective.settings
    torch.manual_seed(0)
    encoders = {"untrained": build_encoder("residual_unet", "tiny", 1).eval(), "trained": trained.trainee.encoder}
    found = {}
    for (name, encoder), matching in itertools.product(encoders.items(), ("mutual", "transport", "nearest")):
        objective.settings = plain.model_copy(update={"reach": 0.0, "matching": matching})
        found[name, matching] = match_bent(
            encoder, objective, trained.validation, trained.trainee.vocabulary, (24, 24, 24), one_place=False
        )
        print(name, matching, found[name, matching])
    objective.settings = plain

    for name in encoders:
        assert found[name, "mutual"].found > found[name, "nearest"].found + 0.02
        assert found[name, "mutual"].matched < found[name, "nearest"].matched
    assert found["trained", "mutual"].found > found["trained", "nearest"].found + 0.05


def test_what_features_tell_of_a_tumour_adds_to_age_in_ranking_survival(train_on, tmp_path):
    """The phantom's days follow age and the tumour's volume; pretrained features tell it better than random ones."""
    trained = train_on("taco2026", *TACO, steps=TACO_STEPS)
    cohort = make_sample("glioma", tmp_path / "cohort", 80, 3, 5.0)
    people = json.loads((cohort / NOTE_NAME).read_text())["people"]
    found = find_cohort(cohort).cases
    prepared = [prepare_case(case, (6.0, 6.0, 6.0), with_label=False) for case in found]
    tumour = np.log([people[case.id]["core_ml"] + people[case.id]["oedema_ml"] for case in found])
    torch.manual_seed(0)
    random = told_linearly(build_encoder("residual_unet", "tiny", 1).eval(), prepared, tumour)
    told = told_linearly(trained.trainee.encoder, prepared, tumour)
    age, days, observed = (
        np.array([case.clinical[key] for case in found]) for key in ("age_years", "survival_days", "survival_observed")
    )
    # The formula of the phantom (draw_survival) with the volume as it was read; and days that age has no part in.
    alone, joint = (concordance(days, observed, 0.022 * age + 0.5 * size) for size in (0 * tumour, told))
    beyond = concordance(days * np.exp(0.022 * (age - 58)), observed, told)

    correlations = [np.corrcoef(said, tumour)[0, 1].round(3) for said in (random, told)]
    print("correlation with the volume, random and pretrained:", correlations)
    print("C of age alone, with the volume as told, of the volume alone on days freed of age:", alone, joint, beyond)
    assert correlations[1] > 0.4
    assert correlations[1] > correlations[0] + 0.2
    assert joint > max(0.65, alone + 0.005)
    assert beyond > 0.57


def told_linearly(encoder, cases, wanted):
    """Return what a ridge regression on the features of the others says of each fifth of the people."""
    patch, modalities = covering_patch(cases), cases[0].modalities
    features = [
        case_features(FrozenEncoder(encoder), case, modalities, patch, torch.device("cpu")).ravel() for case in cases
    ]
    model = make_pipeline(StandardScaler(), Ridge(alpha=100.0))
    return cross_val_predict(model, np.stack(features), wanted, cv=5)
