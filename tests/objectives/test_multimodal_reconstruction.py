"""All modalities as channels, some of them and blocks of the others hidden."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from patch_batches import VOCABULARY, make_batch

from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.objectives import objectives
from napari_mmssl.objectives.multimodal_reconstruction import MultimodalReconstruction

SHAPE = (8, 10, 9)


def make(**changes):
    torch.manual_seed(0)
    settings = MultimodalReconstruction.settings_class(block=(4, 4, 4), **changes)
    encoder = build_encoder("residual_unet", "tiny", len(VOCABULARY))
    return encoder, MultimodalReconstruction(settings, encoder, VOCABULARY, SHAPE)


def looked_at(batch, **changes):
    encoder, objective = make(**changes)
    views = objective.views(batch)
    return objective, views, {name: encoder(tensor) for name, tensor in views.inputs.items()}


def with_seeds(batch, first):
    return replace(batch, seed=torch.arange(len(batch)) + first)


@pytest.mark.parametrize("region", ["all", "hidden", "body"])
def test_the_loss_equals_a_slow_loop(region):
    batch = make_batch(SHAPE, absent=[(0, 1)])
    batch.foreground[0, :3] = False
    objective, views, features = looked_at(batch, region=region, hidden_share=0.6)
    answer = objective.decoder(features["multimodal/blocks"]).detach().double().numpy()

    losses = objective.losses(batch, views, features)

    kept, total, count, judged, wanted = views.memory.kept.numpy(), 0.0, 0, [], defaultdict(list)
    for sample, channel, *voxel in np.ndindex(len(batch), len(VOCABULARY), *SHAPE):
        if batch.modality[sample, channel] < 0:
            continue
        place = (sample, channel, *voxel)
        squared = (answer[place] - float(batch.volumes[place])) ** 2
        hidden, body = not kept[place], bool(batch.foreground[(sample, *voxel)])
        if region == "all" or (region == "hidden" and hidden) or (region == "body" and body):
            total, count = total + squared, count + 1
        if hidden and body:
            judged.append(squared)
            wanted[sample, channel].append(float(batch.volumes[place]))
    assert losses.terms["error"].item() == pytest.approx(total / count, rel=1e-5)
    assert losses.metrics["multimodal_error"] == pytest.approx(np.mean(judged), rel=1e-5)
    apart = np.concatenate([np.square(np.array(values) - np.mean(values)) for values in wanted.values()])
    assert losses.metrics["multimodal_explained"] == pytest.approx(1 - np.mean(judged) / apart.mean(), rel=1e-4)


def test_a_modality_is_always_left_and_what_a_person_lacks_is_never_asked_for():
    numbers = set()
    for first in range(0, 60, 2):
        batch = with_seeds(make_batch(SHAPE, absent=[(0, 1)]), first)
        hidden = looked_at(batch)[1].memory
        assert not hidden.shown[0, 1]
        assert (hidden.shown & ~hidden.there).sum() == 0
        numbers |= {(sample, int(hidden.shown[sample].sum())) for sample in (0, 1)}
    assert numbers == {(0, 1), (0, 2), (1, 1), (1, 2), (1, 3)}


def test_at_most_so_many_modalities_are_hidden_as_is_said():
    batches = [with_seeds(make_batch(SHAPE), first) for first in range(0, 40, 2)]
    shown = torch.cat([looked_at(batch, most_hidden_modalities=1)[1].memory.shown.sum(dim=1) for batch in batches])
    assert set(shown.tolist()) == {2, 3}


def test_what_the_network_sees_is_what_is_shown_at_its_usual_strength():
    batch = make_batch(SHAPE)
    _, views, _ = looked_at(batch)
    hidden, given = views.memory, views.inputs["multimodal/blocks"]

    for sample in range(len(batch)):
        strength = len(VOCABULARY) / int(hidden.shown[sample].sum())
        wanted = batch.volumes[sample] * hidden.kept[sample] * strength
        torch.testing.assert_close(given[sample], wanted)
        for channel in torch.nonzero(~hidden.shown[sample]).flatten():
            assert not given[sample, channel].any()


def test_every_modality_has_blocks_of_its_own():
    _, views, _ = looked_at(make_batch(SHAPE), most_hidden_modalities=0)
    kept = views.memory.kept[0]
    assert not torch.equal(kept[0], kept[1])


def test_it_is_registered_with_a_decoder_that_segmentations_take():
    assert objectives.get("multimodal_reconstruction") is MultimodalReconstruction
    objective = make()[1]
    assert objective.carried_decoder() is objective.decoder
