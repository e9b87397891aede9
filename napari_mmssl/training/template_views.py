"""Two views of each patch in which some modalities are replaced by their learned templates."""

from dataclasses import replace

import numpy as np
import torch

from napari_mmssl.networks.template_shelf import TemplateShelf
from napari_mmssl.randomness import counted_rng
from napari_mmssl.sampling.batch import PatchBatch


def two_views(batch: PatchBatch, shelf: TemplateShelf, most: int) -> PatchBatch:
    """Return the batch twice over: first all first views, then all second ones, ``2 B`` samples.

    In each view up to ``most`` modalities, drawn anew for each, are replaced by their templates, never all. Channel i
    of either view is modality i or its template: the views differ in nothing else. (In the authors' release the two
    views hold different modalities.)

    References
    ----------
    BrainMVP, arXiv:2410.10604, fine-tuning with modality templates.
    """
    shown = shelf.show(batch.vocabulary, batch.patch_to_world, batch.body_box_mm, batch.foreground)
    known = torch.tensor(shelf.knows(batch.vocabulary))
    views = [_replaced(batch, shown, known, most, view) for view in ("first", "second")]
    return replace(
        batch,
        volumes=torch.cat(views),
        modality=torch.cat([batch.modality] * 2),
        synthetic=torch.cat([batch.synthetic] * 2),
        foreground=torch.cat([batch.foreground] * 2),
        patch_to_world=torch.cat([batch.patch_to_world] * 2),
        body_box_mm=torch.cat([batch.body_box_mm] * 2),
        subject=batch.subject * 2,
        case=batch.case * 2,
        seed=torch.cat([batch.seed] * 2),
        label=None if batch.label is None else torch.cat([batch.label] * 2),
    )


def _replaced(batch: PatchBatch, shown: torch.Tensor, known: torch.Tensor, most: int, view: str) -> torch.Tensor:
    volumes = batch.volumes.clone()
    for sample in range(len(batch)):
        rng = counted_rng(int(batch.seed[sample]), purpose=f"templates/{view}")
        there = batch.channels(sample)
        possible = [channel for channel in there if known[channel]]
        count = int(rng.integers(0, min(most, len(there) - 1, len(possible)) + 1))
        for channel in rng.permutation(np.array(possible, dtype=int))[:count]:
            volumes[sample, channel] = shown[sample, channel]
    return volumes
