"""Weights on disk as safetensors; no pickle is ever read."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from napari_mmssl.atomic import replacing
from napari_mmssl.errors import CheckpointError, WriteError
from napari_mmssl.networks.transfer import Pretrained
from napari_mmssl.training.weights_cards import channels_of, read_card, reading_card_of, weights_folder


def write_weights(folder: Path, name: str, module: nn.Module) -> None:
    """Write the weights of ``module`` as ``<folder>/<name>.safetensors``."""
    write_tensors(folder / f"{name}.safetensors", module.state_dict())


def write_tensors(path: Path, tensors: Mapping[str, Tensor], head: Mapping[str, str] | None = None) -> None:
    """Write ``tensors`` as one safetensors file, with ``head`` in its header, replacing ``path`` in one step.

    Raises
    ------
    WriteError
        If the folder cannot be written or the disk is full.
    """
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with replacing(path) as aside:
        try:
            save_file(plain, str(aside), metadata=dict(head) if head else None)
        except SafetensorError as error:
            # safetensors wraps what the system said, such as a full disk, in an error of its own.
            raise WriteError(f"cannot write '{path}': {error}") from error


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


def read_pretrained(path: Path) -> Pretrained:
    """Return what the pretraining, or the segmentation, in ``path`` (a run or weights folder) leaves to others.

    Raises
    ------
    CheckpointError
        If there is no encoder, or a file is damaged.
    """
    folder = weights_folder(path)
    card = read_card(folder)
    with reading_card_of(folder):
        channels = channels_of(card)
    if card.get("task") == "segmentation":
        return Pretrained({}, channels, segmentation=read_weights(folder, "network"))
    decoder = read_weights(folder, "decoder") if (folder / "decoder.safetensors").is_file() else None
    return Pretrained(read_weights(folder, "encoder"), channels, decoder)
