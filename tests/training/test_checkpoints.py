"""Checkpoints that are not what a run needs are refused in a sentence, and nothing is unpickled."""

import json
import pickle
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_mmssl.errors import CheckpointError
from napari_mmssl.training.checkpoints import load_checkpoint, save_checkpoint


def trainee(width=3):
    torch.manual_seed(0)
    return SimpleNamespace(modules={"encoder": torch.nn.Linear(4, width)})


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, trainee(), None, 7, best=0.5)
    return path


def test_what_was_saved_comes_back(saved):
    other = trainee()
    torch.nn.init.zeros_(other.modules["encoder"].weight)

    assert load_checkpoint(saved, other, None) == (7, 0.5)
    assert torch.equal(other.modules["encoder"].weight, trainee().modules["encoder"].weight)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.99])
def test_a_checkpoint_that_is_cut_short_is_refused(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(saved, trainee(), None)


def test_a_checkpoint_of_another_network_or_a_newer_version_is_refused(saved):
    with pytest.raises(CheckpointError, match="another network"):
        load_checkpoint(saved, trainee(width=5), None)

    save_file(load_file(saved), saved, metadata={"mmssl": json.dumps({"format": 2, "step": 1, "best": None})})
    with pytest.raises(CheckpointError, match="newer napari-mmssl"):
        load_checkpoint(saved, trainee(), None)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('it was unpickled')",))


@pytest.mark.parametrize("write", [pickle.dumps, None])
def test_a_pickle_in_its_place_is_not_run(saved, write):
    if write is None:
        torch.save({"weights": Bomb()}, saved)
    else:
        saved.write_bytes(write(Bomb()))

    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(saved, trainee(), None)
