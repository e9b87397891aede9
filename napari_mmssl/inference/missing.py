"""What stands in for a modality that a case lacks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.errors import ConfigError
from napari_mmssl.inference.translation import Translator, fill_missing, load_translator, plan_filling
from napari_mmssl.networks.template_shelf import TemplateShelf
from napari_mmssl.registry import unknown_name
from napari_mmssl.training.template_files import read_shelf

#: ``drop``: nothing stands in, the network works with what is there; ``zero``: the mean of the body, as if it had been
#: scanned; ``template``: what the modality looks like in everybody, learned in pretraining; ``synthesised``: made from
#: what is there by generators, and dropped where none can.
MissingPolicy = Literal["drop", "zero", "template", "synthesised"]


@dataclass(frozen=True, eq=False)
class Missing:
    """A policy and what it needs.

    Parameters
    ----------
    policy
        What stands in.
    shelf
        The templates of the weights, if there are any.
    translators
        Generators, for the policy that asks for them.
    """

    policy: MissingPolicy = "drop"
    shelf: TemplateShelf | None = None
    translators: tuple[Translator, ...] = ()

    def complete(
        self, prepared: PreparedCase, case: Case, vocabulary: tuple[str, ...], between: Callable[[], None]
    ) -> PreparedCase:
        """Return ``prepared`` with what generators can make of the modalities it lacks, if that is the policy."""
        if self.policy != "synthesised":
            return prepared
        return fill_missing(prepared, case, vocabulary, self.translators, between)[0]

    def plan(self, case: Case, vocabulary: tuple[str, ...]) -> dict[str, str]:
        """Return which modalities of ``case`` will be made, and from what."""
        lacking = [name for name in vocabulary if name not in case.modalities]
        return plan_filling([name for name in vocabulary if name in case.modalities], lacking, self.translators)

    def stand_ins(self, case: Case, vocabulary: tuple[str, ...]) -> dict[str, str]:
        """Return what stands in for each modality that ``case`` lacks: a word of :data:`MissingPolicy`."""
        made = self.plan(case, vocabulary)
        lacking = [name for name in vocabulary if name not in case.modalities]
        return {name: "drop" if self.policy == "synthesised" and name not in made else self.policy for name in lacking}

    def check(self, vocabulary: tuple[str, ...], present: Tensor) -> None:
        """Refuse templates where a modality that is missing has none.

        Raises
        ------
        ConfigError
            In that case; it names the modalities.
        """
        if self.policy != "template":
            return
        known = self.shelf.knows(vocabulary) if self.shelf else [False] * len(vocabulary)
        lacking = [name for name, k, p in zip(vocabulary, known, present.all(dim=0).tolist(), strict=True) if not k | p]
        if lacking:
            raise ConfigError(
                f"these weights hold no template of {', '.join(lacking)}, which a case lacks; pretrain with a recipe "
                "that learns templates, such as brainmvp2025, or predict with --missing drop"
            )

    def fill(
        self, vocabulary: tuple[str, ...], volumes: Tensor, present: Tensor, places: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return volumes and what counts as there, with a stand-in for each modality that is missing.

        Parameters
        ----------
        vocabulary
            The K modalities.
        volumes
            ``(B, K, D, H, W)``, 0 where missing.
        present
            ``(B, K)``.
        places
            ``patch_to_world`` ``(B, 4, 4)``, ``body_box_mm`` ``(B, 2, 3)`` and where the body is ``(B, D, H, W)``.

        Raises
        ------
        ConfigError
            As :meth:`check`.
        """
        if self.policy in ("drop", "synthesised") or bool(present.all()):
            return volumes, present
        self.check(vocabulary, present)
        everything = torch.ones_like(present)
        if self.policy == "zero" or self.shelf is None:
            return volumes, everything
        there = present[:, :, None, None, None].to(volumes.device)
        return torch.where(there, volumes, self.shelf.show(vocabulary, *places).to(volumes)), everything

    def fill_case(
        self, vocabulary: tuple[str, ...], volumes: Tensor, present: Tensor, case: PreparedCase
    ) -> tuple[Tensor, Tensor]:
        """Do as :meth:`fill` for the volumes ``(K, D, H, W)`` of a whole case; ``present`` is ``(K,)``."""
        corners = case.geometry.corners_world()
        places = (
            torch.from_numpy(np.array(case.geometry.affine))[None],
            torch.from_numpy(np.stack([corners.min(axis=0), corners.max(axis=0)]))[None],
            torch.from_numpy(np.array(case.foreground))[None],
        )
        filled, counted = self.fill(vocabulary, volumes[None], present[None], places)
        return filled[0], counted[0]


def missing_from(
    policy: str, weights: Path, generators: Sequence[Path] = (), device: torch.device | None = None
) -> Missing:
    """Return the policy called ``policy`` with the templates that ``weights`` hold, or generators, if it needs them.

    Parameters
    ----------
    policy, weights
        Its name, and where templates lie.
    generators
        Run folders of ``mmssl synthesize train``, asked in this order.
    device
        Where generators go.

    Raises
    ------
    ConfigError
        If there is no such policy, or generators are needed and missing or the other way round.
    CheckpointError
        If the templates are damaged.
    """
    if policy not in get_args(MissingPolicy):
        raise ConfigError(unknown_name("policy for missing modalities", policy, get_args(MissingPolicy)))
    known = cast(MissingPolicy, policy)
    if generators and known != "synthesised":
        raise ConfigError(f"--generators serve --missing synthesised, and {known} was asked for; leave one of them out")
    if known == "synthesised":
        if not generators:
            raise ConfigError(
                "to synthesise what a case lacks takes generators; name them with --generators RUN, "
                "a run folder of mmssl synthesize train"
            )
        where = device or torch.device("cpu")
        return Missing(known, translators=tuple(load_translator(path, where) for path in generators))
    return Missing(known, read_shelf(weights) if known == "template" else None)
