"""Everything needed to go on: weights, optimiser, step; one file, written aside and renamed."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from napari_mmssl.errors import CheckpointError
from napari_mmssl.training.trainee import Trainee
from napari_mmssl.training.weights_files import write_tensors

CHECKPOINT_FORMAT = 1


def save_checkpoint(
    path: Path, trainee: Trainee, optimiser: torch.optim.Optimizer | None, step: int, *, best: float | None
) -> None:
    """Write the state after ``step`` steps; without an optimiser, the weights alone.

    Chance needs no place here: every draw is counted from the seed and the step
    (:mod:`napari_mmssl.randomness`).
    """
    tensors: dict[str, Tensor] = {}
    for name, module in trainee.modules.items():
        for key, tensor in module.state_dict().items():
            tensors[f"weights/{name}/{key}"] = tensor
    state = optimiser.state_dict()["state"] if optimiser else {}
    for index, slots in state.items():
        for slot, value in slots.items():
            tensors[f"optimiser/{index}/{slot}"] = torch.as_tensor(value)
    head = {"format": CHECKPOINT_FORMAT, "step": step, "best": best}
    write_tensors(path, tensors, {"mmssl": json.dumps(head)})


def load_checkpoint(path: Path, trainee: Trainee, optimiser: torch.optim.Optimizer | None) -> tuple[int, float | None]:
    """Restore what :func:`save_checkpoint` wrote; return the number of steps done and the best validation so far.

    Raises
    ------
    CheckpointError
        If the file is damaged, of a newer version, or of another network.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            head: dict[str, Any] = json.loads((file.metadata() or {})["mmssl"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a mapping)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"the checkpoint '{path}' is damaged: {error}") from error
    if head["format"] > CHECKPOINT_FORMAT:
        raise CheckpointError(f"the checkpoint '{path}' was written by a newer napari-mmssl; update to go on with it")
    for name, module in trainee.modules.items():
        prefix = f"weights/{name}/"
        state = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        try:
            module.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(f"the checkpoint '{path}' belongs to another network: {error}") from error
    slots: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimiser/"):
            _, index, slot = key.split("/")
            slots.setdefault(int(index), {})[slot] = tensor
    if optimiser is not None:
        optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
        _lay_like_weights(optimiser)
    return int(head["step"]), head["best"]


def _lay_like_weights(optimiser: torch.optim.Optimizer) -> None:
    """Give the moments the memory order of their weights: files do not keep it, and the fused kernel relies on it."""
    for weight, slots in optimiser.state.items():
        for name, value in slots.items():
            if value.shape == weight.shape and value.stride() != weight.stride():
                slots[name] = torch.empty_like(weight).copy_(value)
