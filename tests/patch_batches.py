"""Batches of random numbers, for tests of objectives."""

import torch

from napari_mmssl.sampling.batch import PatchBatch

VOCABULARY = ("adc", "flair", "t1")


def make_batch(shape=(18, 20, 22), samples=2, absent=(), seed=0) -> PatchBatch:
    generator = torch.Generator().manual_seed(seed)
    modality = torch.arange(3).repeat(samples, 1)
    for sample, channel in absent:
        modality[sample, channel] = -1
    volumes = torch.randn(samples, 3, *shape, generator=generator) * (modality >= 0)[..., None, None, None]
    return PatchBatch(
        volumes=volumes,
        modality=modality,
        vocabulary=VOCABULARY,
        synthetic=torch.zeros(samples, 3, dtype=torch.bool),
        foreground=torch.ones(samples, *shape, dtype=torch.bool),
        patch_to_world=torch.eye(4, dtype=torch.float64).repeat(samples, 1, 1),
        body_box_mm=torch.tensor([[[0.0, 0, 0], [20, 20, 20]]], dtype=torch.float64).repeat(samples, 1, 1),
        subject=tuple(f"s{n}" for n in range(samples)),
        case=tuple(f"c{n}" for n in range(samples)),
        seed=torch.arange(samples) + 11,
    )
