"""One step: a batch in one part or several, the gradients of all parts and ranks, one move of the weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from napari_mmssl.errors import RunFailed
from napari_mmssl.networks.precision import mixed_precision
from napari_mmssl.randomness import counted_seed
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.training.batch_parts import joined, parted
from napari_mmssl.training.distributed import Ranks
from napari_mmssl.training.settings import RunSettings
from napari_mmssl.training.trainee import Trainee


@dataclass(frozen=True)
class Stepped:
    """What a step tells: each loss and their ``total``, metrics, and the norm of the gradients before clipping."""

    losses: Mapping[str, float]
    metrics: Mapping[str, float]
    gradient_norm: float


class GradientStep:
    """Moves the weights of a trainee.

    Parameters
    ----------
    trainee, settings, device
        As in the loop.
    ranks
        Who shares the batch.

    Attributes
    ----------
    parts
        In how many parts the batch goes through the network. The gradient is the mean over the batch whatever their
        number, as far as the losses are means over samples.
    """

    def __init__(self, trainee: Trainee, settings: RunSettings, device: torch.device, ranks: Ranks) -> None:
        self.trainee, self.settings, self.device, self.ranks = trainee, settings, device, ranks
        self.parts = settings.optimisation.accumulate
        self.optimiser = self._adam()

    def halve(self) -> bool:
        """Halve the parts to come; return whether they were large enough for it."""
        size = self.settings.optimisation.batch_size // self.ranks.world
        smallest = self.trainee.smallest_part
        if self.ranks.world > 1 or not smallest or size // (2 * self.parts) < smallest:
            return False
        self.parts *= 2
        return True

    def gradients(self, batch: PatchBatch, step: int) -> Stepped:
        """Leave the gradients of ``batch`` (this rank's share) in the weights; nothing else changes.

        Raises
        ------
        RunFailed
            If a loss is not finite.
        """
        torch.manual_seed(counted_seed(self.settings.seed, step, purpose="torch"))
        for module in self.trainee.modules.values():
            module.train()
        self.optimiser.zero_grad(set_to_none=True)
        losses, metrics, shares = [], [], []
        for part in parted(batch, self.parts):
            share = len(part) / len(batch)
            with mixed_precision(self.device):
                result = self.trainee.step(part)
            total = torch.stack(list(result.terms.values())).sum()
            (total * (share / self.ranks.world)).backward()  # type: ignore[no-untyped-call]
            terms = {name: float(term.detach()) for name, term in result.terms.items()}
            losses.append(terms | {"total": float(total.detach())})
            metrics.append(dict(result.metrics))
            shares.append(share)
        told = self.ranks.mean(joined(losses, shares))
        if not torch.isfinite(torch.tensor(told["total"])):
            raise RunFailed(
                f"the loss is not finite at step {step}; the last checkpoint is kept; "
                "try a smaller optimisation.learning_rate"
            )
        weights = [weight for group in self.optimiser.param_groups for weight in group["params"]]
        self.ranks.sum_gradients(weights)
        return Stepped(told, joined(metrics, shares), 0.0)

    def move(self, rate: float) -> float:
        """Clip the gradients, move the weights at ``rate``, and return the norm before clipping.

        Raises
        ------
        RunFailed
            If the gradients are not finite; the weights stay as they are.
        """
        clip = self.settings.optimisation.gradient_clip
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        norms = [torch.nn.utils.clip_grad_norm_(group["params"], clip) for group in self.optimiser.param_groups]
        norm = float(torch.linalg.vector_norm(torch.stack(norms)))
        if not math.isfinite(norm):
            # Moved by them, the weights would be nothing for good, and so would the next checkpoint.
            raise RunFailed(
                "the gradients are not finite; the last checkpoint is kept; try a smaller optimisation.learning_rate"
            )
        self.optimiser.step()
        return norm

    def _adam(self) -> torch.optim.Optimizer:
        """Return Adam with one group of weights for each player."""
        how = self.settings.optimisation
        groups = []
        for player in self.trainee.players():
            weights = [weight for name in player.modules for weight in self.trainee.modules[name].parameters()]
            decay = how.weight_decay if player.weight_decay is None else player.weight_decay
            groups.append({"params": weights, "betas": player.betas, "weight_decay": decay})
        # None, not False, leaves the choice that evidence was made with to torch.
        return torch.optim.AdamW(groups, lr=how.learning_rate, fused=how.fused or None)
