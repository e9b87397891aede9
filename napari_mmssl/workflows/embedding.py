"""A map of a cohort: where a pretrained encoder puts each case beside the others, in two dimensions."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmssl.atomic import write_json
from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import prepare_cohort
from napari_mmssl.errors import CheckpointError, ConfigError
from napari_mmssl.tasks.case_task import covering_patch
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.weights_cards import channels_of, read_card
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.running import set_threads

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
#: A plane through fewer points says nothing.
_FEWEST = 3


@dataclass(frozen=True)
class Placed:
    """A case on the map; ``x`` and ``y`` are its two first principal components."""

    case: str
    subject: str
    modalities: tuple[str, ...]
    labelled: bool
    clinical: dict[str, Any]
    x: float
    y: float


def embed(
    cohort_path: Path,
    weights: Path,
    out: Path | None = None,
    *,
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Return where the encoder in ``weights`` puts each case of a cohort, and write it to ``out``.

    Each modality of a case is encoded alone and its features are averaged over the body at each level; the mean of
    that modality over all cases is taken away, so that a case without FLAIR does not lie apart for that alone; then
    modalities are averaged, and a principal component analysis gives the plane.

    Parameters
    ----------
    cohort_path
        Folder with the cases.
    weights
        A pretraining's run folder, at work or ended, or a weights folder.
    out
        JSON file to write as well.
    device
        As in a fine-tuning.
    progress
        Called with the number of cases prepared and their total.

    Returns
    -------
    Plain values: ``cases`` (see :class:`Placed`), ``explained`` (share of the variance along x and along y),
    ``weights``, ``step`` (of the checkpoint, if the run has no weights yet).

    Raises
    ------
    CheckpointError
        If ``weights`` holds no pretrained encoder.
    ConfigError
        If there are fewer than three cases with a scan that the encoder knows.
    """
    source = _source(weights)
    cohort = find_cohort(cohort_path)
    channels = source.channels()
    known = channels or cohort.modalities
    cases = [case for case in cohort.cases if set(case.modalities) & set(known)]
    if len(cases) < _FEWEST:
        raise ConfigError(
            f"a map wants at least {_FEWEST} cases with a scan of {', '.join(sorted(known)) or 'some modality'}, "
            f"'{cohort_path}' has {len(cases)}"
        )
    from napari_mmssl.inference.features import case_features, frozen_encoder
    from napari_mmssl.training.device import choose_device

    set_threads()
    where = choose_device(device)
    prepared = prepare_cohort(cases, source.spacing_mm, with_label=False, progress=progress)
    encoder = frozen_encoder(source.encoder, channels, source.read(), where)
    modalities, patch = tuple(sorted(cohort.modalities)), covering_patch(prepared)
    features = np.stack([case_features(encoder, case, modalities, patch, where) for case in prepared])
    points, explained = plane(without_modality(features))
    placed = [_placed(case, x, y) for case, (x, y) in zip(cases, points, strict=True)]
    found = {
        "format": FORMAT,
        "weights": str(weights),
        "step": source.step,
        "explained": [float(share) for share in explained],
        "cases": [asdict(case) for case in placed],
    }
    if out is not None:
        write_json(out, found)
    return found


def _placed(case: Case, x: float, y: float) -> Placed:
    labelled = case.label is not None
    return Placed(case.id, case.subject, tuple(case.modalities), labelled, dict(case.clinical), float(x), float(y))


def without_modality(features: np.ndarray) -> np.ndarray:
    """Return features of cases ``(N, F)`` from those of modalities ``(N, K, F)``; NaN marks what a case lacks."""
    there = np.isfinite(features)
    count = there.sum(axis=0)
    usual = np.where(there, features, 0).sum(axis=0) / np.maximum(count, 1)
    apart = np.where(there, features - usual, 0).sum(axis=1)
    return np.asarray(apart / np.maximum(there.sum(axis=1), 1))


def plane(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the two first principal components ``(N, 2)`` of ``(N, F)`` and their shares of the variance.

    Features are standardised first, since levels of a pyramid differ in scale. Signs are free: of each component the
    feature with the largest part is given a positive one, so that the map is the same each time.
    """
    centred = features - features.mean(axis=0)
    spread = centred.std(axis=0)
    scaled = centred[:, spread > 0] / spread[spread > 0]
    if not scaled.size:
        return np.zeros((len(features), 2)), np.zeros(2)
    left, sizes, right = np.linalg.svd(scaled, full_matrices=False)
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    n = min(2, len(sizes))
    points, shares = np.zeros((len(features), 2)), np.zeros(2)
    points[:, :n] = (left * sizes * signs)[:, :n]
    shares[:n] = (sizes**2 / (sizes**2).sum())[:n]
    return points, shares


@dataclass(frozen=True)
class _Source:
    """An encoder: how it is built, the modalities of its stem, its spacing and tensors, and the step they are from."""

    encoder: dict[str, Any]
    channels: Callable[[], tuple[str, ...]]
    spacing_mm: tuple[float, float, float]
    read: Callable[[], "dict[str, Tensor]"]
    step: int | None


def _source(path: Path) -> _Source:
    checkpoint = path / "checkpoints" / "last.safetensors"
    if RunFolder.is_run(path) and not (path / "weights" / "card.json").is_file() and checkpoint.is_file():
        return _at_work(path, checkpoint)
    card = read_card(path)
    if card.get("kind") != "pretrain":
        raise CheckpointError(f"'{path}' holds a {card.get('kind')}, and a pretrained encoder is wanted")

    def read() -> "dict[str, Tensor]":
        from napari_mmssl.training.weights_files import read_weights

        return read_weights(path, "encoder")

    z, y, x = card["spacing_mm"]
    return _Source(card["encoder"], lambda: channels_of(card), (z, y, x), read, None)


def _at_work(path: Path, checkpoint: Path) -> _Source:
    """Return the encoder of a pretraining that has not ended, from its latest checkpoint."""
    settings = pretrain_settings(file=path / "run.toml")
    if settings.data.spacing_mm is None:
        raise CheckpointError(f"the run '{path}' does not say its spacing; wait until it has begun")

    def read() -> "dict[str, Tensor]":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        prefix = "weights/encoder/"
        try:
            tensors = load_file(str(checkpoint))
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"'{checkpoint}' cannot be read: {error}") from error
        return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}

    def channels() -> tuple[str, ...]:
        from napari_mmssl.training.pretraining import stem_channels

        return stem_channels(settings)

    step = int(RunFolder.open(path).status().get("step", 0))
    return _Source(settings.encoder.model_dump(), channels, settings.data.spacing_mm, read, step)
