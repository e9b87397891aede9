"""Carry pretrained weights into another network, and say what became of each tensor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from napari_mmssl.errors import CheckpointError
from napari_mmssl.networks.decoder import UNetDecoder
from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.networks.segmentation import SegmentationNetwork


@dataclass(frozen=True)
class TensorReport:
    """What became of one tensor of the receiving network."""

    name: str
    outcome: Literal["loaded", "converted", "skipped"]
    reason: str


@dataclass(frozen=True)
class Pretrained:
    """What a pretraining leaves to others.

    Parameters
    ----------
    encoder
        State of the encoder.
    channels
        Modality of each channel of its stem; empty if it takes one channel, whichever modality that is.
    decoder
        State of a U-Net decoder, if the recipe learned one.
    segmentation
        State of a whole segmentation, if these are the weights of one.
    """

    encoder: dict[str, Tensor]
    channels: tuple[str, ...] = ()
    decoder: dict[str, Tensor] | None = None
    segmentation: dict[str, Tensor] | None = None


def transfer_encoder(
    encoder: Encoder, weights: dict[str, Tensor], given: Sequence[str] = (), wanted: Sequence[str] = ()
) -> list[TensorReport]:
    """Load pretrained ``weights`` into ``encoder`` and report on every tensor.

    A stem of one channel is converted to the encoder's number of channels K by copying it K times and
    dividing by K: K equal channels then give the activations that one gave before. A stem of several modalities gives
    each modality its own channel again; one that it never met begins with the mean of the others.

    Parameters
    ----------
    encoder
        Receives the weights.
    weights
        State of an encoder of the same kind and size.
    given, wanted
        Modality of each channel of the weights' stem and of the encoder's; empty for a stem of one channel.

    Raises
    ------
    CheckpointError
        If no tensor but the stem fits: these are weights of another network.
    """
    own = encoder.state_dict()
    stem = next(name for name, parameter in encoder.named_parameters() if parameter is encoder.stem.weight)
    reports: list[TensorReport] = []
    state: dict[str, Tensor] = {}
    for name, tensor in own.items():
        found, reason = weights.get(name), ""
        if found is not None and name == stem:
            found, reason = _fitting_stem(found, tensor.shape[1], given, wanted)
        report = _loaded(name, tensor, found, state)
        reports.append(replace(report, outcome="converted", reason=reason) if reason and name in state else report)
    if not any(report.outcome == "loaded" for report in reports):
        raise CheckpointError("none of these weights fit the encoder; they belong to another network or size")
    encoder.load_state_dict(state, strict=False)
    return reports


def transfer_decoder(decoder: UNetDecoder, weights: dict[str, Tensor]) -> list[TensorReport]:
    """Load pretrained ``weights`` into ``decoder``, but for its last convolution, whose maps are of something else."""
    state: dict[str, Tensor] = {}
    reports = []
    for name, tensor in decoder.state_dict().items():
        if name.startswith("output."):
            reports.append(TensorReport(name, "skipped", "maps of something else"))
        else:
            reports.append(_loaded(name, tensor, weights.get(name), state))
    decoder.load_state_dict(state, strict=False)
    return reports


def carry_segmentation(network: SegmentationNetwork, weights: dict[str, Tensor]) -> list[TensorReport]:
    """Load all ``weights`` of a segmentation into ``network``, which is built as its card says.

    Raises
    ------
    CheckpointError
        If they do not fit their own card.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError("the weights of the segmentation do not fit their own card") from error
    return [TensorReport(name, "loaded", "same shape") for name in weights]


def _loaded(name: str, tensor: Tensor, found: Tensor | None, state: dict[str, Tensor]) -> TensorReport:
    """Put ``found`` into ``state`` if it fits ``tensor``, and say so."""
    if found is None:
        return TensorReport(name, "skipped", "not among the weights")
    if found.shape != tensor.shape:
        return TensorReport(name, "skipped", f"shape {tuple(found.shape)}, {tuple(tensor.shape)} wanted")
    state[name] = found
    return TensorReport(name, "loaded", "same shape")


def _fitting_stem(stem: Tensor, channels: int, given: Sequence[str], wanted: Sequence[str]) -> tuple[Tensor, str]:
    """Return ``stem`` ``(C, K, d, h, w)`` for other channels, and what was done to it; nothing if nothing is known.

    Several modalities are scaled by the ratio of their numbers: what is absent raises the network's input by its share,
    and a network of fewer modalities then sees what the other one saw with the rest absent.
    """
    if not given and stem.shape[1] == 1 < channels:
        copied = stem.expand(-1, channels, -1, -1, -1) / channels
        return copied, f"1 channel copied to {channels} and divided by {channels}"
    if not given or tuple(given) == tuple(wanted) or len(wanted) != channels:
        return stem, ""
    mean = stem.mean(dim=1)
    columns = [stem[:, given.index(name)] if name in given else mean for name in wanted]
    new = [name for name in wanted if name not in given]
    done = "channels taken by modality" + (f", their mean for {', '.join(new)}" if new else "")
    return torch.stack(columns, dim=1) * (len(given) / len(wanted)), done
