"""The one batch every objective and task is fed, whatever its paper."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PatchBatch:
    """Aligned patches of several modalities of several subjects.

    Parameters
    ----------
    volumes
        Intensities ``(B, K, D, H, W)`` float32; absent channels are 0.
    modality
        Index into ``vocabulary`` of each channel ``(B, K)``; -1 where the subject lacks it.
    vocabulary
        Names of the modalities.
    synthetic
        Whether a network made the channel ``(B, K)``.
    foreground
        Where the body is ``(B, D, H, W)`` boolean.
    patch_to_world
        From patch index ``(z, y, x, 1)`` to world RAS mm ``(B, 4, 4)`` float64, after augmentation.
    body_box_mm
        Lowest and highest corner of the subject's body ``(B, 2, 3)`` float64, RAS mm.
    subject
        Who it is, one entry a sample.
    case
        Which case it is, one entry a sample.
    seed
        From which each objective draws its own chance ``(B,)`` int64.
    progress
        Share of the run's budget that is done, from 0 to 1, for objectives that begin with something easier.
    label
        Class index of each voxel ``(B, D, H, W)`` int64, or ``None``.
    """

    volumes: Tensor
    modality: Tensor
    vocabulary: tuple[str, ...]
    synthetic: Tensor
    foreground: Tensor
    patch_to_world: Tensor
    body_box_mm: Tensor
    subject: tuple[str, ...]
    case: tuple[str, ...]
    seed: Tensor
    progress: float = 0.0
    label: Tensor | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return self.volumes.shape[0]

    def channels(self, sample: int) -> list[int]:
        """Return the channels that ``sample`` has."""
        return torch.nonzero(self.modality[sample] >= 0).flatten().tolist()

    def to(self, device: torch.device) -> "PatchBatch":
        """Return the batch with what is computed on moved to ``device``, while the caller goes on if it is pinned."""
        return self._with_large(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "PatchBatch":
        """Return the batch with what is computed on where a GPU can fetch it; a data loader asks for this by name."""
        return self._with_large(Tensor.pin_memory)

    def share_memory_(self) -> "PatchBatch":
        """Put all tensors where another process can take them; return the batch itself, as tensors do.

        Raises
        ------
        RuntimeError
            If there is no room.
        """
        for value in vars(self).values():
            if isinstance(value, Tensor):
                value.share_memory_()  # type: ignore[no-untyped-call]
        return self

    def _with_large(self, change: Callable[[Tensor], Tensor]) -> "PatchBatch":
        return replace(
            self,
            volumes=change(self.volumes),
            foreground=change(self.foreground),
            label=None if self.label is None else change(self.label),
        )
