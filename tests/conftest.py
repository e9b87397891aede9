"""What tests of several areas share. No test uses the network, the home folder or anything outside the checkout."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import settings

# Timed limits fail on busy machines; how fast things are is measured in benchmarks/.
settings.register_profile("mmssl", deadline=None, max_examples=60)
settings.load_profile("mmssl")

WriteNifti = Callable[..., Path]


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(20261122)


@pytest.fixture
def write_nifti(rng: np.random.Generator) -> WriteNifti:
    """Write a small NIfTI file with nibabel, not with our own writer, and return its path.

    ``write_nifti(path, shape_xyz=(5, 6, 7), affine=None, array=None, dtype=np.int16, description="")``; ``affine`` and
    ``array`` are NIfTI's own, on ``(x, y, z)``; without an array voxels are random, for label types 0 or 1.
    """

    def write(path, shape_xyz=(5, 6, 7), affine=None, array=None, dtype=np.int16, description=""):
        path.parent.mkdir(parents=True, exist_ok=True)
        if array is None:
            highest = 2 if dtype == np.uint8 else 100
            array = rng.integers(0, highest, shape_xyz)
        image = nib.Nifti1Image(np.asarray(array, dtype=dtype), np.eye(4) if affine is None else affine)
        image.header["descrip"] = description.encode()
        nib.save(image, path)
        return path

    return write


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scans beside the checkout, which only developers have; the test is skipped without them."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real scans in ../shared/data")
    return folder
