"""Fine-tuning on a downstream task, from pretrained weights or from scratch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.errors import ConfigError
from napari_mmssl.inference.calibration import fit_temperature
from napari_mmssl.inference.case_prediction import case_numbers, whole_case
from napari_mmssl.inference.prediction import class_probabilities
from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.networks.fusion import AdaptedEncoder, FusedEncoder, build_fused, pretrained_part
from napari_mmssl.networks.segmentation import SegmentationNetwork
from napari_mmssl.networks.template_shelf import TemplateShelf
from napari_mmssl.networks.transfer import (
    Pretrained,
    TensorReport,
    carry_segmentation,
    transfer_decoder,
    transfer_encoder,
)
from napari_mmssl.networks.volume_head import VolumeNetwork
from napari_mmssl.pictures import Picture
from napari_mmssl.randomness import counted_seed
from napari_mmssl.sampling.augmentation import Augmentation
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.sampling.sampler import PatchSampler
from napari_mmssl.tasks import Answer, Clinical, Task
from napari_mmssl.tasks.segmentation import Segmentation
from napari_mmssl.training.freezing import frozen_parameters
from napari_mmssl.training.settings import FinetuneSettings
from napari_mmssl.training.template_views import two_views
from napari_mmssl.training.trainee import StepResult, Trainee
from napari_mmssl.training.weights_cards import write_card
from napari_mmssl.training.weights_files import write_tensors


class FineTuning(Trainee):
    """A network that learns a task from cases whose answer is known.

    Parameters
    ----------
    settings
        Resolved; ``data.modalities`` and ``data.spacing_mm`` are set.
    task
        What is learned, fitted to the cohort.
    train, validation
        Prepared cases.
    clinical
        The row of each case in the cohort's table, by case id.
    device
        Where the network goes.
    pretrained
        What a pretraining left, or ``None`` to start from scratch.
    shelf
        Templates that pretraining learned, if it did.

    Raises
    ------
    ConfigError
        If modalities are to be replaced by templates and there are none, or the encoder takes all modalities at once
        and is to take them one by one.
    """

    keeps_best = True
    batches: PatchSampler

    def __init__(
        self,
        settings: FinetuneSettings,
        task: Task[Any],
        train: Sequence[PreparedCase],
        validation: Sequence[PreparedCase],
        clinical: Mapping[str, Clinical],
        device: torch.device,
        pretrained: Pretrained | None,
        shelf: TemplateShelf | None = None,
    ) -> None:
        self.settings, self.task, self.device = settings, task, device
        self.best_metric, self.higher_is_better = task.best_metric, task.higher_is_better
        self.vocabulary = tuple(settings.data.modalities or ())
        self._clinical, self._shelf = clinical, shelf
        if settings.templates.substitute and (shelf is None or not any(shelf.knows(self.vocabulary))):
            raise ConfigError(
                "templates.substitute replaces modalities by learned templates, and the weights hold none of these "
                "modalities; pretrain with a recipe that learns templates, such as brainmvp2025"
            )
        # One seed for both arms: heads of the pretrained and the scratch run start equal.
        torch.manual_seed(counted_seed(settings.seed, purpose="weights"))
        how = settings.encoder
        encoder = build_fused(how.name, how.size, len(self.vocabulary), how.thick_slices or 0, settings.fusion)
        self.network: nn.Module = task.network(encoder, learning=True)
        self.transfer = _transfer(self.network, encoder, pretrained, settings, self.vocabulary) if pretrained else []
        self.network.to(device)
        if shelf is not None:
            shelf.to(device)
        self._frozen = frozen_parameters(pretrained_part(encoder), settings.freeze)
        self.modules: Mapping[str, nn.Module] = {"network": self.network}
        # A risk set, or a mean over whole cases, is of all samples of a batch.
        self.smallest_part = 1 if isinstance(task, Segmentation) else 0
        sampling = task.sampling(settings.data.patch, train)
        self.batches = PatchSampler(
            task.prepare(train),
            self.vocabulary,
            sampling.patch,
            settings.optimisation.batch_size,
            settings.optimisation.steps,
            settings.seed,
            placement=sampling.placement,
            augmentation=Augmentation(
                flip=0.5,
                intensity=0.1,
                drop_modality=settings.task.drop_modality,
                spatial=settings.augmentation == "full",
                appearance=settings.augmentation == "full",
            ),
            convention=sampling.convention,
            label_share=sampling.label_share,
        )
        self._validation = task.prepare(validation)
        if isinstance(self.network, VolumeNetwork):
            self._measure(self.network, train)

    @torch.no_grad()
    def _measure(self, network: VolumeNetwork, cases: Sequence[PreparedCase]) -> None:
        """Tell the network what volumes are usual, before the first step."""
        found = []
        for case in cases:
            batch = whole_case(case, self.vocabulary, self.batches.patch).to(self.device)
            drawn = network.encode(batch.volumes, batch.modality >= 0)[0]
            found.append(network.log_volumes(drawn, batch.foreground))
        network.standardise(torch.cat(found))

    def step(self, batch: PatchBatch) -> StepResult:
        """Return the task's terms on one batch."""
        self._freeze(batch.progress)
        how = self.settings.templates
        if how.substitute and self._shelf is not None:
            batch = two_views(batch, self._shelf, how.substitute)
        pyramid = self.network.encode(batch.volumes, batch.modality >= 0)  # type: ignore[operator]
        clinical = [self._clinical.get(case, {}) for case in batch.case]
        terms = self.task.losses(self.network, pyramid, batch, clinical)
        if how.substitute and how.consistency:
            first, second = pyramid[-1].float().chunk(2)
            terms["consistency"] = how.consistency * functional.mse_loss(first, second)
        return StepResult(terms, {})

    def _freeze(self, progress: float) -> None:
        """Hold the frozen part still as long as the settings say; by progress, so that a resumed run does the same."""
        held = self.settings.freeze_share >= 1 or progress < self.settings.freeze_share
        for parameter in self._frozen:
            parameter.requires_grad_(not held)

    def validate(self) -> dict[str, float]:
        """Return the task's metrics on the validation cases, seen whole."""
        return self.task.measure([self._answer(case) for case in self._validation])

    def _answer(self, case: PreparedCase) -> Answer:
        clinical, patch = self._clinical.get(case.id, {}), self.batches.patch
        if isinstance(self.network, SegmentationNetwork):
            output = class_probabilities(self.network, case, self.vocabulary, patch, self.device)
        else:
            output = case_numbers(self.network, self.task, case, clinical, self.vocabulary, patch, self.device)
        return Answer(case, output, clinical)

    def pictures(self, step: int) -> list[Picture]:
        """Return what the network says of the first validation case."""
        return [self.task.picture(self._answer(case), step) for case in self._validation[:1]]

    def card(self) -> dict[str, Any]:
        """Return what whoever predicts with the network must know."""
        settings = self.settings
        return {
            "kind": "finetune",
            "task": settings.task.name,
            "task_settings": settings.task.model_dump(mode="json"),
            **self.task.facts,
            "encoder": settings.encoder.model_dump(),
            "fusion": settings.fusion,
            "in_channels": len(self.vocabulary),
            "modalities": list(self.vocabulary),
            "spacing_mm": settings.data.spacing_mm,
            "patch": self.batches.patch,
            "orientation": "axes run to S, A, R",
            "normalisation": "z-score over the body, 0 outside",
            "weights": settings.weights,
            "label_fraction": settings.label_fraction,
            "freeze": settings.freeze,
            **({"templates": self._shelf.facts()} if self._shelf else {}),
            "research_use_only": True,
        }

    def export(self, folder: Path) -> None:
        """Write the network, without what only serves to learn, and its card."""
        state = {name: tensor for name, tensor in self.network.state_dict().items() if not name.startswith("sides.")}
        write_tensors(folder / "network.safetensors", state)
        if self._shelf is not None:
            write_tensors(folder / "templates.safetensors", self._shelf.tensors())
        write_card(folder, self.card() | self._calibration())

    def _calibration(self) -> dict[str, Any]:
        """Return the temperature that suits the validation cases, of networks that give probabilities of voxels."""
        if not isinstance(self.task, Segmentation):
            return {}
        self.network.eval()
        task, cases = self.task, self._validation
        fit = fit_temperature((self._answer(case).output, task.truth(case), case.foreground) for case in cases)
        return {} if fit is None else {"calibration": fit}


def _transfer(
    network: nn.Module,
    encoder: Encoder,
    pretrained: Pretrained,
    settings: FinetuneSettings,
    modalities: tuple[str, ...],
) -> list[TensorReport]:
    """Load ``pretrained`` where it belongs in ``network`` and report on every tensor by its whole name."""
    if pretrained.segmentation is not None and isinstance(network, VolumeNetwork):
        carried = carry_segmentation(network.segmentation, pretrained.segmentation)
        return [replace(report, name=f"segmentation.{report.name}") for report in carried]
    part, weights = pretrained_part(encoder), pretrained.encoder
    alone = isinstance(encoder, FusedEncoder | AdaptedEncoder)
    if alone and pretrained.channels:
        raise ConfigError(
            f"this encoder was pretrained on {', '.join(pretrained.channels)} at once, and fusion = "
            f'"{settings.fusion}" feeds it one at a time; set fusion to replicate or reinitialise'
        )
    if settings.fusion == "reinitialise":
        stem = {name for name, parameter in part.named_parameters() if parameter is part.stem.weight}
        weights = {name: tensor for name, tensor in weights.items() if name not in stem}
    prefix = "single." if alone else ""
    reports = transfer_encoder(part, weights, pretrained.channels, modalities)
    found = [replace(report, name=prefix + report.name) for report in reports]
    if pretrained.decoder is not None and settings.decoder == "carried" and isinstance(network, SegmentationNetwork):
        carried = transfer_decoder(network.decoder, pretrained.decoder)
        found += [replace(report, name=f"decoder.{report.name}") for report in carried]
    return found
