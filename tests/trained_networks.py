"""Weights folders of segmentation networks that were never trained, for tests of what is done with trained ones."""

from pathlib import Path

import torch

from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.networks.segmentation import SegmentationNetwork
from napari_mmssl.tasks.conventions import LESION, LabelConvention
from napari_mmssl.training.weights_cards import write_card
from napari_mmssl.training.weights_files import write_weights


def write_network(
    folder: Path,
    seed: int = 0,
    modalities: tuple[str, ...] = ("flair", "t1"),
    convention: LabelConvention = LESION,
    **card: object,
) -> Path:
    """Write random weights of a tiny network, with classes about as likely as background, and their card."""
    torch.manual_seed(seed)
    network = SegmentationNetwork(build_encoder("residual_unet", "tiny", len(modalities)), len(convention.classes) + 1)
    with torch.no_grad():
        network.decoder.output.weight.mul_(8)
        network.decoder.output.bias.zero_()
    folder.mkdir(parents=True)
    write_weights(folder, "network", network)
    write_card(
        folder,
        {
            "kind": "finetune",
            "task": "segmentation",
            "convention": convention.as_table(),
            "encoder": {"name": "residual_unet", "size": "tiny", "thick_slices": 0},
            "in_channels": len(modalities),
            "modalities": list(modalities),
            "spacing_mm": (2.0, 2.0, 2.0),
            "patch": (24, 24, 24),
            **card,
        },
    )
    return folder
