"""Survival: how long a person lives, from the scans and the age."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from napari_mmssl.errors import ConfigError
from napari_mmssl.metrics.ranking import concordance
from napari_mmssl.ops.survival_curves import days_at, interval_edges, intervals_of, survival_at_edges
from napari_mmssl.tasks import Clinical, tasks
from napari_mmssl.tasks.case_task import CaseTask, CaseTaskSettings, age_facts

if TYPE_CHECKING:
    from torch import Tensor

    from napari_mmssl.cohorts.case import Case, Cohort

#: What is kept on the card.
_FACTS = ("age_years", "segmentation", "edges_days", "days")


class SurvivalSettings(CaseTaskSettings):
    """How survival is learned."""

    name: Literal["survival"] = "survival"
    head: Literal["hazard", "regression"] = Field(
        "hazard",
        title="Head",
        description="hazard: chance of dying in each interval, learns from censored people too; regression: days",
    )
    intervals: int = Field(10, ge=2, le=100, title="Intervals", description="At most, for the hazard head")


@tasks.register(
    "survival",
    summary="Days of survival with intervals, from scans and age; censored people count",
    source="Hazards: Gensheimer and Narasimhan 2019, PeerJ 7:e6257; regression of days: Taleb et al., arXiv:1912.05396",
)
class Survival(CaseTask[SurvivalSettings]):
    """Discrete hazards, or days by mean squared error.

    The hazard head learns from everybody: who was alive when last seen survived until then. Its edges hold about
    equally many of the deaths that are learned from. Regression, as in the paper, can only learn from people whose
    death was observed, and gives no interval.
    """

    settings_class = SurvivalSettings
    picture_name = "survival"
    headline = "c_index"

    def __init__(self, settings: SurvivalSettings, facts: Mapping[str, Any]) -> None:
        super().__init__(settings, {key: facts[key] for key in _FACTS if key in facts})
        self.edges = np.asarray(facts["edges_days"], dtype=float)

    @classmethod
    def lacks(cls, settings: SurvivalSettings, case: "Case") -> str | None:
        """Return ``"days of survival"``, or ``"an observed survival"`` for regression, if there are none."""
        if case.clinical.get("survival_days") is None:
            return "days of survival"
        if settings.head == "regression" and not case.clinical.get("survival_observed", True):
            return "an observed survival"
        return None

    @classmethod
    def fit(
        cls,
        settings: SurvivalSettings,
        cohort: "Cohort",
        cases: Sequence["Case"],
        label_values: Mapping[str, set[int]],
    ) -> tuple[dict[str, Any], str]:
        """Return the edges of the intervals, and mean and spread of days and of age."""
        days, observed = _follow_up([case.clinical for case in cases])
        if not any(seen and day > 0 for day, seen in zip(days, observed, strict=True)):
            raise ConfigError(
                "nobody who is learned from has an observed survival, so there is nothing to learn; a larger cohort, "
                "or another --seed or --label-fraction, may help"
            )
        edges = interval_edges(days, observed, settings.intervals)
        deaths = [day for day, seen in zip(days, observed, strict=True) if seen]
        spread = float(np.std(deaths)) or 1.0
        facts = {"edges_days": edges.tolist(), "days": [float(np.mean(deaths)), spread], **age_facts(cases)}
        reason = f"survival of {len(days)} people, {len(days) - len(deaths)} of them alive when last seen"
        return facts, reason + (f"; {len(edges) - 1} intervals" if settings.head == "hazard" else "")

    @property
    def n_numbers(self) -> int:
        """One hazard for each interval, or one number of days."""
        return len(self.edges) - 1 if self.settings.head == "hazard" else 1

    def loss(self, numbers: "Tensor", clinical: Sequence[Clinical]) -> "Tensor":
        """Return the negative log-likelihood of the hazards, or the mean squared error of standardised days."""
        import torch

        days, observed = _follow_up(clinical)
        if self.settings.head == "hazard":
            from napari_mmssl.networks.losses import hazard_loss

            interval, within = intervals_of(days, observed, self.edges)
            device = numbers.device
            return hazard_loss(numbers, torch.from_numpy(interval).to(device), torch.from_numpy(within).to(device))
        mean, spread = self.facts["days"]
        wanted = (torch.tensor(days, device=numbers.device) - mean) / spread
        error: Tensor = numbers[:, 0].float() - wanted
        return error.square().mean()

    def values(self, numbers: np.ndarray) -> dict[str, Any]:
        """Return the median with intervals and the curve, or days alone."""
        if self.settings.head == "regression":
            mean, spread = self.facts["days"]
            return {"days": max(0.0, float(numbers[0]) * spread + mean)}
        hazards = 1 / (1 + np.exp(-np.asarray(numbers, dtype=float)))
        low80, low50, median, high50, high80 = days_at(hazards, self.edges, (0.9, 0.75, 0.5, 0.25, 0.1)).tolist()
        return {
            "days": median,
            "interval_50_days": [low50, high50],
            "interval_80_days": [low80, high80],
            "curve": {"days": self.edges.tolist(), "alive": survival_at_edges(hazards).tolist()},
        }

    def truth(self, clinical: Clinical) -> dict[str, Any]:
        """Return days and whether death was observed."""
        if clinical.get("survival_days") is None:
            return {}
        days, observed = _follow_up([clinical])
        return {"days": days[0], "observed": observed[0]}

    def metrics(self, predicted: Sequence[Mapping[str, Any]], known: Sequence[Clinical]) -> dict[str, float | None]:
        """Return concordance, and of observed deaths the mean squared error (days²) and the median error (days).

        For the hazard head also how many observed deaths fall into the intervals of 50 % and 80 %.
        """
        days, observed = (np.asarray(part) for part in _follow_up(known))
        said = np.array([one["days"] for one in predicted])
        error = (said - days)[observed]
        found: dict[str, float | None] = {
            "c_index": concordance(days, observed, -said),
            "mse_days2": float(np.mean(error**2)) if len(error) else None,
            "median_error_days": float(np.median(np.abs(error))) if len(error) else None,
        }
        for share in (50, 80):
            if f"interval_{share}_days" in predicted[0]:
                bounds = np.array([one[f"interval_{share}_days"] for one in predicted])
                inside = ((bounds[:, 0] <= days) & (days <= bounds[:, 1]))[observed]
                found[f"in_interval_{share}"] = float(inside.mean()) if len(inside) else None
        return found


def _follow_up(clinical: Sequence[Clinical]) -> tuple[list[float], list[bool]]:
    days = [float(row["survival_days"]) for row in clinical]
    return days, [bool(row.get("survival_observed", True)) for row in clinical]
