"""Label maps on another grid of the same voxels: every voxel keeps its place, and nothing is resampled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.reindex import reindexed, same_voxels
from napari_mmssl.volumes.volume import LabelMap

SHAPE = (4, 5, 6)


def oblique_grid(rng):
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = matrix * rng.uniform(0.5, 4, 3)
    affine[:3, 3] = rng.uniform(-100, 100, 3)
    return Geometry(SHAPE, affine)


def places(labels):
    """World place of every labelled voxel, to a hundredth of a mm, with its value."""
    index = np.argwhere(labels.array)
    world = np.round(labels.geometry.index_to_world(index), 2) + 0.0
    return {(*place, int(labels.array[tuple(at)])) for place, at in zip(world.tolist(), index, strict=True)}


@given(
    st.integers(0, 2**32 - 1),
    st.permutations(range(3)),
    st.tuples(*[st.booleans()] * 3),
    st.tuples(*[st.tuples(st.integers(-3, 3), st.integers(1, 8))] * 3),
)
def test_all_turns_and_boxes_keep_every_voxel_where_it_is(seed, axes, flips, boxes):
    rng = np.random.default_rng(seed)
    target = oblique_grid(rng)
    # A box of the target's lattice, with its axes swapped and flipped.
    first, sizes = np.array([box[0] for box in boxes]), [box[1] for box in boxes]
    turn = np.eye(4)
    turn[:3, 3] = first
    affine = target.affine @ turn
    array = rng.integers(0, 3, sizes).astype(np.uint8)
    for axis, flip in enumerate(flips):
        if flip:
            array = np.flip(array, axis)
            affine[:3, 3] = affine[:3, 3] + affine[:3, axis] * (sizes[axis] - 1)
            affine[:3, axis] *= -1
    array = array.transpose(axes)
    labels = LabelMap(array, Geometry(array.shape, affine[:, [*axes, 3]]))

    moved = reindexed(labels, target)

    index = np.round(target.world_to_index(labels.geometry.index_to_world(np.argwhere(array)))).astype(int)
    inside = ((index >= 0) & (index < SHAPE)).all()
    assert (moved is not None) == bool(inside)
    if moved is not None:
        assert places(moved) == places(labels)


@pytest.mark.parametrize("change", ["shift", "scale", "turn"])
def test_other_voxels_are_never_taken_for_the_same(rng, change):
    target = oblique_grid(rng)
    affine = target.affine.copy()
    if change == "shift":
        affine[:3, 3] += 0.3 * affine[:3, 1]
    elif change == "scale":
        affine[:3, 0] *= 1.05
    else:
        angle = 0.05
        affine[:2] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ affine[:2]
    labels = LabelMap(np.ones(SHAPE, np.uint8), Geometry(SHAPE, affine))
    assert reindexed(labels, target) is None
    assert not same_voxels(labels.geometry, target)
