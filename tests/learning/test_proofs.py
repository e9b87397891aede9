"""Proofs that objectives teach what they say, on people the network has not learned from.

What was measured, on phantoms and on real scans, is in ``docs/concepts/proofs.md``. Run with ``-s`` to see the numbers.
"""

import itertools

import numpy as np
import pytest
import torch
from deformed_people import match_bent
from scipy import ndimage

from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.networks.templates import ModalityTemplates

pytestmark = pytest.mark.slow
WHOLE = ("objectives.puzzle.placement=whole", "data.patch=[48,48,48]")


def test_whole_body_puzzles_of_unseen_people_are_solved(train_on):
    curve = train_on("taleb2020", *WHOLE, steps=96).curve("tile_accuracy")

    print("tile accuracy, whole body 3x3x3:", np.round(curve, 3))
    assert curve[0] < 0.2
    assert curve[-1] > 0.8


def test_puzzles_of_random_crops_are_learned_but_not_exhausted(train_on):
    curve = train_on("taleb2020", "data.patch=[24,24,24]", steps=240).curve("tile_accuracy")

    print("tile accuracy, random crops 3x3x3:", np.round(curve, 3))
    assert curve[0] < 0.12
    assert curve[-1] > 4 / 27
    assert curve[-1] < 0.95


def test_one_modality_is_restored_better_than_by_copying_another(train_on):
    trained = train_on("brainmvp2025", "data.patch=[32,32,32]", steps=120)
    error, gain = trained.curve("cross_modal_error"), trained.curve("cross_modal_gain")

    print("cross-modal error:", np.round(error, 3), "gain over copying:", np.round(gain, 3))
    assert error[-1] < error[0]
    assert gain[-1] > 0.3  # a third less error than the other modality as it is
    assert error[-1] < 0.9  # and better than knowing only the mean of a body


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


def test_matches_between_two_deformed_anatomies_land_within_one_cell(train_on):
    trained = train_on("taco2026", *TACO, steps=TACO_STEPS)
    objective = next(part.objective for part in trained.trainee.parts if part.name == "neighbourhood_alignment")
    # Nothing but the features may say where a token lies: without the prior on places.
    objective.settings = objective.settings.model_copy(update={"reach": 0.0})
    torch.manual_seed(0)
    encoders = {"untrained": build_encoder("residual_unet", "tiny", 1).eval(), "trained": trained.trainee.encoder}

    found = {}
    for name, encoder in encoders.items():
        for across, one_place in itertools.product((False, True), (True, False)):
            matched = match_bent(
                encoder,
                objective,
                trained.validation,
                trained.trainee.vocabulary,
                (24, 24, 24),
                across=across,
                one_place=one_place,
            )
            found[name, across, one_place] = matched
            print(name, "across modalities" if across else "", "one place" if one_place else "anywhere", matched)

    assert found["trained", False, True].found > 0.8
    for across, one_place in itertools.product((False, True), (True, False)):
        matched = found["trained", across, one_place]
        assert matched.found > 10 * matched.chance
        assert matched.found > found["untrained", across, one_place].found + 0.2
        assert matched.matched > 0.25
