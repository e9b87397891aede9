"""Hypothesis strategies for the things this package is about."""

import itertools

import nibabel as nib
import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_mmssl.volumes.geometry import Geometry, from_nifti

#: All 48 ways in which the axes (x, y, z) of a file can run along the body's.
ORIENTATIONS = [
    "".join(letters) for axes in itertools.permutations(("RL", "AP", "SI")) for letters in itertools.product(*axes)
]


def nifti_affine(orientation, spacing_xyz=(1.0, 1.5, 2.5), origin=(-12.25, 7.5, 31.125), rotation_deg=(0, 0, 0)):
    """NIfTI affine whose axes run as ``orientation`` says, then turned about the origin of the world."""
    ras = nib.orientations.axcodes2ornt(orientation)
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (world_axis, sense) in enumerate(ras):
        affine[int(world_axis), axis] = sense * spacing_xyz[axis]
    affine[:3, 3] = origin
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", rotation_deg, degrees=True).as_matrix()
    return turn @ affine


spacings = st.tuples(*[st.floats(0.3, 8.0)] * 3)
origins = st.tuples(*[st.floats(-300, 300)] * 3)
#: Below the angle at which the nearest anatomical axes could change.
tilts = st.tuples(*[st.floats(-20, 20)] * 3)
shapes = st.tuples(*[st.integers(1, 6)] * 3)
nifti_affines = st.builds(nifti_affine, st.sampled_from(ORIENTATIONS), spacings, origins, tilts)
geometries = st.builds(lambda shape, affine: Geometry(shape, from_nifti(affine)), shapes, nifti_affines)
