"""Paired translation: one generator, taught by aligned scans of people who have both modalities."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from napari_mmssl.pictures import Picture
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.sampling.sampler import PatchSampler
from napari_mmssl.synthesis.history import HistoryPool
from napari_mmssl.synthesis.losses import as_judge, discriminator_loss, l1_in_body, least_squares
from napari_mmssl.training.trainee import StepResult
from napari_mmssl.training.translating import Translation


class PairedTranslation(Translation):
    """L1 to the real patch, and a discriminator beside it if asked for (after Isola et al., arXiv:1611.07004).

    There, the discriminator also sees the source and the loss is logarithmic; here it is the one of cycle-consistent
    training, least squares on the target alone, as the L1 loss already ties what is made to the source.
    """

    best_metric = "ssim"
    keeps_best = True
    batches: PatchSampler

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._forth = self._generator()
        self.modules: Mapping[str, nn.Module] = {"generator_forth": self._forth}
        if self.settings.adversarial_weight:
            pool = HistoryPool(self.settings.history, (1, *self.settings.data.patch)).to(self.device)
            self.modules = {**self.modules, "discriminator_target": self._discriminator(), "pool_target": pool}
        self.batches = self._sampler(self._train.both, "train", training=True)

    @property
    def generators(self) -> Mapping[tuple[str, str], nn.Module]:
        """One direction."""
        return {(self.settings.source, self.settings.target): self._forth}

    def step(self, batch: PatchBatch) -> StepResult:
        """Return L1, and the adversarial terms if there is a discriminator."""
        source, real = batch.volumes[:, :1], batch.volumes[:, 1:2]
        body = batch.foreground.unsqueeze(1).to(torch.float32)
        made = self._forth(source) * body
        error = l1_in_body(made, real, body)
        terms = {"l1": self.settings.loss.paired * error}
        if self.settings.adversarial_weight:
            terms |= self._adversarial_terms(real, made, int(batch.seed[0]))
        return StepResult(terms, {"l1_error": float(error.detach())})

    def _adversarial_terms(self, real: Tensor, made: Tensor, seed: int) -> dict[str, Tensor]:
        judge, pool = self.modules["discriminator_target"], self.modules["pool_target"]
        assert isinstance(pool, HistoryPool)
        with as_judge(judge):
            fooled = least_squares(judge(made), 1.0)
        shown = pool.exchange(made, seed) if judge.training else made.detach()
        return {
            "adversarial": self.settings.adversarial_weight * fooled,
            "discriminator_target": discriminator_loss(judge(real), judge(shown)),
        }

    def validate(self) -> dict[str, float]:
        """Return SSIM and PSNR on unseen people, and the SSIM of the unchanged source beside them."""
        return self._likeness()

    def pictures(self, step: int) -> list[Picture]:
        """Return a source patch, what is made of it, the real one and the error."""
        cases = self._held_out.both or self._train.both
        batch = self._sampler(cases, "picture", training=False)[0].to(self.device)
        body = batch.foreground.unsqueeze(1).to(torch.float32)
        made = self._forth(batch.volumes[:, :1]) * body
        real, target = batch.volumes[:, 1:2], self.settings.target
        items = self._items(
            batch,
            0,
            {
                f"{target} (synthetic)": (made, f"What the generator makes of it after {step} steps"),
                f"{target} (real)": (real, f"Real {target} of the same person"),
                "error": ((made - real).abs(), "How far they are apart, in standard deviations"),
            },
        )
        return [self.picture(step, batch.case[0], items)]
