"""Chance that is counted, not carried.

Every draw comes from (run seed, step, sample, purpose). A resumed run, another number of loader
workers, or two ranks with half the batch each therefore see the same draws, and any picture can be
made again.
"""

import zlib

import numpy as np


def counted_rng(seed: int, *counts: int, purpose: str) -> np.random.Generator:
    """Return the generator for one purpose at one place in a run.

    Parameters
    ----------
    seed
        The seed of the run.
    counts
        Where in the run: step, sample, epoch ...; not negative.
    purpose
        What the draw is for; draws for different purposes are independent.
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *counts])


def counted_seed(seed: int, *counts: int, purpose: str) -> int:
    """Return a 63-bit seed for libraries that keep generators of their own, such as torch."""
    return int(counted_rng(seed, *counts, purpose=purpose).integers(2**63 - 1))
