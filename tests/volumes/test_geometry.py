import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import ORIENTATIONS, geometries, nifti_affine, nifti_affines, shapes

from napari_mmssl.errors import GeometryError
from napari_mmssl.volumes.geometry import Geometry, from_nifti, lps_to_ras, to_canonical, to_nifti


def all_indices(shape):
    return np.indices(shape).reshape(3, -1).T


@given(geometries)
def test_voxel_to_world_to_voxel_is_the_identity(geometry):
    index = all_indices(geometry.shape)
    np.testing.assert_allclose(geometry.world_to_index(geometry.index_to_world(index)), index, atol=1e-6)


@given(nifti_affines)
def test_nifti_affine_survives_the_way_here_and_back(affine):
    np.testing.assert_array_equal(to_nifti(from_nifti(affine)), affine)


@given(nifti_affines)
def test_lps_to_ras_is_its_own_inverse(affine):
    np.testing.assert_array_equal(lps_to_ras(lps_to_ras(affine)), affine)


@given(nifti_affines, shapes)
def test_our_affine_on_zyx_says_the_same_place_as_nifti_on_xyz(affine, shape):
    index = all_indices(shape)
    theirs = nib.affines.apply_affine(affine, index[:, ::-1])
    np.testing.assert_allclose(Geometry(shape, from_nifti(affine)).index_to_world(index), theirs, atol=1e-9)


def test_world_of_a_hand_worked_voxel():
    # LPS file: x runs to the left, y to the back; 2 mm, 3 mm and 4 mm apart.
    geometry = Geometry((5, 5, 5), from_nifti(np.diag([-2.0, -3.0, 4.0, 1.0])))
    np.testing.assert_array_equal(geometry.index_to_world([3, 2, 1]), [-2, -6, 12])
    assert geometry.orientation == "LPS"
    assert geometry.spacing_mm == (4, 3, 2)
    assert geometry.voxel_ml == pytest.approx(0.024)


@given(nifti_affines)
def test_orientation_is_what_nibabel_says(affine):
    assert Geometry((3, 3, 3), from_nifti(affine)).orientation == "".join(nib.aff2axcodes(affine))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_of_all_48(orientation):
    assert Geometry((2, 3, 4), from_nifti(nifti_affine(orientation))).orientation == orientation


@given(geometries, st.integers(0, 2))
def test_canonical_axes_keep_every_voxel_in_its_place(geometry, n_lead):
    # An array that holds the world position of each of its voxels, with some leading axes.
    world = geometry.index_to_world(np.moveaxis(np.indices(geometry.shape), 0, -1))
    stored = np.broadcast_to(np.moveaxis(world, -1, 0), (*(2,) * n_lead, 3, *geometry.shape))

    turn = to_canonical(geometry)
    moved, moved_geometry = turn.apply(stored), turn.apply_to(geometry)

    assert moved.shape[-3:] == moved_geometry.shape
    expected = moved_geometry.index_to_world(np.moveaxis(np.indices(moved_geometry.shape), 0, -1))
    np.testing.assert_allclose(
        np.moveaxis(moved, -4, -1), np.broadcast_to(expected, (*(2,) * n_lead, *expected.shape)), atol=1e-6
    )


@given(geometries)
def test_canonical_axes_run_to_s_a_r(geometry):
    assert to_canonical(geometry).apply_to(geometry).orientation == "RAS"


@given(geometries)
def test_undoing_the_canonical_turn_restores_the_array(geometry):
    stored = np.arange(np.prod(geometry.shape)).reshape(geometry.shape)
    turn = to_canonical(geometry)
    np.testing.assert_array_equal(turn.undo(turn.apply(stored)), stored)


@given(geometries)
def test_a_grid_equals_itself_up_to_a_hundredth_of_a_voxel(geometry):
    close, far = geometry.affine.copy(), geometry.affine.copy()
    close[:3, 3] += 0.005 * min(geometry.spacing_mm)
    far[:3, 3] += 0.5 * min(geometry.spacing_mm)
    assert geometry.same_grid(Geometry(geometry.shape, close))
    assert not geometry.same_grid(Geometry(geometry.shape, far))
    assert not geometry.same_grid(Geometry((geometry.shape[0] + 1, *geometry.shape[1:]), geometry.affine))


def test_flipped_storage_of_the_same_places_is_another_grid():
    one = Geometry((4, 4, 4), np.eye(4))
    assert not one.same_grid(Geometry((4, 4, 4), np.diag([-1.0, 1.0, 1.0, 1.0])))


def test_shear_and_tilt_are_told_apart():
    oblique = Geometry((3, 3, 3), from_nifti(nifti_affine("LPS", rotation_deg=(0, 0, 15))))
    assert not oblique.is_sheared
    assert oblique.tilt_deg == pytest.approx(15)
    sheared = oblique.affine.copy()
    sheared[:3, 0] += 0.2 * sheared[:3, 1]
    assert Geometry((3, 3, 3), sheared).is_sheared


@pytest.mark.parametrize(
    ("affine", "wanted"),
    [
        (np.diag([1, 1, np.nan, 1]), "NaN"),
        (np.diag([1, 1, np.inf, 1]), "infinite"),
        (np.diag([1.0, 0, 1, 1]), "singular"),
        (np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "singular"),
        (np.eye(3), "4x4"),
    ],
)
def test_an_impossible_affine_is_refused_in_a_sentence(affine, wanted):
    with pytest.raises(GeometryError, match=wanted):
        Geometry((3, 3, 3), affine)


def test_an_affine_of_microscopic_voxels_is_sound():
    assert Geometry((3, 3, 3), np.diag([1e-4, 1e-4, 1e-4, 1])).voxel_ml == pytest.approx(1e-15)


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 3), (3, 3, 3, 3)])
def test_an_impossible_shape_is_refused(shape):
    with pytest.raises(GeometryError, match="three axes"):
        Geometry(shape, np.eye(4))
