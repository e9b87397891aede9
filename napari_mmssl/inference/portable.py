"""A trained network as one file that torch runs alone, without this package."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_mmssl.atomic import replacing
from napari_mmssl.errors import CheckpointError
from napari_mmssl.inference.case_prediction import load_case_predictor
from napari_mmssl.inference.prediction import load_predictor
from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.tasks import tasks
from napari_mmssl.training.weights_cards import channels_of, read_card
from napari_mmssl.training.weights_files import read_weights

#: By how much answers may differ, of the largest number in them.
_TOLERANCE = 1e-5
_CPU = torch.device("cpu")
#: Samples in the example that is followed; torch takes a single one for a constant.
_FOLLOWED = 2
#: Numbers of samples that the file is tried with.
_TRIED = (1, 3)


class _Probabilities(nn.Module):
    """From modalities ``(n, K, d, h, w)`` to probabilities of the classes ``(n, C, d, h, w)``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, volumes: Tensor, present: Tensor) -> Tensor:
        logits: Tensor = self.network(volumes, present)
        return logits.softmax(dim=1)


class _Numbers(nn.Module):
    """From whole cases to the numbers of a head ``(n, numbers)``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, volumes: Tensor, present: Tensor, covariates: Tensor, body: Tensor) -> Tensor:
        pyramid = self.network.encode(volumes, present)  # type: ignore[operator]
        numbers: Tensor = self.network.numbers(pyramid, covariates, body)  # type: ignore[operator]
        return numbers


def write_portable(weights: Path, file: Path) -> dict[str, Any]:
    """Write what the network in ``weights`` computes as ``file``, made by ``torch.export``; return what it takes.

    Beside the weights the file holds the operations themselves, for any number of samples of the card's patch. It is
    read again and tried against the network before it gets its name.

    Parameters
    ----------
    weights
        A run folder or a weights folder.
    file
        To be written, usually ``predictor.pt2``.

    Returns
    -------
    ``inputs`` and ``outputs``, each name with its shape in words, ``torch`` (its version) and ``difference``, the
    greatest that was met, of the largest number.

    Raises
    ------
    CheckpointError
        If the weights are missing or damaged, or torch cannot follow the network.
    """
    module, inputs, takes, gives = _computing(weights)
    samples = torch.export.Dim("samples", min=1, max=1024)
    given = inputs(_FOLLOWED)
    try:
        with torch.no_grad():
            # Once as it is: what the network keeps for later must be real numbers, not those of the one that follows.
            module(*given)
            program = torch.export.export(
                module, given, dynamic_shapes={name: {0: samples} for name in takes}, strict=False
            )
    except Exception as error:  # torch has no common class for what it cannot follow
        said = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"torch.export cannot follow the network in '{weights}': {said}") from error
    with replacing(file) as aside, warnings.catch_warnings():
        # Of weights in another memory order torch says that it took the first it found; the answers are compared below.
        warnings.filterwarnings("ignore", "No complete tensor found")
        torch.export.save(program, aside)
        difference = _difference(module, torch.export.load(aside).module(), inputs)
        if difference > _TOLERANCE:
            raise CheckpointError(
                f"the exported network differs from '{weights}' by {difference:.1e}, and {_TOLERANCE:.0e} is allowed; "
                "use the safetensors"
            )
    return {"inputs": takes, "outputs": gives, "torch": torch.__version__.partition("+")[0], "difference": difference}


def _computing(
    weights: Path,
) -> tuple[nn.Module, Callable[[int], tuple[Tensor, ...]], dict[str, str], dict[str, str]]:
    """Return a module of ``weights``, what makes inputs of it for some samples, and what goes in and out in words."""
    card = read_card(weights)
    patch = tuple(int(edge) for edge in card["patch"])
    z, y, x = patch
    channels = int(card["in_channels"])
    volumes = {"volumes": f"(n, {channels}, {z}, {y}, {x}) float32: {', '.join(card['modalities'])}; 0 where absent"}
    present = {"present": f"(n, {channels}) bool: which of them are there, one at least"}

    def windows(n: int) -> tuple[Tensor, Tensor]:
        there = torch.rand(n, channels) < 0.6
        there[:, 0] = True
        return torch.randn(n, channels, *patch) * there[:, :, None, None, None], there

    if card["kind"] == "pretrain":
        how = card["encoder"]
        encoder = build_encoder(how["name"], how["size"], channels, how["thick_slices"] or 0)
        encoder.load_state_dict(read_weights(weights, "encoder"))
        levels = {f"level {n}": f"(n, {width}, ...)" for n, width in enumerate(encoder.channels)}
        names = ", ".join(channels_of(card)) or "any one modality"
        one = {"patch": f"(n, {channels}, {z}, {y}, {x}) float32: {names}"}
        return encoder.eval(), lambda n: (windows(n)[0],), one, levels
    if card["kind"] != "finetune":
        raise CheckpointError(f"'{weights}' holds a {card['kind']}; only encoders and fine-tuned networks are exported")
    if tasks.get(card["task"]).gives == "label map":
        classes = ("background", *(one["name"] for one in card["convention"]["classes"]))
        gives = {"probabilities": f"(n, {len(classes)}, {z}, {y}, {x}) float32: {', '.join(classes)}"}
        return _Probabilities(load_predictor(weights, _CPU).network).eval(), windows, volumes | present, gives
    predictor = load_case_predictor(weights, _CPU)
    width = predictor.task.covariates([{}]).shape[1]
    more = {"covariates": f"(n, {width}) float32: age, standardised by age_years, and whether it is known"}
    more["body"] = f"(n, {z}, {y}, {x}) bool: voxels of the body"

    def cases(n: int) -> tuple[Tensor, ...]:
        return (*windows(n), torch.randn(n, width), torch.rand(n, *patch) < 0.5)

    gives = {"numbers": f"(n, {predictor.task.n_numbers}) float32: what the task {card['task']} reads its values from"}
    return _Numbers(predictor.network).eval(), cases, volumes | present | more, gives


@torch.no_grad()
def _difference(one: nn.Module, other: nn.Module, inputs: Callable[[int], tuple[Tensor, ...]]) -> float:
    """Return the greatest difference between two modules, of the largest number."""
    differences = []
    for n in _TRIED:
        given = inputs(n)
        for a, b in zip(_flat(one(*given)), _flat(other(*given)), strict=True):
            differences.append(float((a - b).abs().max() / a.abs().max().clamp(min=1)))
    return max(differences)


def _flat(output: Tensor | list[Tensor]) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else list(output)
