import pytest
import torch
from patch_batches import VOCABULARY, make_batch

from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.objectives.auto_encoding import AutoEncoding, AutoEncodingSettings
from napari_mmssl.objectives.cross_modal_triplet import CrossModalTriplet, CrossModalTripletSettings
from napari_mmssl.objectives.topology_tokens import FIRST, SECOND


def make():
    torch.manual_seed(0)
    encoder = build_encoder("residual_unet", "tiny", 1)
    return encoder, AutoEncoding(AutoEncodingSettings(), encoder, VOCABULARY, (16, 16, 16))


def losses_for(answer_of):
    """Losses when the decoder gives what ``answer_of`` makes of the picture it should give."""
    _, objective = make()
    batch = make_batch((16, 16, 16))
    views = objective.views(batch)
    objective.reconstruct = lambda features, _shape: answer_of(features)
    return objective.losses(batch, views, {name: [views.inputs[name]] for name in (FIRST, SECOND)}), views


def test_a_perfect_picture_costs_nothing_and_the_mean_explains_nothing():
    perfect, _ = losses_for(lambda picture: picture)
    mean, _ = losses_for(lambda picture: picture.mean(dim=(2, 3, 4), keepdim=True).expand_as(picture))

    assert perfect.terms["error"] == 0
    assert perfect.metrics["auto_encoding_explained"] == 1
    assert mean.metrics["auto_encoding_explained"] == pytest.approx(0, abs=1e-6)


def test_the_error_is_the_mean_square_over_all_voxels_of_both_views():
    result, views = losses_for(lambda picture: 0.5 * picture)
    expected = sum((0.5 * views.inputs[name]).double().square().sum() for name in (FIRST, SECOND)) / (2 * 2 * 16**3)

    assert float(result.terms["error"]) == pytest.approx(float(expected), rel=1e-5)


def test_it_takes_the_views_of_the_topology_objectives():
    encoder, objective = make()
    other = CrossModalTriplet(CrossModalTripletSettings(), encoder, VOCABULARY, (16, 16, 16))
    batch = make_batch((16, 16, 16))
    mine, theirs = objective.views(batch), other.views(batch)

    assert mine.inputs.keys() == theirs.inputs.keys()
    assert all(torch.equal(mine.inputs[name], theirs.inputs[name]) for name in mine.inputs)


def test_only_the_deepest_features_reach_the_picture():
    encoder, objective = make()
    batch = make_batch((16, 16, 16))
    views = objective.views(batch)
    features = {
        name: [level.detach().requires_grad_() for level in encoder(views.inputs[name])] for name in views.inputs
    }
    objective.losses(batch, views, features).terms["error"].backward()

    for levels in features.values():
        assert [level.grad is not None for level in levels] == [False, False, False, True]
