"""Survival in discrete intervals: their edges, where people fall in them, and the curve that hazards draw."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
#: No estimate goes further than this many times the last edge.
_FURTHEST = 10.0


def interval_edges(days: Sequence[float], observed: Sequence[bool], most: int) -> Floats:
    """Return the edges of at most ``most`` intervals that hold about equally many observed events.

    Parameters
    ----------
    days
        Follow-up of each person, 0 or more.
    observed
        Whether it ended with the event; others were censored.
    most
        Number of intervals where there are events enough. One without any may be left where many events share a day:
        edges are interpolated between events.

    Returns
    -------
    Edges in days, the first 0, the last the latest observed event, strictly rising.

    Raises
    ------
    ValueError
        If no event was observed after day 0.
    """
    events = np.array([day for day, seen in zip(days, observed, strict=True) if seen and day > 0], dtype=float)
    if not len(events):
        raise ValueError("no event was observed")
    wanted = min(most, len(np.unique(events)))
    edges = np.unique(np.quantile(events, np.arange(1, wanted + 1) / wanted))
    return np.concatenate([[0.0], edges])


def intervals_of(
    days: Sequence[float], observed: Sequence[bool], edges: Floats
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return in which interval each event lies, and whether it lies in one.

    Who is censored counts as having survived an interval once half of it was lived through; who died after the last
    edge survived all of them.
    """
    time, seen = np.asarray(days, dtype=float), np.asarray(observed, dtype=bool)
    within = seen & (time <= edges[-1])
    died = np.searchsorted(edges[1:], time, side="left")
    survived = np.searchsorted((edges[1:] + edges[:-1]) / 2, time, side="right")
    return np.where(within, died, np.where(seen, len(edges) - 1, survived)).astype(np.int64), within


def days_at(hazards: Floats, edges: Floats, alive: Sequence[float]) -> Floats:
    """Return when the share ``alive`` is still alive, in days.

    Within an interval the hazard is constant; beyond the last edge it stays what it was in the last interval, and
    no answer goes beyond ten times that edge.

    Parameters
    ----------
    hazards
        Probability of dying in each interval given that it was reached, ``(n,)``, in [0, 1).
    edges
        In days ``(n + 1,)``, rising from 0.
    alive
        Shares in (0, 1).
    """
    steps = -np.log1p(-np.clip(hazards, 1e-9, 1 - 1e-9))
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = -np.log(np.asarray(alive, dtype=float))
    rate = steps[-1] / (edges[-1] - edges[-2])
    beyond = edges[-1] + (wanted - cumulative[-1]) / rate
    found = np.where(wanted > cumulative[-1], beyond, np.interp(wanted, cumulative, edges))
    return np.asarray(np.minimum(found, _FURTHEST * edges[-1]))


def survival_at_edges(hazards: Floats) -> Floats:
    """Return the share alive at each edge ``(n + 1,)``, 1 at the first."""
    return np.concatenate([[1.0], np.cumprod(1 - hazards)])
