"""Classification: a class of the whole case, such as the grade of a tumour."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from napari_mmssl.errors import ConfigError
from napari_mmssl.metrics.calibration import brier_score, expected_calibration_error
from napari_mmssl.metrics.classification import accuracy, balanced_accuracy, macro_f1
from napari_mmssl.metrics.ranking import mean_auc
from napari_mmssl.tasks import Clinical, tasks
from napari_mmssl.tasks.case_task import CaseTask, CaseTaskSettings, age_facts

if TYPE_CHECKING:
    from torch import Tensor

    from napari_mmssl.cohorts.case import Case, Cohort

#: More distinct values than this are a measurement and no class.
_MOST_CLASSES = 20
#: 10 and 15 months of 30 days.
_SHORT_DAYS, _LONG_DAYS = 300, 450


class ClassificationSettings(CaseTaskSettings):
    """What is told apart."""

    name: Literal["classification"] = "classification"
    target: str = Field(
        "auto",
        title="Target",
        description="Column of the clinical table; auto: class or grade; survival_class: short, mid or long survival",
    )
    balance: bool = Field(True, title="Balance", description="Rare classes count as much as frequent ones")


@tasks.register(
    "classification",
    summary="Class of a whole case, such as the grade of a tumour, from scans and age",
    source="Pooled features and a perceptron, as in BrainMVP, arXiv:2410.10604",
)
class Classification(CaseTask[ClassificationSettings]):
    """Cross-entropy on pooled features, classes weighted by how rare they are."""

    settings_class = ClassificationSettings
    picture_name = "classification"
    headline = "auc"

    def __init__(self, settings: ClassificationSettings, facts: Mapping[str, Any]) -> None:
        known = ("age_years", "segmentation", "target", "classes", "class_weights")
        # Of "auto" a column was made when the task was fitted; another cohort may have both.
        settings = settings.model_copy(update={"target": facts["target"]})
        super().__init__(settings, {key: facts[key] for key in known if key in facts})
        self.classes: list[str] = list(facts["classes"])

    @classmethod
    def lacks(cls, settings: ClassificationSettings, case: "Case") -> str | None:
        """Return ``"a value of <target>"`` if there is none."""
        if settings.target == "auto":
            return None if _auto_target(case.clinical) else "a class or grade"
        return None if class_of(case.clinical, settings.target) is not None else f"a value of '{settings.target}'"

    @classmethod
    def fit(
        cls,
        settings: ClassificationSettings,
        cohort: "Cohort",
        cases: Sequence["Case"],
        label_values: Mapping[str, set[int]],
    ) -> tuple[dict[str, Any], str]:
        """Return the column, its classes sorted by name, and a weight for each."""
        target = settings.target
        if target == "auto":
            target = next(name for name in ("class", "grade") if any(class_of(case.clinical, name) for case in cases))
        counts = Counter(name for case in cases if (name := class_of(case.clinical, target)) is not None)
        classes = sorted(counts)
        if not 2 <= len(classes) <= _MOST_CLASSES:
            raise ConfigError(
                f"'{target}' has {len(classes)} distinct values among the people who are learned from, and 2 to "
                f"{_MOST_CLASSES} classes can be told apart; choose another column with --set task.target=NAME"
            )
        weights = [sum(counts.values()) / (len(classes) * counts[name]) for name in classes]
        told = ", ".join(f"{name} ({counts[name]})" for name in classes)
        facts = {"target": target, "classes": classes, "class_weights": weights, **age_facts(cases)}
        return facts, f"classes of '{target}': {told}"

    @property
    def n_numbers(self) -> int:
        """One logit for each class."""
        return len(self.classes)

    def loss(self, numbers: "Tensor", clinical: Sequence[Clinical]) -> "Tensor":
        """Return the cross-entropy; people of a class that was not learned count nowhere."""
        import torch
        from torch.nn import functional

        known = [self.truth(row).get("class") for row in clinical]
        index = torch.tensor([self.classes.index(name) if name in self.classes else -100 for name in known])
        weight = torch.tensor(self.facts["class_weights"], device=numbers.device) if self.settings.balance else None
        if (index < 0).all():
            return numbers.sum() * 0
        return functional.cross_entropy(numbers.float(), index.to(numbers.device), weight=weight)

    def values(self, numbers: np.ndarray) -> dict[str, Any]:
        """Return the most probable class and the probability of each."""
        shifted = np.exp(np.asarray(numbers, dtype=float) - np.max(numbers))
        probability = shifted / shifted.sum()
        return {
            "class": self.classes[int(np.argmax(probability))],
            "probabilities": dict(zip(self.classes, probability.tolist(), strict=True)),
        }

    def truth(self, clinical: Clinical) -> dict[str, Any]:
        """Return the class."""
        name = class_of(clinical, self.facts["target"])
        return {} if name is None else {"class": name}

    def metrics(self, predicted: Sequence[Mapping[str, Any]], known: Sequence[Clinical]) -> dict[str, float | None]:
        """Return AUC (mean of one class against the rest), balanced accuracy, F1, accuracy and calibration."""
        names = [self.truth(row).get("class") for row in known]
        kept = [n for n, name in enumerate(names) if name in self.classes]
        if not kept:
            return {"auc": None}
        truth = np.array([self.classes.index(str(names[n])) for n in kept])
        probability = np.array([[predicted[n]["probabilities"][name] for name in self.classes] for n in kept])
        said = probability.argmax(axis=1)
        return {
            "auc": mean_auc(truth, probability),
            "balanced_accuracy": balanced_accuracy(truth, said),
            "f1": macro_f1(truth, said),
            "accuracy": accuracy(truth, said),
            "brier": brier_score(truth, probability),
            "calibration_error": expected_calibration_error(truth, probability),
        }


def class_of(clinical: Clinical, target: str) -> str | None:
    """Return the class of one person, or ``None`` if it is not known.

    ``survival_class`` is made of the days of survival, with the limits of the BraTS challenges 2017 to 2020: short is
    under 10 months, long over 15. Of somebody who was alive when last seen only *long* can be known.
    """
    if target != "survival_class":
        value = clinical.get(target)
        return None if value is None else str(value)
    days = clinical.get("survival_days")
    if days is None:
        return None
    if days > _LONG_DAYS:
        return "long"
    if not clinical.get("survival_observed", True):
        return None
    return "short" if days < _SHORT_DAYS else "mid"


def _auto_target(clinical: Clinical) -> str | None:
    return next((name for name in ("class", "grade") if clinical.get(name) is not None), None)
