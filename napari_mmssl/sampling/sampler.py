"""Cut batches of patches from prepared cases."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.randomness import counted_rng, counted_seed
from napari_mmssl.sampling.augmentation import Augmentation, changed_looks
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.sampling.turning import TurnedCut, draw_turn, turned_cut
from napari_mmssl.tasks.conventions import LabelConvention
from napari_mmssl.volumes.foreground import bounding_box

Placement = Literal["random", "whole"]
Shape = tuple[int, int, int]
#: Corners tried for a crop inside the body; the fullest is taken.
_TRIES = 6


@dataclass(frozen=True)
class PatchSampler(Dataset[PatchBatch]):
    """Batches by number: ``sampler[step]`` is the batch of that step, whoever asks and whenever.

    Parameters
    ----------
    cases
        Prepared cases; at least one.
    vocabulary
        Channels of the batch, in order.
    patch
        Shape of a patch in voxels ``(z, y, x)``.
    batch_size
        Samples a batch.
    steps
        Number of batches.
    seed
        Seed of the run.
    purpose
        Parts the draws of this sampler from those of others in the same run.
    placement
        ``random`` inside the body, or ``whole``: the body's box in the middle of the patch.
    augmentation
        Chance changes.
    convention
        Turns label values into class indices; ``None`` leaves labels out.
    label_share
        Share of the patches that are centred on a labelled voxel, where the case has any.
    rank, world
        Of every batch only the samples of this process are made, the ``rank``-th of ``world`` equal parts.
    """

    cases: Sequence[PreparedCase]
    vocabulary: tuple[str, ...]
    patch: Shape
    batch_size: int
    steps: int
    seed: int
    purpose: str = "train"
    placement: Placement = "random"
    augmentation: Augmentation = field(default_factory=Augmentation)
    convention: LabelConvention | None = None
    label_share: float = 0.0
    rank: int = 0
    world: int = 1

    def __len__(self) -> int:
        """Number of batches."""
        return self.steps

    def __getitem__(self, step: int) -> PatchBatch:
        """Return the batch of ``step``, or this process's part of it."""
        if not 0 <= step < self.steps:
            raise IndexError(step)
        size = self.batch_size // self.world
        samples = [self._sample(step, n) for n in range(self.rank * size, (self.rank + 1) * size)]
        return _stack(samples, self.vocabulary, progress=step / self.steps)

    def _sample(self, step: int, n: int) -> "_Sample":
        case = self.cases[self._case_index(step * self.batch_size + n)]
        rng = counted_rng(self.seed, step, n, purpose=f"patch/{self.purpose}")
        cut = _Cut(case.foreground.shape, self.patch, self._corner(case, rng), self._turn(case, step, n))
        volumes, present = self._channels(case, cut)
        foreground = cut.of([case.foreground])[0]
        if self.augmentation.appearance:
            volumes[present] = changed_looks(self._draws(step, n, "looks"), volumes[present], foreground)
        label = None
        if self.convention is not None and case.label is not None:
            label = self.convention.to_classes(cut.of([case.label])[0])
        sample = _Sample(
            volumes=volumes,
            present=present,
            synthetic=np.isin(self.vocabulary, case.synthetic),
            foreground=foreground,
            label=label,
            affine=case.geometry.affine @ cut.index,
            body_box_mm=_body_box(case),
            subject=case.subject,
            case=case.id,
            seed=counted_seed(self.seed, step, n, purpose=f"objective/{self.purpose}"),
        )
        return _augmented(sample, self.augmentation, rng)

    def _turn(self, case: PreparedCase, step: int, n: int) -> np.ndarray | None:
        if not self.augmentation.spatial:
            return None
        return draw_turn(self._draws(step, n, "turn"), case.geometry.spacing_mm)

    def _draws(self, step: int, n: int, what: str) -> np.random.Generator:
        """Return chance of its own: what is drawn for one change leaves the others as they are."""
        return counted_rng(self.seed, step, n, purpose=f"{what}/{self.purpose}")

    def _case_index(self, count: int) -> int:
        """Go through all cases once an epoch, in an order drawn for each epoch."""
        epoch, place = divmod(count, len(self.cases))
        return int(counted_rng(self.seed, epoch, purpose=f"order/{self.purpose}").permutation(len(self.cases))[place])

    def _corner(self, case: PreparedCase, rng: np.random.Generator) -> np.ndarray:
        shape, patch = np.array(case.foreground.shape), np.array(self.patch)
        if self.placement == "whole":
            box = bounding_box(case.foreground)
            middle = np.array([(part.start + part.stop) // 2 for part in box])
            return np.asarray(middle - patch // 2)
        if case.label is not None and rng.random() < self.label_share:
            labelled = _labelled_voxels(case)
            if len(labelled):
                jitter = rng.integers(-patch // 4, patch // 4 + 1)
                voxel = np.unravel_index(labelled[rng.integers(len(labelled))], case.foreground.shape)
                return _inside(np.array(voxel) - patch // 2 + jitter, shape, patch)
        # The difference is negative on axes shorter than the patch; those are centred by _inside.
        corners = rng.integers(0, np.maximum(shape - patch, 0) + 1, (_TRIES, 3))
        fullness = [_crop(case.foreground, corner, self.patch).mean() for corner in corners]
        return _inside(corners[int(np.argmax(fullness))], shape, patch)

    def _channels(self, case: PreparedCase, cut: "_Cut") -> tuple[np.ndarray, np.ndarray]:
        volumes = np.zeros((len(self.vocabulary), *self.patch), dtype=np.float32)
        present = np.isin(self.vocabulary, case.modalities)
        channels = np.flatnonzero(present)
        if len(channels):
            arrays = [case.volumes[case.modalities.index(self.vocabulary[channel])] for channel in channels]
            for channel, patch in zip(channels, cut.of(arrays, linear=True), strict=True):
                volumes[channel] = patch
        return volumes, present


@dataclass(frozen=True, eq=False)
class _Cut:
    """Where a patch lies in volumes of a shape: from a corner on, or turned and scaled about its middle."""

    shape: tuple[int, ...]
    patch: Shape
    corner: np.ndarray
    turn: np.ndarray | None

    @property
    def index(self) -> np.ndarray:
        """From indices of the patch to indices of the volume ``(4, 4)``."""
        matrix = np.eye(4)
        matrix[:3, 3] = self.corner
        if self.turn is not None:
            middle = (np.array(self.patch) - 1) / 2
            matrix[:3, :3] = self.turn
            matrix[:3, 3] += middle - self.turn @ middle
        return matrix

    def of(self, arrays: Sequence[np.ndarray], *, linear: bool = False) -> list[np.ndarray]:
        """Return the patch of each of ``arrays`` ``(D, H, W)``; where it is turned, interpolated or of nearest voxels.

        A patch may be a view of its array.
        """
        if self.turn is None:
            return [_crop(array, self.corner, self.patch) for array in arrays]
        return self._turned.of(arrays, linear=linear)

    @cached_property
    def _turned(self) -> TurnedCut:
        return turned_cut(self.shape, self.index, self.patch)


@dataclass(frozen=True, eq=False)
class _Sample:
    volumes: np.ndarray
    present: np.ndarray
    synthetic: np.ndarray
    foreground: np.ndarray
    label: np.ndarray | None
    affine: np.ndarray
    body_box_mm: np.ndarray
    subject: str
    case: str
    seed: int


@lru_cache(maxsize=256)
def _labelled_voxels(case: PreparedCase) -> np.ndarray:
    """Return all labelled voxels, counted flat; looked for once, not for every patch.

    As numbers of four bytes: of organs there are millions of voxels a case, and hundreds of cases.
    """
    found = np.flatnonzero(np.asarray(case.label) > 0)
    return found.astype(np.min_scalar_type(case.foreground.size))


def _inside(corner: np.ndarray, shape: np.ndarray, patch: np.ndarray) -> np.ndarray:
    """Move a patch into the volume; on axes shorter than the patch, centre the volume in it."""
    fitting = np.clip(corner, 0, np.maximum(shape - patch, 0))
    return np.asarray(np.where(shape > patch, fitting, (shape - patch) // 2))


def _crop(array: np.ndarray, corner: np.ndarray, patch: Shape) -> np.ndarray:
    """Return ``patch`` voxels from ``corner`` on, zeros beyond the array; a view where nothing lies beyond it."""
    low = np.maximum(corner, 0)
    high = np.minimum(corner + patch, array.shape)
    inside = array[tuple(slice(a, b) for a, b in zip(low, np.maximum(low, high), strict=True))]
    if inside.shape == tuple(patch):
        return inside
    cut = np.zeros(patch, dtype=array.dtype)
    if inside.size:
        cut[tuple(slice(a, b) for a, b in zip(low - corner, high - corner, strict=True))] = inside
    return cut


def _body_box(case: PreparedCase) -> np.ndarray:
    corners = case.geometry.corners_world()
    return np.stack([corners.min(axis=0), corners.max(axis=0)])


def _augmented(sample: _Sample, how: Augmentation, rng: np.random.Generator) -> _Sample:
    volumes, present = sample.volumes, sample.present
    foreground, label, affine = sample.foreground, sample.label, sample.affine
    if rng.random() < how.flip:
        width = volumes.shape[-1]
        volumes, foreground = volumes[..., ::-1], foreground[..., ::-1]
        label = None if label is None else label[..., ::-1]
        mirror = np.diag([1.0, 1.0, -1.0, 1.0])
        mirror[2, 3] = width - 1
        affine = affine @ mirror
    if how.intensity:
        gain, shift = rng.uniform(-how.intensity, how.intensity, (2, len(volumes), 1, 1, 1)).astype(np.float32)
        inside = volumes != 0
        volumes = volumes * (1 + gain)
        np.add(volumes, shift, out=volumes, where=inside)
    if how.drop_modality:
        present = _dropped(present, how.drop_modality, rng)
        volumes = volumes * present[:, None, None, None]
    return replace(sample, volumes=volumes, present=present, foreground=foreground, label=label, affine=affine)


def _dropped(present: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    kept = present & (rng.random(len(present)) >= probability)
    if not kept.any() and present.any():
        kept[rng.choice(np.flatnonzero(present))] = True
    return kept


def _stack(samples: list[_Sample], vocabulary: tuple[str, ...], progress: float) -> PatchBatch:
    present = np.stack([sample.present for sample in samples])
    labels = [sample.label for sample in samples if sample.label is not None]
    return PatchBatch(
        volumes=torch.from_numpy(np.stack([sample.volumes for sample in samples], dtype=np.float32)),
        modality=torch.from_numpy(np.where(present, np.arange(len(vocabulary)), -1)),
        vocabulary=vocabulary,
        synthetic=torch.from_numpy(present & np.stack([sample.synthetic for sample in samples])),
        foreground=torch.from_numpy(np.stack([sample.foreground for sample in samples])),
        patch_to_world=torch.from_numpy(np.stack([sample.affine for sample in samples])),
        body_box_mm=torch.from_numpy(np.stack([sample.body_box_mm for sample in samples])),
        subject=tuple(sample.subject for sample in samples),
        case=tuple(sample.case for sample in samples),
        seed=torch.tensor([sample.seed for sample in samples]),
        progress=progress,
        label=torch.from_numpy(np.stack(labels).astype(np.int64)) if len(labels) == len(samples) else None,
    )
