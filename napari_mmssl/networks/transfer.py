"""Carry an encoder's weights into another network, and say what became of each tensor."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from napari_mmssl.errors import CheckpointError
from napari_mmssl.networks.encoders import Encoder


@dataclass(frozen=True)
class TensorReport:
    """What became of one tensor of the receiving encoder."""

    name: str
    outcome: Literal["loaded", "converted", "skipped"]
    reason: str


def transfer_encoder(encoder: Encoder, weights: dict[str, Tensor]) -> list[TensorReport]:
    """Load pretrained ``weights`` into ``encoder`` and report on every tensor.

    A stem of one channel is converted to the encoder's number of channels K by copying it K times and
    dividing by K: K equal channels then give the activations that one gave before.

    Parameters
    ----------
    encoder
        Receives the weights.
    weights
        State of an encoder of the same kind and size.

    Raises
    ------
    CheckpointError
        If no tensor but the stem fits: these are weights of another network.
    """
    own = encoder.state_dict()
    stem = next(name for name, parameter in encoder.named_parameters() if parameter is encoder.stem.weight)
    reports, state = [], {}
    for name, tensor in own.items():
        given = weights.get(name)
        if given is None:
            reports.append(TensorReport(name, "skipped", "not among the weights"))
        elif given.shape == tensor.shape:
            state[name] = given
            reports.append(TensorReport(name, "loaded", "same shape"))
        elif name == stem and given.shape == (tensor.shape[0], 1, *tensor.shape[2:]):
            channels = tensor.shape[1]
            state[name] = given.expand_as(tensor) / channels
            reports.append(TensorReport(name, "converted", f"1 channel copied to {channels} and divided by {channels}"))
        else:
            reports.append(TensorReport(name, "skipped", f"shape {tuple(given.shape)}, {tuple(tensor.shape)} wanted"))
    if not any(report.outcome == "loaded" for report in reports):
        raise CheckpointError("none of these weights fit the encoder; they belong to another network or size")
    encoder.load_state_dict(state, strict=False)
    return reports
