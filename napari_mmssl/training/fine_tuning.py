"""Fine-tuning a segmentation, from pretrained weights or from scratch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.inference.prediction import class_probabilities
from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.networks.segmentation import SegmentationNetwork
from napari_mmssl.networks.transfer import TensorReport, transfer_encoder
from napari_mmssl.pictures import Picture, PictureItem
from napari_mmssl.randomness import counted_seed
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.sampling.sampler import Augmentation, PatchSampler
from napari_mmssl.tasks.conventions import LabelConvention
from napari_mmssl.tasks.segmentation import hard_dice, segmentation_losses
from napari_mmssl.training.settings import FinetuneSettings
from napari_mmssl.training.trainee import StepResult, Trainee
from napari_mmssl.training.weights_cards import write_card
from napari_mmssl.training.weights_files import write_weights


class FineTuning(Trainee):
    """A segmentation network learning from labelled cases.

    Parameters
    ----------
    settings
        Resolved; ``data.modalities`` and ``data.spacing_mm`` are set.
    convention
        Turns label values into classes.
    train, validation
        Prepared, labelled cases.
    device
        Where the network goes.
    pretrained
        Weights of a single-channel encoder, or ``None`` to start from scratch.
    """

    best_metric = "dice"
    keeps_best = True
    batches: PatchSampler

    def __init__(
        self,
        settings: FinetuneSettings,
        convention: LabelConvention,
        train: Sequence[PreparedCase],
        validation: Sequence[PreparedCase],
        device: torch.device,
        pretrained: dict[str, Tensor] | None,
    ) -> None:
        self.settings = settings
        self.convention = convention
        self.device = device
        self.vocabulary = tuple(settings.data.modalities or ())
        self.n_classes = len(convention.classes) + 1
        # One seed for both arms: decoders of the pretrained and the scratch run start equal.
        torch.manual_seed(counted_seed(settings.seed, purpose="weights"))
        how = settings.encoder
        encoder = build_encoder(how.name, how.size, len(self.vocabulary), how.thick_slices or 0)
        self.network = SegmentationNetwork(encoder, self.n_classes)
        self.transfer: list[TensorReport] = transfer_encoder(encoder, pretrained) if pretrained else []
        self.network.to(device)
        self.modules: Mapping[str, nn.Module] = {"network": self.network}
        self.batches = PatchSampler(
            train,
            self.vocabulary,
            settings.data.patch,
            settings.optimisation.batch_size,
            settings.optimisation.steps,
            settings.seed,
            augmentation=Augmentation(flip=0.5, intensity=0.1, drop_modality=settings.task.drop_modality),
            convention=convention,
            label_share=settings.task.label_share,
        )
        self._validation = validation

    def step(self, batch: PatchBatch) -> StepResult:
        """Return soft Dice and cross-entropy of one batch."""
        if batch.label is None:
            raise ValueError("a segmentation is trained on labelled cases only")
        logits = self.network(batch.volumes, batch.modality >= 0)
        return StepResult(segmentation_losses(logits, batch.label), {})

    def validate(self) -> dict[str, float]:
        """Return the mean Dice over classes and validation cases, whole volumes through the sliding window."""
        values = []
        for case in self._validation:
            predicted, label = self._predict(case)
            counts = hard_dice(torch.from_numpy(predicted), torch.from_numpy(label), self.n_classes)
            values += [shared / size for shared, size in counts if size > 0]
        return {"dice": float(np.mean(values))} if values else {}

    def _predict(self, case: PreparedCase) -> tuple[np.ndarray, np.ndarray]:
        probabilities = class_probabilities(self.network, case, self.vocabulary, self.settings.data.patch, self.device)
        if case.label is None:
            raise ValueError(f"validation case '{case.id}' has no label map")
        return probabilities.argmax(axis=0).astype(np.uint8), self.convention.to_classes(case.label)

    def pictures(self, step: int) -> list[Picture]:
        """Return the first validation case with its reference and the network's answer."""
        if not self._validation:
            return []
        case = self._validation[0]
        predicted, label = self._predict(case)
        affine = case.geometry.affine
        name = case.modalities[0]
        items = (
            PictureItem(name, "image", np.asarray(case.volumes[0], np.float16), affine, f"{name} of '{case.id}'"),
            PictureItem("reference", "labels", label, affine, "The label map of the cohort"),
            PictureItem("prediction", "labels", predicted, affine, f"What the network says after {step} steps"),
        )
        return [Picture("segmentation", step, case.id, items, {})]

    def card(self) -> dict[str, Any]:
        """Return what whoever predicts with the network must know."""
        settings = self.settings
        return {
            "kind": "finetune",
            "task": "segmentation",
            "encoder": settings.encoder.model_dump(),
            "in_channels": len(self.vocabulary),
            "modalities": list(self.vocabulary),
            "convention": self.convention.as_table(),
            "spacing_mm": settings.data.spacing_mm,
            "patch": settings.data.patch,
            "orientation": "axes run to S, A, R",
            "normalisation": "z-score over the body, 0 outside",
            "weights": settings.weights,
            "label_fraction": settings.label_fraction,
            "research_use_only": True,
        }

    def export(self, folder: Path) -> None:
        """Write the network and its card."""
        write_weights(folder, "network", self.network)
        write_card(folder, self.card())
