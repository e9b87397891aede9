"""What tasks share that give values for a whole case: the body in one patch, what is read from it, age beside it."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field

from napari_mmssl.pictures import Picture, PictureItem
from napari_mmssl.tasks import Answer, Clinical, Sampling, Shape, Task, TaskSettings
from napari_mmssl.tasks.conventions import read_table

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_mmssl.cohorts.case import Case
    from napari_mmssl.cohorts.prepare import PreparedCase
    from napari_mmssl.networks.encoders import Encoder
    from napari_mmssl.sampling.batch import PatchBatch

#: Patches grow to a multiple of this, which every encoder can halve four times.
_MULTIPLE = 16


class CaseTaskSettings(TaskSettings):
    """What such a task can be told."""

    whole_body: bool = Field(
        True, title="Whole body", description="See the body whole, in a patch that holds the largest; not data.patch"
    )
    image: Literal["features", "volumes"] = Field(
        "features",
        title="Image",
        description="What is read from the scans; features: those of all levels, pooled; volumes: of what the "
        "segmentation in weights draws, which stays as it is",
    )
    age: bool = Field(True, title="Age", description="Take the age in, where it is known")
    hidden: int = Field(32, ge=1, le=4096, title="Hidden", description="Width of the perceptron on the pooled features")
    dropout: float = Field(0.2, ge=0, lt=1, title="Dropout", description="Share of its hidden values withheld")


V = TypeVar("V", bound=CaseTaskSettings)


class CaseTask(Task[V]):
    """Features or volumes, and age; the truth stands in the cohort's clinical table.

    ``facts["segmentation"]`` is the label coding of the segmentation whose volumes are read.
    """

    gives = "values"
    best_metric = "loss"
    higher_is_better = False
    #: How the picture is called.
    picture_name: ClassVar[str]

    def sampling(self, patch: Shape, cases: Sequence["PreparedCase"]) -> Sampling:
        """Return the whole body in one patch."""
        return Sampling(covering_patch(cases) if self.settings.whole_body else patch, placement="whole")

    def patch_for(self, case: "PreparedCase", patch: Shape) -> Shape:
        """Return ``patch``, of which those who were learned from decided, or a larger one that holds ``case`` whole."""
        if not self.settings.whole_body:
            return patch
        z, y, x = map(max, patch, covering_patch([case]))
        return z, y, x

    def network(self, encoder: "Encoder", *, learning: bool) -> "nn.Module":
        """Return encoder and perceptron, or a segmentation and a straight line from its volumes."""
        from napari_mmssl.networks.case_head import CaseNetwork
        from napari_mmssl.networks.segmentation import SegmentationNetwork
        from napari_mmssl.networks.volume_head import VolumeNetwork

        n_covariates = 2 if self.settings.age else 0
        how = self.settings
        if how.image == "volumes":
            convention = read_table(self.facts["segmentation"])
            segmentation = SegmentationNetwork(encoder, len(convention.classes) + 1)
            return VolumeNetwork(segmentation, convention.measured(), n_covariates, self.n_numbers)
        return CaseNetwork(encoder, n_covariates, self.n_numbers, hidden=how.hidden, dropout=how.dropout)

    def losses(
        self, network: "nn.Module", pyramid: list["Tensor"], batch: "PatchBatch", clinical: Sequence[Clinical]
    ) -> dict[str, "Tensor"]:
        """Return the loss on the head's numbers."""
        numbers = network.numbers(pyramid, self.covariates(clinical), batch.foreground)  # type: ignore[operator]
        return {self.settings.name: self.loss(numbers, clinical)}

    def covariates(self, clinical: Sequence[Clinical]) -> "Tensor":
        """Return standardised age and whether it is known, ``(B, 2)``; ``(B, 0)`` if age is not taken in."""
        import torch

        if not self.settings.age:
            return torch.zeros(len(clinical), 0)
        mean, spread = self.facts["age_years"]
        rows = [
            [0.0, 0.0] if row.get("age_years") is None else [(float(row["age_years"]) - mean) / spread, 1.0]
            for row in clinical
        ]
        return torch.tensor(rows)

    def measure(self, answers: Sequence[Answer]) -> dict[str, float]:
        """Return the loss on unseen cases, and what :meth:`metrics` gives."""
        import torch

        if not answers:
            return {}
        numbers = torch.from_numpy(np.stack([answer.output for answer in answers]))
        loss = float(self.loss(numbers, [answer.clinical for answer in answers]))
        found = self.metrics([self.values(answer.output) for answer in answers], [a.clinical for a in answers])
        return {"loss": loss} | {name: value for name, value in found.items() if value is not None}

    def picture(self, answer: Answer, step: int) -> Picture:
        """Return the case, and in the details what the network says of it beside what is known."""
        case = answer.case
        name = case.modalities[0]
        image = np.asarray(case.volumes[0], np.float16)
        item = PictureItem(name, "image", image, case.geometry.affine, f"{name} of '{case.id}'")
        details = {"says": self.values(answer.output), "known": self.truth(answer.clinical)}
        return Picture(self.picture_name, step, case.id, (item,), details)

    @property
    @abstractmethod
    def n_numbers(self) -> int:
        """How many numbers the head gives."""

    @abstractmethod
    def loss(self, numbers: "Tensor", clinical: Sequence[Clinical]) -> "Tensor":
        """Return what is minimised, of the head's numbers ``(B, n)``."""

    @abstractmethod
    def values(self, numbers: np.ndarray) -> dict[str, Any]:
        """Return the prediction of one case as plain values, from the head's numbers ``(n,)``."""

    @abstractmethod
    def truth(self, clinical: Clinical) -> dict[str, Any]:
        """Return what is known of one case, as plain values; empty if nothing is."""

    @abstractmethod
    def metrics(self, predicted: Sequence[Mapping[str, Any]], known: Sequence[Clinical]) -> dict[str, float | None]:
        """Return how good predictions are, ``None`` where that is undefined; never empty lists."""


def covering_patch(cases: Sequence["PreparedCase"]) -> Shape:
    """Return the shape of a patch that holds the largest body of ``cases``."""
    largest = np.max([case.foreground.shape for case in cases], axis=0)
    z, y, x = (int(-(-edge // _MULTIPLE) * _MULTIPLE) for edge in largest)
    return z, y, x


def age_facts(cases: Sequence["Case"]) -> dict[str, Any]:
    """Return mean and spread of the ages that are known, by which ages are standardised."""
    ages = [float(case.clinical["age_years"]) for case in cases if case.clinical.get("age_years") is not None]
    return {"age_years": [float(np.mean(ages)), float(np.std(ages)) or 1.0] if ages else [60.0, 15.0]}
