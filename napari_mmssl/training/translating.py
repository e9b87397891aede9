"""What both trainings of generators share: streams, validation on people with both modalities, pictures, the card."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.metrics.image_similarity import psnr, ssim
from napari_mmssl.networks.generators import Generator, PatchDiscriminator, generator_name
from napari_mmssl.pictures import Picture, PictureItem
from napari_mmssl.randomness import counted_seed
from napari_mmssl.sampling.augmentation import Augmentation
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.sampling.sampler import PatchSampler
from napari_mmssl.synthesis.quality import DATA_RANGE, Reference
from napari_mmssl.training.synthesis_settings import SynthesisSettings
from napari_mmssl.training.trainee import Player, Trainee
from napari_mmssl.training.weights_cards import write_card
from napari_mmssl.training.weights_files import write_weights

#: Batches looked at in a validation; the same ones every time.
VALIDATION_BATCHES = 4
#: First moment of Adam as in DCGAN and CycleGAN: more of it makes adversaries chase each other.
ADVERSARIAL_BETAS = (0.5, 0.999)


@dataclass(frozen=True)
class Groups:
    """Prepared cases of one group of people.

    Parameters
    ----------
    source, target
        Cases with that modality.
    both
        Cases with both on one grid; those the generator can be measured on.
    """

    source: Sequence[PreparedCase]
    target: Sequence[PreparedCase]
    both: Sequence[PreparedCase]


class Translation(Trainee):
    """Generators between two modalities.

    Parameters
    ----------
    settings
        Resolved; ``data.spacing_mm`` is set, ``data.modalities`` are source and target.
    train, validation
        Prepared cases.
    references
        What real volumes of each modality look like, for the card.
    thick_slices
        How many reductions leave the slice axis alone.
    device
        Where the networks go.
    """

    def __init__(
        self,
        settings: SynthesisSettings,
        train: Groups,
        validation: Groups,
        references: Mapping[str, Reference],
        thick_slices: int,
        device: torch.device,
    ) -> None:
        self.settings = settings
        self.device = device
        self.thick_slices = thick_slices
        self.vocabulary = (settings.source, settings.target)
        self.references = references
        self._train, self._held_out = train, validation
        torch.manual_seed(counted_seed(settings.seed, purpose="weights"))

    def _generator(self) -> Generator:
        how = self.settings
        return Generator(how.size, how.dimensions, self.thick_slices).to(self.device)

    def _discriminator(self) -> PatchDiscriminator:
        how = self.settings
        return PatchDiscriminator(how.size, how.dimensions, self.thick_slices).to(self.device)

    def _sampler(self, cases: Sequence[PreparedCase], purpose: str, *, training: bool) -> PatchSampler:
        how = self.settings
        return PatchSampler(
            cases,
            self.vocabulary,
            how.data.patch,
            how.optimisation.batch_size,
            how.optimisation.steps if training else VALIDATION_BATCHES,
            how.seed,
            purpose=purpose,
            augmentation=Augmentation(flip=0.5 if training else 0.0),
        )

    @property
    @abstractmethod
    def generators(self) -> Mapping[tuple[str, str], nn.Module]:
        """The generators by (from, to)."""

    def players(self) -> tuple[Player, ...]:
        """Return generators and discriminators as two players, if there are both."""
        kinds = {"generator": [name for name in self.modules if name.startswith("generator")]}
        kinds["discriminator"] = [name for name in self.modules if name.startswith("discriminator")]
        return tuple(Player(tuple(names), betas=ADVERSARIAL_BETAS) for names in kinds.values() if names)

    def _likeness(self) -> dict[str, float]:
        """Return SSIM and PSNR of what is made, and of the unchanged source, on unseen people with both modalities."""
        if not self._held_out.both:
            return {}
        sampler = self._sampler(self._held_out.both, "likeness", training=False)
        found: dict[str, list[float]] = {"ssim": [], "psnr_db": [], "ssim_of_source": []}
        for number in range(len(sampler)):
            batch = sampler[number].to(self.device)
            made = self.generators[self.vocabulary](batch.volumes[:, :1]) * batch.foreground.unsqueeze(1)
            source, real, made_, body = (
                tensor.float().cpu().numpy().astype(np.float32)
                for tensor in (batch.volumes[:, 0], batch.volumes[:, 1], made[:, 0], batch.foreground)
            )
            for place in range(len(batch)):
                mask = body[place] > 0
                if mask.any():
                    found["ssim"].append(ssim(made_[place], real[place], DATA_RANGE, mask))
                    found["psnr_db"].append(psnr(made_[place], real[place], DATA_RANGE, mask))
                    found["ssim_of_source"].append(ssim(source[place], real[place], DATA_RANGE, mask))
        return {name: float(np.mean(values)) for name, values in found.items() if values}

    def _items(self, batch: PatchBatch, channel: int, made: Mapping[str, tuple[Tensor, str]]) -> list[PictureItem]:
        """Return the first sample's source and what was made of it, as layers of a picture."""
        affine = batch.patch_to_world[0].cpu().numpy()
        name = self.vocabulary[channel]
        shown = {f"{name} (real)": (batch.volumes[:1, channel : channel + 1], f"Real {name} of '{batch.case[0]}'")}
        return [
            PictureItem(title, "image", tensor[0, 0].float().cpu().numpy().astype(np.float16), affine, text)
            for title, (tensor, text) in (shown | dict(made)).items()
        ]

    def picture(self, step: int, case: str, items: Sequence[PictureItem]) -> Picture:
        """Return a picture of the network as it is."""
        return Picture(
            "synthesis", step, case, tuple(items), {"from": self.settings.source, "to": self.settings.target}
        )

    def card(self) -> dict[str, Any]:
        """Return what whoever makes volumes with the generators must know; nothing of the people they learned from."""
        how = self.settings
        return {
            "kind": "synthesis",
            "method": how.method,
            "source": how.source,
            "target": how.target,
            "directions": [list(pair) for pair in self.generators],
            "size": how.size,
            "dimensions": how.dimensions,
            "thick_slices": self.thick_slices,
            "spacing_mm": how.data.spacing_mm,
            "patch": how.data.patch,
            "orientation": "axes run to S, A, R",
            "normalisation": "z-score over the body, 0 outside",
            "references": {name: reference.as_table() for name, reference in self.references.items()},
            "gate": how.gate.model_dump(),
            "validated": {name: round(value, 4) for name, value in self._likeness().items()} or None,
            "research_use_only": True,
        }

    def export(self, folder: Path) -> None:
        """Write the generators and the card; discriminators and pools are of no use to others."""
        for module in self.modules.values():
            module.eval()
        with torch.no_grad():
            card = self.card()
        for (source, target), module in self.generators.items():
            write_weights(folder, generator_name(source, target), module)
        write_card(folder, card)
