import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.networks.templates import ModalityTemplates

BOX = np.array([[-70.0, -90, -40], [80, 95, 110]])


def coordinate_templates(margin=0.1, shape=(30, 34, 28)):
    """Three templates, of which the first holds R, the second A and the third S of every place, in mm."""
    templates = ModalityTemplates(3, shape, margin=margin, speed=4.0)
    world = places(templates.affine(BOX), shape)
    with torch.no_grad():
        templates.parameter.copy_(torch.from_numpy(np.moveaxis(world, -1, 0)) / templates.speed)
    return templates


def places(affine, shape):
    """Return the world position of every voxel, ``(D, H, W, 3)``, by the affine alone."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def show(templates, affines, shape):
    n = len(affines)
    boxes = torch.from_numpy(np.stack([BOX] * n))
    with torch.no_grad():
        shown = [
            templates(torch.full((n,), axis), torch.from_numpy(np.stack(affines)), boxes, shape)[:, 0]
            for axis in range(3)
        ]
    return np.stack([one.numpy() for one in shown], axis=-1)


def affine_of(spacing_zyx, corner, *, mirrored=False, turn=0.0, width=0):
    """From (z, y, x, 1) to world, turned about the S axis, mirrored in x as the sampler's flip does."""
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.eye(3)[::-1] @ np.diag(spacing_zyx)
    affine[:3, 3] = corner
    if mirrored:
        mirror = np.diag([1.0, 1.0, -1.0, 1.0])
        mirror[2, 3] = width - 1
        affine = affine @ mirror
    return affine


@given(
    st.tuples(*[st.floats(0.8, 4)] * 3),
    st.tuples(*[st.floats(-30, 10)] * 3),
    st.booleans(),
    st.floats(-0.5, 0.5),
    st.tuples(*[st.integers(1, 13)] * 3),
)
def test_a_template_of_coordinates_gives_back_where_the_patch_lies(spacing, corner, mirrored, turn, shape):
    """Whatever the spacing, the crop, the mirroring or the tilt: position in the world alone decides."""
    templates = coordinate_templates()
    affine = affine_of(spacing, corner, mirrored=mirrored, turn=turn, width=shape[2])

    shown = show(templates, [affine], shape)[0]

    # A linear ramp is interpolated exactly; only float32 remains.
    np.testing.assert_allclose(shown, places(affine, shape), atol=2e-3)


def test_a_mirrored_patch_shows_the_mirrored_template():
    templates = coordinate_templates()
    plain = affine_of((2, 2, 2), (-10, -5, 3))
    flipped = affine_of((2, 2, 2), (-10, -5, 3), mirrored=True, width=9)

    shown = show(templates, [plain, flipped], (7, 8, 9))

    np.testing.assert_allclose(shown[1], shown[0][:, :, ::-1], atol=1e-3)
    assert shown[0][0, 0, 0, 0] < shown[0][0, 0, -1, 0]


def test_the_affine_maps_template_voxels_onto_the_widened_box():
    templates = ModalityTemplates(1, (10, 20, 40), margin=0.2)
    affine = templates.affine(BOX)
    outer = places(affine, (10, 20, 40))
    edges = np.abs(affine[:3, :3]).sum(axis=1)

    middle, extent = BOX.mean(axis=0), (BOX[1] - BOX[0]) * 1.2
    np.testing.assert_allclose(outer.min(axis=(0, 1, 2)) - edges / 2, middle - extent / 2)
    np.testing.assert_allclose(outer.max(axis=(0, 1, 2)) + edges / 2, middle + extent / 2)


def test_people_of_other_sizes_see_the_same_template_at_the_same_place_of_their_body():
    templates = coordinate_templates()
    small, large = BOX / 2, BOX * 1.5
    affine = affine_of((2, 2, 2), (0, 0, 0))
    at_centre = []
    for box in (small, large):
        centred = affine.copy()
        centred[:3, 3] = box.mean(axis=0) - affine[:3, :3] @ [1, 1, 1]
        shown = templates(
            torch.tensor([1]), torch.from_numpy(centred)[None], torch.from_numpy(box)[None], (3, 3, 3)
        ).detach()
        at_centre.append(float(shown[0, 0, 1, 1, 1]))

    assert at_centre[0] == pytest.approx(at_centre[1], abs=1e-3)


def test_they_start_at_0_and_are_0_beyond_their_edge():
    templates = ModalityTemplates(2, (6, 6, 6))
    assert not templates.volumes().any()
    with torch.no_grad():
        templates.parameter.fill_(3.0)
    far = affine_of((2, 2, 2), (500, 0, 0))

    shown = templates(torch.tensor([1]), torch.from_numpy(far)[None], torch.from_numpy(BOX)[None], (4, 4, 4))

    assert not shown.any()


def test_only_the_template_that_is_shown_learns():
    templates = ModalityTemplates(3, (6, 6, 6))
    inside = torch.from_numpy(affine_of((5, 5, 5), (-10, -10, 0)))[None]

    templates(torch.tensor([1]), inside, torch.from_numpy(BOX)[None], (5, 5, 5)).sum().backward()

    reached = templates.parameter.grad.abs().sum(dim=(1, 2, 3))
    assert reached[1] > 0
    assert reached[0] == reached[2] == 0
