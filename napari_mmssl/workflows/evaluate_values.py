"""Compare predicted values of whole cases (survival, classes) with the cohort's clinical table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.errors import LayoutError
from napari_mmssl.metrics.calibration import Reliability, reliability
from napari_mmssl.tasks import Clinical, task_from_card
from napari_mmssl.tasks.case_task import CaseTask
from napari_mmssl.tasks.classification import Classification


@dataclass(frozen=True)
class CaseValues:
    """What was said and what is known of one case; ``seen_in`` as in an evaluation of label maps."""

    says: dict[str, Any]
    known: Clinical
    trained_on: bool
    seen_in: tuple[str, ...]


@dataclass(frozen=True)
class ValuesEvaluation:
    """Predicted values of every case of which the truth is known; ``notes`` say what is odd about them."""

    task: CaseTask[Any]
    cases: dict[str, CaseValues]
    notes: tuple[str, ...] = ()

    def metrics(self, trained_on: bool) -> dict[str, float | None] | None:
        """Return the metrics over the cases that the network was, or was not, trained on; ``None`` of none."""
        chosen = self._chosen(trained_on)
        if not chosen:
            return None
        return self.task.metrics([case.says for case in chosen], [case.known for case in chosen])

    def reliability(self, trained_on: bool = False) -> Reliability | None:
        """Return how often classes were right by how sure the network was; ``None`` if it gives no classes."""
        chosen = self._chosen(trained_on)
        if not isinstance(self.task, Classification) or not chosen:
            return None
        classes = self.task.classes
        names = [self.task.truth(case.known).get("class") for case in chosen]
        rows = [
            [case.says["probabilities"][one] for one in classes]
            for case, name in zip(chosen, names, strict=True)
            if name in classes
        ]
        if not rows:
            return None
        return reliability([classes.index(name) for name in names if name in classes], np.array(rows))

    def to_json(self) -> dict[str, Any]:
        """Return the stable form that ``mmssl evaluate --json`` prints; undefined is null."""
        found = self.reliability()
        return {
            "task": self.task.settings.name,
            "cases": {
                name: {
                    "says": case.says,
                    "known": self.task.truth(case.known),
                    "trained_on": case.trained_on,
                    "seen_in": list(case.seen_in),
                }
                for name, case in self.cases.items()
            },
            "metrics": self.metrics(False),
            "n": len(self._chosen(False)),
            "metrics_trained_on": self.metrics(True),
            "n_trained_on": len(self._chosen(True)),
            "reliability": None if found is None else _reliability_json(found),
            "notes": list(self.notes),
        }

    def _chosen(self, trained_on: bool) -> list[CaseValues]:
        return [case for case in self.cases.values() if case.trained_on == trained_on]


def evaluate_values(record: Mapping[str, Any], folder: Path) -> ValuesEvaluation:
    """Score the values in ``record``, a ``predictions.json``, by the clinical table of the cohort in ``folder``.

    Raises
    ------
    LayoutError
        If no predicted case has a row in the cohort's clinical table.
    ConfigError
        If this version knows no such task.
    """
    task = task_from_card(record["task_card"])
    if not isinstance(task, CaseTask):
        raise LayoutError("these predictions hold no values of whole cases")
    by_id = {case.id: case for case in find_cohort(folder).cases}
    cases, notes = {}, []
    for case_id, entry in record["cases"].items():
        if case_id not in by_id:
            notes.append(f"'{case_id}' belongs to no case of '{folder}' and was left out")
            continue
        if task.lacks(task.settings, by_id[case_id]):
            notes.append(f"case '{case_id}' lacks {task.lacks(task.settings, by_id[case_id])} and was left out")
            continue
        known, seen_in = by_id[case_id].clinical, tuple(entry.get("seen_in", ()))
        cases[case_id] = CaseValues(dict(entry["values"]), known, bool(entry.get("trained_on", False)), seen_in)
    if not cases:
        raise LayoutError(f"no predicted case has what it could be compared with in the table of '{folder}'")
    if all(case.trained_on for case in cases.values()):
        notes.append("the network was trained on every one of these cases, so there is no honest value")
    return ValuesEvaluation(task, cases, tuple(notes))


def _reliability_json(found: Reliability) -> dict[str, list[float | int | None]]:
    return {
        "edges": found.edges.tolist(),
        "confidence": [None if math.isnan(value) else value for value in found.confidence.tolist()],
        "accuracy": [None if math.isnan(value) else value for value in found.accuracy.tolist()],
        "count": found.count.tolist(),
    }
