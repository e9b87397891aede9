from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.sampling.augmentation import Augmentation
from napari_mmssl.sampling.sampler import PatchSampler, _labelled_voxels
from napari_mmssl.tasks.conventions import LESION
from napari_mmssl.training.batch_parts import part_of
from napari_mmssl.volumes.geometry import Geometry

VOCABULARY = ("flair", "t1", "t2")


def prepared_case(name: str, modalities=VOCABULARY, shape=(20, 22, 24)) -> PreparedCase:
    """A case whose intensities are world coordinates, so that a patch tells where it came from."""
    affine = np.array([[0, 0, 2.0, -30], [0, 3.0, 0, 5], [2.5, 0, 0, 40], [0, 0, 0, 1]])
    geometry = Geometry(shape, affine)
    world = geometry.index_to_world(np.stack(np.indices(shape), axis=-1))
    volumes = np.moveaxis(world, -1, 0)[: len(modalities)].astype(np.float32)
    foreground = np.zeros(shape, dtype=bool)
    foreground[3:-3, 3:-3, 3:-3] = True
    label = np.zeros(shape, dtype=np.uint8)
    label[12:14, 5:7, 16:18] = 4
    return PreparedCase(name, name, modalities, volumes, foreground, label, geometry, geometry)


def sampler(**changes) -> PatchSampler:
    settings = {
        "cases": [prepared_case("a"), prepared_case("b"), prepared_case("c", ("flair", "t2"))],
        "vocabulary": VOCABULARY,
        "patch": (8, 10, 6),
        "batch_size": 2,
        "steps": 30,
        "seed": 3,
    }
    return PatchSampler(**(settings | changes))


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_patch_to_world_tells_where_every_voxel_came_from(flip):
    batch = sampler(augmentation=Augmentation(flip=flip), cases=[prepared_case("a")])[4]

    for sample in range(len(batch)):
        index = np.stack(np.indices(batch.volumes.shape[2:]), axis=-1)
        affine = batch.patch_to_world[sample].numpy()
        world = index @ affine[:3, :3].T + affine[:3, 3]
        np.testing.assert_allclose(np.moveaxis(world, -1, 0), batch.volumes[sample].numpy(), atol=1e-3)


def test_a_turned_patch_tells_where_every_voxel_came_from_and_its_labels_lie_on_it():
    turning = sampler(augmentation=Augmentation(flip=0.5, spatial=True), convention=LESION, cases=[prepared_case("a")])
    case, turned = turning.cases[0], 0
    for step in range(12):
        batch = turning[step]
        for sample in range(len(batch)):
            index = np.stack(np.indices(batch.volumes.shape[2:]), axis=-1)
            affine = batch.patch_to_world[sample].numpy()
            world = index @ affine[:3, :3].T + affine[:3, 3]
            place = case.geometry.world_to_index(world)
            within = ((place > 0.01) & (place < np.array(case.foreground.shape) - 1.01)).all(axis=-1)
            np.testing.assert_allclose(
                world[within], np.moveaxis(batch.volumes[sample].numpy(), 0, -1)[within], atol=2e-2
            )
            nearest = tuple(np.moveaxis(np.floor(place[within] + 0.5).astype(int), -1, 0))
            same = (case.label[nearest] > 0) == (batch.label[sample].numpy()[within] > 0)
            assert same.mean() > 0.98  # but where a voxel lies on the border between two
            steps = np.linalg.norm(np.linalg.inv(case.geometry.affine[:3, :3]) @ affine[:3, :3], axis=0)
            turned += not np.allclose(steps, 1)
    assert 2 < turned < 22


def test_looks_change_and_the_place_does_not():
    """A person without t1 stays so, and what is outside the body stays 0."""
    changing = sampler(augmentation=Augmentation(appearance=True), cases=[prepared_case("c", ("flair", "t2"))])
    plain, changed = sampler(cases=changing.cases), 0
    for step in range(12):
        one, other = changing[step], plain[step]
        assert torch.equal(one.patch_to_world, other.patch_to_world)
        assert torch.equal(one.foreground, other.foreground)
        assert not one.volumes[:, 1].any()
        outside = ~one.foreground[:, None].expand_as(one.volumes)
        if not torch.equal(one.volumes, other.volumes):
            changed += 1
            altered = [not torch.equal(a, b) for a, b in zip(one.volumes, other.volumes, strict=True)]
            assert all(not one.volumes[n][outside[n]].any() for n in np.flatnonzero(altered))
    assert changed > 6


def test_a_batch_depends_on_its_number_alone():
    one, other = sampler(), sampler()
    _ = [other[step] for step in (7, 1)]

    for step in (0, 5, 29):
        assert torch.equal(one[step].volumes, other[step].volumes)
        assert one[step].case == other[step].case


def test_worker_processes_give_the_same_batches():
    alone = [batch.volumes for batch in DataLoader(sampler(steps=4), batch_size=None)]
    helped = [batch.volumes for batch in DataLoader(sampler(steps=4), batch_size=None, num_workers=2)]

    assert all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))


@pytest.mark.parametrize("world", [2, 3])
def test_parts_of_a_batch_are_those_of_the_whole_one(world):
    whole = sampler(batch_size=6)[3]
    for rank in range(world):
        part, size = sampler(batch_size=6, rank=rank, world=world)[3], 6 // world
        wanted = part_of(whole, rank * size, (rank + 1) * size)
        assert part.case == wanted.case
        assert torch.equal(part.seed, wanted.seed)
        assert torch.equal(part.volumes, wanted.volumes)
        assert torch.equal(part.patch_to_world, wanted.patch_to_world)


def test_every_epoch_shows_every_case_once():
    shown = [name for step in range(30) for name in sampler()[step].case]

    assert all(sorted(shown[start : start + 3]) == ["a", "b", "c"] for start in range(0, 60, 3))
    assert len({tuple(shown[start : start + 3]) for start in range(0, 60, 3)}) > 1


def test_an_absent_modality_is_minus_one_and_empty():
    batch = sampler(cases=[prepared_case("c", ("flair", "t2"))])[0]

    # The vocabulary says flair, t1, t2.
    assert batch.modality.tolist() == [[0, -1, 2]] * 2
    assert not batch.volumes[:, 1].any()
    assert batch.channels(0) == [0, 2]


def test_whole_placement_centres_the_body():
    batch = sampler(placement="whole", patch=(32, 32, 32), cases=[prepared_case("a")])[0]

    inside = torch.nonzero(batch.foreground[0])
    middle = (inside.min(dim=0).values + inside.max(dim=0).values) / 2
    assert (middle - 15.5).abs().max() <= 1
    assert int(batch.foreground[0].sum()) == 14 * 16 * 18


def test_label_share_centres_patches_on_labels():
    with_label = sampler(convention=LESION, label_share=1.0, cases=[prepared_case("a")])
    without = sampler(convention=LESION, label_share=0.0, cases=[prepared_case("a")])

    held = [
        sum(bool(s[step].label.any(dim=3).any(dim=2).any(dim=1).all()) for step in range(30))
        for s in (with_label, without)
    ]
    assert held[0] == 30
    assert held[1] < 25
    assert set(with_label[0].label.unique().tolist()) == {0, 1}


def test_labelled_voxels_are_found_in_few_bytes(rng):
    case = replace(prepared_case("a"), label=(rng.random((20, 22, 24)) < 0.1).astype(np.int16))
    found = _labelled_voxels(case)
    np.testing.assert_array_equal(np.transpose(np.unravel_index(found, case.label.shape)), np.argwhere(case.label))
    assert found.itemsize <= 4


def test_dropping_modalities_always_leaves_one():
    dropping = sampler(augmentation=Augmentation(drop_modality=0.9))
    present = torch.cat([dropping[step].modality >= 0 for step in range(30)])

    assert present.sum(dim=1).min() == 1
    assert present.float().mean() < 0.6


def test_a_volume_smaller_than_the_patch_is_centred_in_zeros():
    batch = sampler(patch=(30, 30, 30), cases=[prepared_case("a")])[0]

    assert int((batch.volumes[0, 0] != 0).sum()) <= 20 * 22 * 24
    assert bool(batch.foreground[0, 5 + 3, 4 + 3, 3 + 3])
    assert not bool(batch.foreground[0, 5 + 2, 4 + 3, 3 + 3])
