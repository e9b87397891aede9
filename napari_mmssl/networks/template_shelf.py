"""Learned templates by the name of their modality, for fine-tuning and for modalities that are missing."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from napari_mmssl.networks.templates import ModalityTemplates


class TemplateShelf(nn.Module):
    """Frozen templates that pretraining learned.

    Parameters
    ----------
    volumes
        ``(M, d, h, w)`` in the units of the network's input, axes running to S, A, R.
    names
        The modality of each.
    margin
        By what share their grid is larger than the body box, as it was learned.
    """

    def __init__(self, volumes: Tensor, names: Sequence[str], margin: float) -> None:
        super().__init__()
        _, d, h, w = volumes.shape
        self.templates = ModalityTemplates(len(names), (d, h, w), margin=margin)
        with torch.no_grad():
            self.templates.parameter.copy_(volumes)
        self.templates.requires_grad_(False)
        self.names = tuple(names)
        self.margin = margin

    def tensors(self) -> dict[str, Tensor]:
        """Return what is saved; the inverse is :func:`shelf_from`."""
        return {"volumes": self.templates.volumes()}

    def facts(self) -> dict[str, object]:
        """Return what stands on the card beside :meth:`tensors`."""
        return {"modalities": list(self.names), "margin": self.margin}

    def knows(self, vocabulary: Sequence[str]) -> list[bool]:
        """Return for which of ``vocabulary`` there is a template."""
        return [name in self.names for name in vocabulary]

    def show(self, vocabulary: Sequence[str], patch_to_world: Tensor, body_box_mm: Tensor, inside: Tensor) -> Tensor:
        """Return every modality's template where the patches lie, ``(B, K, D, H, W)``.

        It is 0 outside the body, as scans are, and for modalities without a template.

        Parameters
        ----------
        vocabulary
            The K modalities.
        patch_to_world, body_box_mm
            As in :meth:`ModalityTemplates.forward`.
        inside
            Where the body is ``(B, D, H, W)``.
        """
        samples, *shape = inside.shape
        d, h, w = shape
        shown = torch.zeros(samples, len(vocabulary), d, h, w, device=inside.device)
        for channel, name in enumerate(vocabulary):
            if name in self.names:
                which = torch.full((samples,), self.names.index(name))
                shown[:, channel] = self.templates(which, patch_to_world, body_box_mm, (d, h, w))[:, 0]
        return shown * inside.unsqueeze(1)


def shelf_from(tensors: Mapping[str, Tensor], facts: Mapping[str, object]) -> TemplateShelf:
    """Return what :meth:`TemplateShelf.tensors` and :meth:`TemplateShelf.facts` describe."""
    names = facts["modalities"]
    assert isinstance(names, list)
    return TemplateShelf(tensors["volumes"], [str(name) for name in names], float(str(facts["margin"])))
