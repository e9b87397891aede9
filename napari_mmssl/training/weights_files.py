"""Weights on disk as safetensors; no pickle is ever read."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from napari_mmssl.atomic import replacing
from napari_mmssl.errors import CheckpointError
from napari_mmssl.training.weights_cards import weights_folder


def write_weights(folder: Path, name: str, module: nn.Module) -> None:
    """Write the weights of ``module`` as ``<folder>/<name>.safetensors``."""
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
    with replacing(folder / f"{name}.safetensors") as aside:
        save_file(tensors, str(aside))


def read_weights(path: Path, name: str) -> dict[str, Tensor]:
    """Return the tensors of ``<name>.safetensors`` in ``path`` (a run folder or a weights folder).

    Raises
    ------
    CheckpointError
        If there are none of that name, or the file is damaged.
    """
    file = weights_folder(path) / f"{name}.safetensors"
    if not file.is_file():
        raise CheckpointError(f"'{file.parent}' holds no {name} weights")
    try:
        return dict(load_file(str(file)))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"'{file}' is damaged or no safetensors file: {error}") from error
