"""Partial neighbourhood alignment between people: neighbours of matched tokens are neighbours in both."""

from dataclasses import dataclass
from typing import Any, Literal

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
from napari_mmssl.ops.correspondence import every_nearest, invert_matches, match_plan, mutual_nearest, transport_plan
from napari_mmssl.ops.neighbours import distances_between
from napari_mmssl.ops.topology import anchor_rows, partial_triplets, triplet_loss
from napari_mmssl.ops.topology_pictures import picture_matches
from napari_mmssl.pictures import PictureItem
from napari_mmssl.randomness import counted_rng
from napari_mmssl.sampling.batch import PatchBatch

Matching = Literal["mutual", "transport", "nearest"]


class NeighbourhoodAlignmentSettings(TopologySettings):
    """Settings of the partial neighbourhood alignment."""

    margin: float = Field(
        0.4, ge=0, le=2, title="Margin", description="By how much a neighbour must be nearer than others, in cosine"
    )
    matching: Matching = Field(
        "mutual",
        title="Matching",
        description="mutual: each other's most alike (the paper's); transport: partial optimal transport; nearest: "
        "every token with its most alike, to see what partiality is worth",
    )
    least_cosine: float = Field(
        0.5, ge=-1, le=1, title="Least cosine", description="Tokens less alike are not matched; nearest matches all"
    )
    ratio: float = Field(
        1.0, gt=0, le=1, title="Ratio test", description="Best distance over second best, mutual matching; 1 is off"
    )
    reach: float = Field(
        0.2, ge=0, le=2, title="Reach", description="Apart at most, in edges of the body's box; 0: anywhere"
    )
    temperature: float = Field(0.05, gt=0, le=1, title="Transport temperature", description="Towards 0: one-to-one")
    rounds: int = Field(50, ge=1, le=1000, title="Transport rounds", description="Row and column scalings")
    pairs: int = Field(6, ge=1, le=100, title="Pairs", description="Ordered pairs of people a step, at most")
    same_modality: bool = Field(True, title="Same modality", description="Whether two people may show the same one")


@dataclass(frozen=True, eq=False)
class _Matched:
    """Matches of every pair, both ways: pairs first -> second, then the same pairs second -> first."""

    matches: Tensor  # (2P, T)
    mass: Tensor  # (2P, T)


@objectives.register(
    "neighbourhood_alignment",
    summary="Neighbourhoods of matched tokens agree between people, as far as they are matched",
    source="Pan et al., ICML 2026, arXiv:2605.14654 (inter-instance)",
)
class NeighbourhoodAlignment(TopologyObjective[NeighbourhoodAlignmentSettings]):
    """Inter-instance partial neighbourhood alignment.

    Tokens of two different people are matched: each other's most alike among those at a similar place of the
    body, or by partial optimal transport. For token ``i`` matched with ``u``, the matches of ``i``'s matched
    neighbours must be nearer to ``u`` than tokens drawn from the unmatched ones, by ``m``; the mean over these
    triplets, both directions and the pairs drawn. Places are compared in world coordinates after
    augmentation, so mirrored patches keep their left and right. The prior on places, the least cosine and
    the transport are ours; set ``reach = 0`` and ``least_cosine = -1`` for the paper's mutual nearest
    neighbours. Without two people in the batch the loss is exactly 0 and ``inter_pairs`` says so.
    """

    settings_class = NeighbourhoodAlignmentSettings
    name = "neighbourhood_alignment"
    monitored = "inter"

    @classmethod
    def needs(cls, settings: NeighbourhoodAlignmentSettings) -> Needs:
        """Two people in a batch."""
        return Needs(subjects=2, placement=settings.placement)

    def losses(self, batch: PatchBatch, views: Views, features: Features) -> Losses:
        """Return the alignment loss, with the number of pairs, the share of matched tokens and the right order."""
        tokens = self.tokens(batch, features)
        pairs = self.pairs(batch, views.memory)
        with torch.autocast(tokens.first.device.type, enabled=False):
            loss, found = self._alignment(batch, tokens, pairs)
            terms = {"alignment": loss} | self.guard(tokens)
        return Losses(terms, {"inter_pairs": float(len(pairs))} | found | monitors(tokens, "inter"))

    def pairs(self, batch: PatchBatch, drawn: DrawnModalities) -> list[tuple[int, int]]:
        """Return ordered pairs of samples that show different people, drawn at random if there are too many."""
        people = range(len(batch))
        possible = [
            (p, q)
            for p in people
            for q in people
            if batch.subject[p] != batch.subject[q]
            and (self.settings.same_modality or drawn.first[p] != drawn.second[q])
        ]
        order = counted_rng(int(batch.seed[0]), purpose="topology/pairs").permutation(len(possible))
        return [possible[n] for n in sorted(order[: self.settings.pairs].tolist())]

    def match(self, tokens: Tokens, pairs: list[tuple[int, int]]) -> _Matched:
        """Return the matches between the first view of one person and the second view of the other; no gradient."""
        settings = self.settings
        one, other = [p for p, _ in pairs], [q for _, q in pairs]
        similarity = tokens.first[one].detach() @ tokens.second[other].detach().transpose(1, 2)
        allowed = tokens.usable[one][:, :, None] & tokens.usable[other][:, None, :]
        if settings.reach:
            apart = distances_between(tokens.body_places[one], tokens.body_places[other])
            allowed = allowed & (apart <= settings.reach)
        if settings.matching == "mutual":
            matches = mutual_nearest(similarity, allowed, settings.least_cosine, settings.ratio)
            both = torch.cat([matches, invert_matches(matches, similarity.shape[2])])
            return _Matched(both, (both >= 0).to(similarity))
        if settings.matching == "nearest":
            ways = every_nearest(similarity, allowed), every_nearest(similarity.mT, allowed.mT)
            both = torch.cat(ways)
            return _Matched(both, (both >= 0).to(similarity))
        plan = transport_plan(
            similarity,
            tokens.usable[one],
            tokens.usable[other],
            allowed=allowed,
            dustbin=settings.least_cosine,
            temperature=settings.temperature,
            n_iterations=settings.rounds,
        )
        (there, mass), (back, mass_back) = match_plan(plan), match_plan(plan.transpose(1, 2))
        return _Matched(torch.cat([there, back]), torch.cat([mass, mass_back]))

    def _alignment(
        self, batch: PatchBatch, tokens: Tokens, pairs: list[tuple[int, int]]
    ) -> tuple[Tensor, dict[str, float]]:
        if not pairs:
            nothing = (tokens.first.sum() + tokens.second.sum()) * 0
            return nothing, {"inter_matched": 0.0, "inter_same_cell": 0.0, "inter_right_order": 0.0}
        one, other = [p for p, _ in pairs], [q for _, q in pairs]
        matched = self.match(tokens, pairs)
        anchor = torch.cat([tokens.first[one], tokens.second[other]])
        target = torch.cat([tokens.second[other], tokens.first[one]])
        neighbours, valid = tokens.neighbourhoods(anchor, self.settings, one + other)
        shape = (2, *neighbours.shape[1:])
        seeds = batch.seed.tolist()
        chance = [draws(shape, seeds[p], seeds[q], purpose="topology/inter", like=anchor) for p, q in pairs]
        uniform = torch.stack(chance, dim=1).flatten(0, 1)
        triplets = partial_triplets(neighbours, valid, matched.matches, tokens.usable[other + one], uniform)
        rows = anchor_rows(target @ target.transpose(1, 2), matched.matches)
        loss, right = triplet_loss(rows, triplets, self.settings.margin, matched.mass)
        # Pairs without a single triplet say nothing; they do not dilute the others.
        counted = triplets.counted.flatten(1).any(dim=1).to(loss)
        n_counted = counted.sum().clamp(min=1)
        n_matched = (matched.matches >= 0).sum()
        itself = torch.arange(matched.matches.shape[1], device=matched.matches.device)
        return loss.sum() / n_counted, {
            "inter_matched": float(n_matched / tokens.usable[one + other].sum().clamp(min=1)),
            "inter_same_cell": float((matched.matches == itself).sum() / n_matched.clamp(min=1)),
            "inter_right_order": float(right.sum() / n_counted),
        }

    def picture(self, batch: PatchBatch, views: Views, features: Features) -> tuple[list[PictureItem], dict[str, Any]]:
        """Return the first person and the next one beside it, with lines between matched tokens."""
        tokens = self.tokens(batch, features)
        drawn: DrawnModalities = views.memory
        others = [q for q in range(len(batch)) if batch.subject[q] != batch.subject[0]]
        q = others[0] if others else 0
        nobody = torch.full(tokens.usable[0].shape, -1)
        matches = self.match(tokens, [(0, q)]).matches[0] if others else nobody
        return picture_matches(
            images=(batch.volumes[0, drawn.first[0]].cpu().numpy(), batch.volumes[q, drawn.second[q]].cpu().numpy()),
            names=(batch.vocabulary[drawn.first[0]], batch.vocabulary[drawn.second[q]]),
            cases=(batch.case[0], batch.case[q]) if others else (batch.case[0],),
            affines=(batch.patch_to_world[0].cpu().numpy(), batch.patch_to_world[q].cpu().numpy()),
            centres=tokens.centres.cpu().numpy(),
            usable=tokens.usable[0].cpu().numpy(),
            matches=matches.cpu().numpy(),
        )
