"""The viewer and the command line give equal numbers."""

import nibabel as nib
import numpy as np
import pytest
import torch
from both_doors import through_the_command_line, through_the_widgets, widget_threads
from safetensors.torch import load_file
from small_cohorts import write_small_cohort


@pytest.mark.gl
def test_equal_weights_and_label_maps_through_both_doors(make_napari_viewer, tmp_path, monkeypatch):
    # Large enough for the recipe's own patches of 48 voxels to hold some body.
    cohort = write_small_cohort(tmp_path / "cohort", cases=4, shape=(26, 28, 30))

    through_the_widgets(make_napari_viewer(), cohort, tmp_path / "viewer", "sub-02", steps=3, coding="auto")
    monkeypatch.setenv("MMSSL_THREADS", widget_threads())
    torch.set_num_threads(int(widget_threads()))
    through_the_command_line(cohort, tmp_path / "shell", tmp_path / "viewer", "sub-02")

    for kind, name in (("pretrain", "encoder"), ("finetune", "network")):
        one, other = (
            load_file(tmp_path / door / kind / "weights" / f"{name}.safetensors") for door in ("viewer", "shell")
        )
        assert all(torch.equal(one[key], other[key]) for key in one | other)
    drawn, written = (
        nib.load(tmp_path / "viewer" / "sub-02.nii.gz"),
        nib.load(tmp_path / "shell/predictions/sub-02.nii.gz"),
    )
    np.testing.assert_array_equal(np.asarray(drawn.dataobj), np.asarray(written.dataobj))
    np.testing.assert_array_equal(drawn.affine, written.affine)
