"""A pool of images made earlier, which keeps a discriminator from forgetting what it saw through."""

import torch
from torch import Tensor, nn

from napari_mmssl.randomness import counted_rng


class HistoryPool(nn.Module):
    """The last made patches, exchanged at random (Shrivastava et al., arXiv:1612.07828, section 2.3).

    While it fills, every patch is kept and handed on. Once it is full, a patch is handed on itself with probability
    one half, and otherwise takes the place of a kept one, which is handed on instead. The pool is a buffer, so a
    checkpoint holds it and a resumed training goes on bit for bit.

    Parameters
    ----------
    capacity
        Number of patches; CycleGAN takes 50. 0: everything is handed on as it comes.
    shape
        Of one patch ``(C, D, H, W)``.
    """

    images: Tensor
    filled: Tensor

    def __init__(self, capacity: int, shape: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.capacity = capacity
        self.register_buffer("images", torch.zeros(capacity, *shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def exchange(self, made: Tensor, seed: int) -> Tensor:
        """Return patches to show the discriminator, shape as ``made`` ``(B, C, D, H, W)``, without gradients.

        Parameters
        ----------
        made
            What the generator has just made.
        seed
            Decides who is exchanged.
        """
        made = made.detach()
        if self.capacity == 0:
            return made
        rng = counted_rng(seed, purpose="history pool")
        shown = []
        for patch in made:
            filled = int(self.filled)
            if filled < self.capacity:
                self.images[filled] = patch
                self.filled += 1
                shown.append(patch)
            elif rng.random() < 0.5:
                place = int(rng.integers(self.capacity))
                shown.append(self.images[place].to(patch.dtype).clone())
                self.images[place] = patch
            else:
                shown.append(patch)
        return torch.stack(shown)
