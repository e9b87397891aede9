"""Unpaired translation: two generators and two discriminators, tied by what comes back of a patch."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from napari_mmssl.pictures import Picture
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.synthesis.history import HistoryPool
from napari_mmssl.synthesis.losses import as_judge, discriminator_loss, distribution_loss, l1_in_body, least_squares
from napari_mmssl.synthesis.streams import UnpairedSampler
from napari_mmssl.training.trainee import StepResult
from napari_mmssl.training.translating import Translation


class CycleTranslation(Translation):
    """CycleGAN (Zhu et al., arXiv:1703.10593) on patches of volumes.

    The generators minimise, in the paper's words of equation 3, ``L_GAN(G_AB, D_B) + L_GAN(G_BA, D_A) + lambda L_cyc``,
    with least squares in place of logarithms (its section 4), and an identity loss if asked for (section 5.2).
    Discriminators see made patches through a history of 50.

    What is made is 0 outside the body, as what is real, and losses are means over the body. What is best cannot be
    told from losses that play against each other, so the last weights are exported.
    """

    best_metric = "cycle_l1"
    higher_is_better = False
    batches: UnpairedSampler

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        how = self.settings
        self._forth, self._back = self._generator(), self._generator()
        self._judge_source, self._judge_target = self._discriminator(), self._discriminator()
        shape = (1, *how.data.patch)
        self._pools = tuple(HistoryPool(how.history, shape).to(self.device) for _ in self.vocabulary)
        self.modules: Mapping[str, nn.Module] = {
            "generator_forth": self._forth,
            "generator_back": self._back,
            "discriminator_source": self._judge_source,
            "discriminator_target": self._judge_target,
            "pool_source": self._pools[0],
            "pool_target": self._pools[1],
        }
        self.batches = self._streams(self._train.source, self._train.target, "train", training=True)
        held_out = self._held_out
        watched = bool(held_out.source) and bool(held_out.target)
        self._watched = self._streams(held_out.source, held_out.target, "watch", training=False) if watched else None

    def _streams(self, source: Any, target: Any, purpose: str, *, training: bool) -> UnpairedSampler:
        return UnpairedSampler(
            self._sampler(source, f"{purpose}/source", training=training),
            self._sampler(target, f"{purpose}/target", training=training),
        )

    @property
    def generators(self) -> Mapping[tuple[str, str], nn.Module]:
        """Both directions."""
        source, target = self.vocabulary
        return {(source, target): self._forth, (target, source): self._back}

    def step(self, batch: PatchBatch) -> StepResult:
        """Return the losses of all four networks; each reaches its own player's weights alone."""
        (a, body_a), (b, body_b) = _halves(batch)
        made_b, made_a = self._forth(a) * body_a, self._back(b) * body_b
        terms, metrics = self._generator_terms(a, b, made_a, made_b, body_a, body_b)
        if self.settings.adversarial_weight:
            terms |= self._discriminator_terms(a, b, made_a, made_b, batch)
        return StepResult(terms, metrics)

    def _generator_terms(
        self, a: Tensor, b: Tensor, made_a: Tensor, made_b: Tensor, body_a: Tensor, body_b: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        how = self.settings.loss
        cycle_a = l1_in_body(self._back(made_b) * body_a, a, body_a)
        cycle_b = l1_in_body(self._forth(made_a) * body_b, b, body_b)
        terms = {"cycle": how.cycle * (cycle_a + cycle_b)}
        if self.settings.adversarial_weight:
            with as_judge(self._judge_source, self._judge_target):
                fooled = least_squares(self._judge_target(made_b), 1.0) + least_squares(self._judge_source(made_a), 1.0)
            terms["adversarial"] = self.settings.adversarial_weight * fooled
        if how.distribution:
            apart = distribution_loss(made_b, body_a, b, body_b) + distribution_loss(made_a, body_b, a, body_a)
            terms["distribution"] = how.distribution * apart
        if how.identity:
            kept_a = l1_in_body(self._back(a) * body_a, a, body_a)
            kept_b = l1_in_body(self._forth(b) * body_b, b, body_b)
            terms["identity"] = how.identity * (kept_a + kept_b)
        return terms, {"cycle_l1": float((cycle_a + cycle_b).detach()) / 2}

    def _discriminator_terms(
        self, a: Tensor, b: Tensor, made_a: Tensor, made_b: Tensor, batch: PatchBatch
    ) -> dict[str, Tensor]:
        seed = int(batch.seed[0])
        pairs = ((self._judge_source, self._pools[0], a, made_a), (self._judge_target, self._pools[1], b, made_b))
        terms = {}
        for name, (judge, pool, real, made) in zip(("source", "target"), pairs, strict=True):
            shown = pool.exchange(made, seed) if judge.training else made.detach()
            terms[f"discriminator_{name}"] = discriminator_loss(judge(real), judge(shown))
        return terms

    def validate(self) -> dict[str, float]:
        """Return the cycle's L1 on unseen people, and SSIM and PSNR where somebody has both modalities."""
        found = self._likeness()
        if self._watched is None:
            return found
        cycles = []
        for number in range(len(self._watched)):
            (a, body_a), (b, body_b) = _halves(self._watched[number].to(self.device))
            made_b, made_a = self._forth(a) * body_a, self._back(b) * body_b
            cycles.append(float(l1_in_body(self._back(made_b) * body_a, a, body_a)) / 2)
            cycles[-1] += float(l1_in_body(self._forth(made_a) * body_b, b, body_b)) / 2
        return found | {"cycle_l1": sum(cycles) / len(cycles)}

    def pictures(self, step: int) -> list[Picture]:
        """Return a source patch, what is made of it, and what comes back."""
        batch = (self._watched or self.batches)[0].to(self.device)
        (a, body), _ = _halves(batch)
        made = self._forth(a) * body
        source, target = self.vocabulary
        items = self._items(
            batch,
            0,
            {
                f"{target} (synthetic)": (made, f"What the generator makes of it after {step} steps"),
                f"{source} (there and back)": (self._back(made) * body, "What the other generator makes of that"),
            },
        )
        return [self.picture(step, batch.case[0], items)]


def _halves(batch: PatchBatch) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the patches ``(B, 1, D, H, W)`` of either stream, each with where the body is."""
    half = len(batch) // 2
    body = batch.foreground.unsqueeze(1).to(torch.float32)
    return (batch.volumes[:half, :1], body[:half]), (batch.volumes[half:, 1:2], body[half:])
