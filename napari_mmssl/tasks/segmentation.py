"""Segmentation: a label map of tumour regions, prostate zones, organs or anything else."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from napari_mmssl.cohorts.case import Case, Cohort
from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.pictures import Picture, PictureItem
from napari_mmssl.tasks import Answer, Clinical, Sampling, Shape, Task, TaskSettings, tasks
from napari_mmssl.tasks.conventions import LabelConvention, choose_for, from_table, named, read_table
from napari_mmssl.tasks.partial_labels import SOME_CLASS, drawn_whole, mark_whole, with_unknown

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_mmssl.networks.encoders import Encoder
    from napari_mmssl.sampling.batch import PatchBatch


class SegmentationSettings(TaskSettings):
    """What is segmented."""

    name: Literal["segmentation"] = "segmentation"
    convention: str = Field(
        "auto", title="Label convention", description="auto, or the name of a ready one such as brats2018 or lesion"
    )
    #: Region name to label values, or ``">0"``; replaces the convention.
    regions: dict[str, list[int] | str] = Field(default_factory=dict, title="Regions")
    label_share: float = Field(0.6, ge=0, le=1, title="Label share", description="Patches centred on a label")
    deep_supervision: bool = Field(True, title="Deep supervision", description="Learn from maps at coarser levels too")
    unknown: list[int] = Field(
        default_factory=list, title="Unknown", description="Label values that say nothing and are not learned from"
    )
    whole_lesions: Literal["refuse", "union"] = Field(
        "refuse",
        title="Whole lesions",
        description="Cases that hold the value 1 alone beside cases with parts: refuse, or learn their union alone",
    )


@tasks.register(
    "segmentation",
    summary="Label map of tumour, prostate, liver or anything else",
    source="Soft Dice and cross-entropy with deep supervision as in nnU-Net, doi:10.1038/s41592-020-01008-z",
)
class Segmentation(Task[SegmentationSettings]):
    """A decoder on the encoder's pyramid; soft Dice and cross-entropy."""

    settings_class = SegmentationSettings
    gives = "label map"
    best_metric = "dice"
    headline = "dice"

    def __init__(self, settings: SegmentationSettings, facts: Mapping[str, Any]) -> None:
        super().__init__(settings, {key: facts[key] for key in ("convention", "whole") if key in facts})
        self.convention: LabelConvention = read_table(facts["convention"])

    @classmethod
    def lacks(cls, settings: SegmentationSettings, case: Case) -> str | None:
        """Return ``"a label map"`` if there is none."""
        return None if case.label is not None else "a label map"

    @classmethod
    def fit(
        cls,
        settings: SegmentationSettings,
        cohort: Cohort,
        cases: Sequence[Case],
        label_values: Mapping[str, set[int]],
    ) -> tuple[dict[str, Any], str]:
        """Return the coding of the label maps, which cases are whole lesions, and why."""
        values = {case: met - set(settings.unknown) for case, met in label_values.items()}
        whole = drawn_whole(values) if settings.whole_lesions == "union" else set()
        convention, reason = label_convention(settings, cohort, {k: v for k, v in values.items() if k not in whole})
        if whole:
            reason += f"; {len(whole)} cases hold whole lesions and teach the union of the classes alone"
        return {
            "convention": convention.as_table(),
            "whole": sorted(whole),
        }, f"label coding {convention.name}: {reason}"

    def sampling(self, patch: Shape, cases: Sequence[PreparedCase]) -> Sampling:
        """Return random patches, many of them around a label."""
        return Sampling(patch, convention=self._learned(), label_share=self.settings.label_share)

    def prepare(self, cases: Sequence[PreparedCase]) -> list[PreparedCase]:
        """Mark whole lesions as such."""
        return mark_whole(cases, self.facts.get("whole", ()))

    def network(self, encoder: "Encoder", *, learning: bool) -> "nn.Module":
        """Return encoder and decoder."""
        from napari_mmssl.networks.segmentation import SegmentationNetwork

        return SegmentationNetwork(
            encoder, len(self.convention.classes) + 1, deep_supervision=learning and self.settings.deep_supervision
        )

    def losses(
        self, network: "nn.Module", pyramid: list["Tensor"], batch: "PatchBatch", clinical: Sequence[Clinical]
    ) -> dict[str, "Tensor"]:
        """Return soft Dice and cross-entropy."""
        from napari_mmssl.networks.losses import segmentation_losses

        if batch.label is None:
            raise ValueError("a segmentation is trained on labelled cases only")
        return segmentation_losses(network.maps(pyramid), batch.label)  # type: ignore[operator]

    def measure(self, answers: Sequence[Answer]) -> dict[str, float]:
        """Return the mean Dice over classes and cases, whole volumes; voxels that are not known count nowhere."""
        values = []
        for answer in answers:
            predicted, label = self._classes(answer)
            if (label == SOME_CLASS).any():
                pairs = [(predicted > 0, label > 0)]
            else:
                pairs = [(predicted == index, label == index) for index in range(1, len(self.convention.classes) + 1)]
            known = label <= SOME_CLASS
            sizes = [(2 * int((a & b & known).sum()), int((a & known).sum() + (b & known).sum())) for a, b in pairs]
            values += [shared / size for shared, size in sizes if size > 0]
        return {"dice": float(np.mean(values))} if values else {}

    def picture(self, answer: Answer, step: int) -> Picture:
        """Return the case with its reference and the network's answer."""
        case = answer.case
        predicted, label = self._classes(answer)
        affine, name = case.geometry.affine, case.modalities[0]
        items = (
            PictureItem(name, "image", np.asarray(case.volumes[0], np.float16), affine, f"{name} of '{case.id}'"),
            PictureItem("reference", "labels", label, affine, "The label map of the cohort"),
            PictureItem("prediction", "labels", predicted, affine, f"What the network says after {step} steps"),
        )
        return Picture("segmentation", step, case.id, items, {})

    def _learned(self) -> LabelConvention:
        """Return the coding with what it leaves unknown, if anything is."""
        if self.settings.unknown or self.facts.get("whole"):
            return with_unknown(self.convention, self.settings.unknown)
        return self.convention

    def truth(self, case: PreparedCase) -> np.ndarray:
        """Return the class of each voxel; what is unknown has a number above all classes."""
        if case.label is None:
            raise ValueError(f"validation case '{case.id}' has no label map")
        return self._learned().to_classes(case.label)

    def _classes(self, answer: Answer) -> tuple[np.ndarray, np.ndarray]:
        return answer.output.argmax(axis=0).astype(np.uint8), self.truth(answer.case)


def label_convention(
    settings: SegmentationSettings, cohort: Cohort, values_by_case: Mapping[str, set[int]]
) -> tuple[LabelConvention, str]:
    """Return the coding of the label maps and why it is taken.

    Raises
    ------
    ConfigError
        If the cases are coded differently and nothing was said, or the coding asked for does not fit.
    """
    if settings.regions:
        return from_table(settings.regions), "the table [task.regions] says so"
    if settings.convention == "auto":
        return choose_for(cohort, values_by_case)
    values = {value for met in values_by_case.values() for value in met}
    return named(settings.convention, values, cohort.label_names), "it was asked for"
