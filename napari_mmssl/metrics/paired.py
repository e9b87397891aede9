"""Paired differences between two arms of a study, with an interval that few repetitions do not make too narrow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

Verdict = Literal["better", "worse", "no difference shown"]

RESAMPLES = 10_000


@dataclass(frozen=True)
class PairedDifference:
    """The mean of paired differences and where it lies with 95 % confidence.

    Parameters
    ----------
    mean
        Mean over draws of the mean over the people of a draw.
    low, high
        Ends of the interval; NaN with fewer than two draws.
    n_draws
        Independent repetitions: the split, the labelled people and every seed change from one to the next.
    n_better
        In how many draws the mean difference says better.
    less_is_better
        Whether a difference below zero does, as of a distance or an error.
    """

    mean: float
    low: float
    high: float
    n_draws: int
    n_better: int
    less_is_better: bool = False

    @property
    def verdict(self) -> Verdict:
        """What may be said: ``better`` or ``worse`` only where the interval leaves zero out."""
        if self.low > 0:
            return "worse" if self.less_is_better else "better"
        if self.high < 0:
            return "better" if self.less_is_better else "worse"
        return "no difference shown"


def paired_difference(
    draws: Sequence[Sequence[float]], *, seed: int = 0, less_is_better: bool = False
) -> PairedDifference:
    """Return the mean paired difference and its interval: two-stage bootstrap, never narrower than Student's t.

    Draws are resampled with replacement, and within each the people. Percentiles of so few draws give an interval
    that is too narrow, so they are widened as by Hesterberg (What Teachers Should Know About the Bootstrap, The
    American Statistician 69, 2015, section 4.3, "expanded percentile interval"): the tail is
    ``Phi(-sqrt(n / (n - 1)) t)`` with ``t`` the 97.5 % point of Student's t with ``n - 1`` degrees of freedom. No
    bootstrap of three draws can reach beyond them, though (it held the truth in 74 % of simulated studies where 95 %
    was said; of five draws in 92 %), so each end is the outer one of the bootstrap's and of the t interval of the
    draws' means.

    Parameters
    ----------
    draws
        For each draw the differences of its people, one arm minus the other on the same person; NaN (the value was
        undefined in one of the arms) is left out, and a draw without any value too.
    seed
        Of the resampling.
    less_is_better
        Which way of zero is the better one.

    Raises
    ------
    ValueError
        If no difference is defined at all.
    """
    kept = [values[~np.isnan(values)] for values in (np.asarray(draw, dtype=float) for draw in draws)]
    kept = [values for values in kept if values.size]
    if not kept:
        raise ValueError("there is no pair to compare")
    means = np.array([values.mean() for values in kept])
    n = len(kept)
    low = high = float("nan")
    if n > 1:
        tail = stats.norm.cdf(-np.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1))
        low, high = np.quantile(_resampled_means(kept, seed), [tail, 1 - tail])
        reach = stats.t.ppf(0.975, n - 1) * means.std(ddof=1) / np.sqrt(n)
        low, high = min(low, means.mean() - reach), max(high, means.mean() + reach)
    n_better = int((means < 0).sum() if less_is_better else (means > 0).sum())
    return PairedDifference(float(means.mean()), float(low), float(high), n, n_better, less_is_better)


def _resampled_means(draws: list[np.ndarray], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    # Row r of each: means of people drawn anew from one draw, so that the second stage is done once per draw.
    inner = np.stack(
        [draw[rng.integers(draw.size, size=(RESAMPLES, draw.size))].mean(axis=1) for draw in draws], axis=1
    )
    chosen = rng.integers(len(draws), size=(RESAMPLES, len(draws)))
    # A draw taken twice gets two independent sets of people: its means come from different rows.
    rows = rng.integers(RESAMPLES, size=chosen.shape)
    means: np.ndarray = inner[rows, chosen].mean(axis=1)
    return means
