"""Cross-modal triplets within one person: neighbours in one modality stay neighbours in another."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from napari_mmssl.objectives import Features, Losses, Needs, Views, objectives
from napari_mmssl.objectives.topology_tokens import (
    DrawnModalities,
    Tokens,
    TopologyObjective,
    TopologySettings,
    draws,
    monitors,
)
from napari_mmssl.ops.topology import intra_triplets, triplet_loss
from napari_mmssl.ops.topology_pictures import picture_neighbourhood
from napari_mmssl.pictures import PictureItem
from napari_mmssl.sampling.batch import PatchBatch


class CrossModalTripletSettings(TopologySettings):
    """Settings of the cross-modal triplets."""

    margin: float = Field(
        0.05, ge=0, le=2, title="Margin", description="By how much a neighbour must be nearer than others, in cosine"
    )


@objectives.register(
    "cross_modal_triplet",
    summary="Tokens that are neighbours in one modality are nearer than others in another modality of the same person",
    source="Pan et al., ICML 2026, arXiv:2605.14654 (intra-instance)",
)
class CrossModalTriplet(TopologyObjective[CrossModalTripletSettings]):
    """Intra-instance cross-modal triplets.

    For token ``i`` and each ``j`` of its ``k`` nearest neighbours in modality A, with ``n`` drawn from all tokens
    that are no neighbours, ``max(0, d(z_i, z_j) - d(z_i, z_n) + m)`` in modality B, where ``d = 1 - cos`` and the
    same index is the same place. The mean over triplets, both directions and people with two modalities;
    gradients reach only the modality in which the distances are measured. By default neighbours are the most
    alike *within a radius*; ``neighbourhood = "feature"`` is the paper's.
    """

    settings_class = CrossModalTripletSettings
    name = "cross_modal_triplet"
    monitored = "intra"

    @classmethod
    def needs(cls, settings: CrossModalTripletSettings) -> Needs:
        """Two modalities of a person; those who have one are skipped rather than refused."""
        return Needs(placement=settings.placement, partners=True)

    def losses(self, batch: PatchBatch, views: Views, features: Features) -> Losses:
        """Return the triplet loss, with the share of triplets in the right order (chance: a half)."""
        tokens = self.tokens(batch, features)
        drawn: DrawnModalities = views.memory
        who = [n for n in range(len(batch)) if drawn.first[n] != drawn.second[n]]
        with torch.autocast(tokens.first.device.type, enabled=False):
            loss, right = self._triplets(batch, tokens, who)
            terms = {"triplet": loss} | self.guard(tokens)
        metrics = {"intra_subjects": float(len(who)), "intra_right_order": right} | monitors(tokens, "intra")
        return Losses(terms, metrics)

    def _triplets(self, batch: PatchBatch, tokens: Tokens, who: list[int]) -> tuple[Tensor, float]:
        if not who:
            return (tokens.first.sum() + tokens.second.sum()) * 0, 0.0
        settings = self.settings
        # Both directions at once: the second half of the people looks from the second modality to the first.
        anchor = torch.cat([tokens.first[who], tokens.second[who]])
        other = torch.cat([tokens.second[who], tokens.first[who]])
        neighbours, valid = tokens.neighbourhoods(anchor, settings, who + who)
        shape = (2, *neighbours.shape[1:])
        chance = [draws(shape, int(batch.seed[n]), purpose="topology/intra", like=anchor) for n in who]
        triplets = intra_triplets(neighbours, valid, tokens.usable[who + who], torch.stack(chance, dim=1).flatten(0, 1))
        loss, right = triplet_loss(other @ other.transpose(1, 2), triplets, settings.margin)
        return loss.mean(), float(right.mean())

    def picture(self, batch: PatchBatch, views: Views, features: Features) -> tuple[list[PictureItem], dict[str, Any]]:
        """Return the first person's two modalities, one token, and its neighbours in each of them."""
        tokens = self.tokens(batch, features)
        drawn: DrawnModalities = views.memory
        pair = torch.stack([tokens.first[0], tokens.second[0]])
        neighbours, valid = tokens.neighbourhoods(pair, self.settings, [0, 0])
        channels = (drawn.first[0], drawn.second[0])
        return picture_neighbourhood(
            images=batch.volumes[0, list(channels)].cpu().numpy(),
            names=(batch.vocabulary[channels[0]], batch.vocabulary[channels[1]]),
            affine=batch.patch_to_world[0].cpu().numpy(),
            centres=tokens.centres.cpu().numpy(),
            usable=tokens.usable[0].cpu().numpy(),
            neighbours=neighbours.cpu().numpy(),
            valid=valid.cpu().numpy(),
        )
