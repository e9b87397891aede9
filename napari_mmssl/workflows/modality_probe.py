"""Probe how well frozen features tell in which modality a place was seen: hardly, if they are agnostic of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.metrics.classification import balanced_accuracy
from napari_mmssl.metrics.probes import fit_linear, neighbour_probabilities
from napari_mmssl.randomness import counted_rng

if TYPE_CHECKING:
    import torch

    from napari_mmssl.inference.features import FrozenEncoder

Shape = tuple[int, int, int]

#: Places that each modality of a person gives.
_PLACES = 64
#: Enough of them that a weak penalty does, without searching.
_PENALTY = 1e-3


def probe_modalities(
    encoder: "FrozenEncoder",
    train: Sequence[PreparedCase],
    test: Sequence[PreparedCase],
    modalities: tuple[str, ...],
    patch: Shape,
    device: "torch.device",
    *,
    neighbours: int,
    seed: int,
) -> dict[str, Any]:
    """Return the balanced accuracy with which the deepest features inside a body tell their modality.

    Taleb et al. (arXiv:1912.05396) mix modalities in a puzzle so that an embedding says what is shown and not how;
    ``1 / len(modalities)`` is an embedding that has nothing of it left.

    Parameters
    ----------
    encoder
        Of a pretraining, or of random weights.
    train, test
        People to fit to and to measure on.
    modalities
        Classes, in order.
    patch
        Holds every body.
    device
        Where ``encoder`` is.
    neighbours
        How many vote in the nearest-neighbour probe.
    seed
        Decides which places are taken.

    Returns
    -------
    ``linear`` and ``neighbours``, each with its ``balanced_accuracy``.
    """
    parts = []
    for people, purpose in ((train, "modality probe"), (test, "modality probe, held out")):
        found = [_places(encoder, one, modalities, patch, device, seed, n, purpose) for n, one in enumerate(people)]
        parts.append((np.concatenate([rows for rows, _ in found]), np.concatenate([truth for _, truth in found])))
    (known, truth), (asked, wanted) = parts
    n = len(modalities)
    answers = {
        "linear": fit_linear(known, truth, n, penalty=_PENALTY).probabilities(asked),
        "neighbours": neighbour_probabilities(known, truth, asked, n, neighbours),
    }
    return {
        name: {"balanced_accuracy": balanced_accuracy(wanted, said.argmax(axis=1))} for name, said in answers.items()
    }


def _places(
    encoder: "FrozenEncoder",
    case: PreparedCase,
    modalities: tuple[str, ...],
    patch: Shape,
    device: "torch.device",
    seed: int,
    number: int,
    purpose: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return features ``(n, F)`` of equal places in each modality of ``case``, and which one it is ``(n,)``."""
    from torch.nn.functional import adaptive_avg_pool3d

    from napari_mmssl.inference.case_prediction import whole_case

    batch = whole_case(case, modalities, patch).to(device)
    known = encoder.known(batch)
    deepest = encoder.alone(batch)[-1].float()
    d, h, w = deepest.shape[2:]
    body = adaptive_avg_pool3d(batch.foreground.unsqueeze(1).float(), (d, h, w)).flatten().cpu().numpy()
    inside = np.flatnonzero(body >= min(0.5, body.max()))  # A body may fill half of no cell.
    chosen = counted_rng(seed, number, purpose=purpose).permutation(inside)[:_PLACES]
    rows = deepest.flatten(2).double().cpu().numpy()[:, :, chosen]  # K, F, n
    return rows.transpose(0, 2, 1).reshape(-1, rows.shape[1]), np.repeat(known, len(chosen))
