"""Proofs that objectives teach what they say, on people the network has not learned from.

What was measured, on phantoms and on real scans, is in ``docs/concepts/proofs.md``. Run with ``-s`` to see the numbers.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.networks.templates import ModalityTemplates
from napari_mmssl.sampling.batch import PatchBatch

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
    trained = train_on("brainmvp2025", "data.patch=[32,32,32]", "optimisation.batch_size=4", steps=240)
    error, gain = trained.curve("cross_modal_error"), trained.curve("cross_modal_gain")

    print("cross-modal error:", np.round(error, 3), "gain over copying:", np.round(gain, 3))
    assert gain[0] < 0.2
    assert gain[-1] > 0.3  # a third less error than the other modality as it is
    assert error[-1] < 0.9  # and better than knowing only the mean of a body


def test_templates_look_like_the_mean_of_their_modality(train_on):
    trained = train_on("brainmvp2025", "data.patch=[32,32,32]", "optimisation.batch_size=4", steps=240)
    templates = next(part.objective for part in trained.trainee.parts if part.name == "template_distillation").templates
    means, body = mean_images(templates, trained.train, trained.trainee.vocabulary)

    volumes = templates.volumes().detach().numpy()
    found = np.corrcoef([*(volume[body] for volume in volumes), *(mean[body] for mean in means)])
    n = len(volumes)
    own, other = np.diag(found[:n, n:]), found[:n, n:] - 2 * np.eye(n)
    print("correlation of template and mean:", dict(zip(trained.trainee.vocabulary, np.round(own, 3), strict=True)))
    assert (own > 0.5).all()
    if n > 1:
        assert (own > other.max(axis=1)).mean() >= 0.5  # most look like their own modality first of all


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


#: Tokens of four voxels, 16 mm, a third of how far apart the prior on places lets matches be.
TACO = (
    "data.patch=[32,32,32]",
    "objectives.cross_modal_triplet.level=2",
    "objectives.neighbourhood_alignment.level=2",
)


def test_tokens_of_two_people_do_not_collapse(train_on):
    trained = train_on("taco2026", *TACO, steps=160)

    for prefix in ("intra", "inter"):
        ranks, cosines = trained.curve(f"{prefix}_effective_rank"), trained.curve(f"{prefix}_token_cosine")
        print(f"{prefix}: effective rank", np.round(ranks, 1), "mean cosine", np.round(cosines, 2))
        assert min(ranks) > ranks[0] / 2
        assert max(cosines[1:]) < 0.9


def test_matches_between_two_deformed_anatomies_are_within_a_cell(train_on):
    trained = train_on("taco2026", *TACO, steps=160)
    objective = next(part.objective for part in trained.trainee.parts if part.name == "neighbourhood_alignment")
    found = {}
    for encoder, reach in (("trained", 0.2), ("trained", 0.0), ("untrained", 0.2)):
        network = trained.trainee.encoder if encoder == "trained" else build_encoder("residual_unet", "tiny", 1).eval()
        objective.settings = objective.settings.model_copy(update={"reach": reach})
        found[encoder, reach] = matched_within_a_cell(trained, objective, network)
        print(f"{encoder}, reach {reach}: within a cell {found[encoder, reach]}")

    right, chance, n_matches = found["trained", 0.2]
    assert n_matches > 100
    assert right > 0.8
    assert right > 2 * chance


def matched_within_a_cell(trained, objective, encoder) -> tuple[float, float, int]:
    """Return the share of matches within a cell of the true place, the same by chance, and how many matches."""
    near, chance = [], []
    for number in range(8):
        sampler = replace(
            trained.trainee.batches, cases=trained.validation, patch=(48, 48, 48), batch_size=1, purpose="proof"
        )
        both, moved_mm = with_deformed_copy(sampler[number], np.random.default_rng(number))
        with torch.no_grad():
            features = {name: encoder(tensor) for name, tensor in objective.views(both).inputs.items()}
            tokens = objective.tokens(both, features)
            matches = objective.match(tokens, [(0, 1)]).matches[0].numpy()
        here, there = tokens.places_mm.double().numpy()
        wanted = here - moved_mm(here)
        apart = np.linalg.norm(there[None] - wanted[:, None], axis=2) <= float(tokens.cell_mm[0])
        body = (tokens.body_places[0][:, None] - tokens.body_places[1][None]).norm(dim=2).numpy()
        allowed = (body <= objective.settings.reach) if objective.settings.reach else np.ones_like(apart)
        allowed &= tokens.usable[0].numpy()[:, None] & tokens.usable[1].numpy()[None]
        near += [bool(apart[i, u]) for i, u in enumerate(matches) if u >= 0]
        chance += list(apart[allowed])
    return round(float(np.mean(near)), 3), round(float(np.mean(chance)), 3), len(near)


def with_deformed_copy(batch: PatchBatch, rng: np.random.Generator):
    """Return a crop of one person and another crop of the same person deformed, and how far places move in mm.

    The deformation is smooth, of up to a cell, and known; both crops are 32 voxels wide and begin elsewhere, so that
    the place in the patch says nothing. The second person is another by name.
    """
    shape = batch.volumes.shape[2:]
    field = ndimage.gaussian_filter(rng.normal(size=(3, *shape)), (0, 6, 6, 6))
    field *= 4.0 / np.abs(field).max()  # voxels
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")) + field
    corners = rng.integers(0, np.array(shape) - 31, (2, 3))

    def deformed(array, order):
        return torch.from_numpy(ndimage.map_coordinates(array.numpy(), index, order=order, mode="nearest"))

    def crop(array, which):
        z, y, x = corners[which]
        return array[..., z : z + 32, y : y + 32, x : x + 32]

    volumes = torch.stack([deformed(one, 1) for one in batch.volumes[0]])
    foreground = deformed(batch.foreground[0].float(), 1) >= 0.5
    affine = batch.patch_to_world[0]
    shifts = [torch.eye(4, dtype=torch.float64) for _ in corners]
    for shift, corner in zip(shifts, corners, strict=True):
        shift[:3, 3] = torch.from_numpy(corner)
    both = replace(
        batch,
        volumes=torch.stack([crop(batch.volumes[0], 0), crop(volumes, 1)]),
        foreground=torch.stack([crop(batch.foreground[0], 0), crop(foreground, 1)]),
        modality=batch.modality.repeat(2, 1),
        synthetic=batch.synthetic.repeat(2, 1),
        patch_to_world=torch.stack([affine @ shift for shift in shifts]),
        body_box_mm=batch.body_box_mm.repeat(2, 1, 1),
        subject=("one", "other"),
        case=("one", "other"),
        seed=batch.seed.repeat(2),
    )
    to_index, linear = np.linalg.inv(affine.numpy()), affine.numpy()[:3, :3]

    def displacement(places_mm):
        centres = (np.c_[places_mm, np.ones(len(places_mm))] @ to_index.T)[:, :3]
        at = [ndimage.map_coordinates(axis, centres.T, order=1, mode="nearest") for axis in field]
        return np.stack(at, axis=1) @ linear.T

    return both, displacement


def test_the_deformed_copy_is_the_anatomy_at_the_displaced_place():
    volume = torch.from_numpy(np.indices((48, 48, 48)).astype(np.float32)[0])
    batch = PatchBatch(
        volumes=volume[None, None],
        modality=torch.zeros(1, 1, dtype=torch.int64),
        vocabulary=("t1",),
        synthetic=torch.zeros(1, 1, dtype=torch.bool),
        foreground=torch.ones(1, 48, 48, 48, dtype=torch.bool),
        patch_to_world=torch.diag(torch.tensor([2.0, 2, 2, 1], dtype=torch.float64))[None],
        body_box_mm=torch.tensor([[[0.0, 0, 0], [95, 95, 95]]], dtype=torch.float64),
        subject=("one",),
        case=("one",),
        seed=torch.tensor([1]),
    )
    both, displacement = with_deformed_copy(batch, np.random.default_rng(0))

    for which in range(2):
        place = both.patch_to_world[which].numpy() @ [10, 9, 8, 1]
        shown = float(both.volumes[which, 0, 10, 9, 8])
        # The volume holds its own first index: the copy shows at x what the original shows at x + u(x).
        moved = displacement(place[None, :3])[0, 0] if which else 0
        assert shown == pytest.approx((place[0] + moved) / 2, abs=0.05)
