"""Values by step, as events tell them, and how they are smoothed and named. Knows no Qt and no napari."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass
class Curve:
    """Values by step, ascending."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: int, value: float) -> None:
        """Append a value; a resumed run writes some steps anew, and the new ones count."""
        while self.steps and self.steps[-1] >= step:
            self.steps.pop()
            self.values.pop()
        self.steps.append(step)
        self.values.append(value)


def curves_in(events: Iterable[dict[str, Any]], curves: dict[tuple[str, str], Curve]) -> set[tuple[str, str]]:
    """Add the losses and validation metrics in ``events`` to ``curves``, by ``("loss" | "metric", name)``.

    Returns the keys of the curves that grew.
    """
    grown = set()
    for event in events:
        if event["kind"] == "step":
            values = {("loss", name): value for name, value in event.get("losses", {}).items()}
        elif event["kind"] == "validation":
            values = {("metric", name): value for name, value in event.get("metrics", {}).items()}
        else:
            continue
        for key, value in values.items():
            if value is not None:
                curves.setdefault(key, Curve()).add(event["step"], value)
                grown.add(key)
    return grown


def smoothed(values: Iterable[float], over: int) -> npt.NDArray[np.float64]:
    """Return the exponential mean of ``values`` with the weight of a window of ``over`` steps; NaN stays out of it.

    The first value is not given more weight than the others: the mean is divided by the weights so far (the bias
    correction of Kingma and Ba, arXiv:1412.6980, section 3).
    """
    given = np.asarray(list(values), dtype=np.float64)
    if over <= 1 or not given.size:
        return given
    from scipy.signal import lfilter

    keep, known = 1 - 2 / (over + 1), np.isfinite(given)
    # Two recursive filters instead of a loop: twenty thousand steps are drawn anew twice a second.
    total, weight = (lfilter([1 - keep], [1, -keep], one) for one in (np.where(known, given, 0), known.astype(float)))
    with np.errstate(invalid="ignore"):
        mean: npt.NDArray[np.float64] = total / weight
    return mean


def short_names(names: list[str]) -> list[str]:
    """Return ``names`` without the objective's name before the point, where there is only one objective."""
    if len({name.rpartition(".")[0] for name in names if "." in name}) == 1:
        names = [name.rpartition(".")[2] for name in names]
    return [name.replace("_", " ") for name in names]


def is_score(name: str, curve: Curve) -> bool:
    """Whether a metric says how good the network is, between 0 and 1; errors and losses would crowd those out."""
    if name.startswith("loss.") or name.endswith("error"):
        return False
    return 0 <= min(curve.values) <= max(curve.values) <= 1
