"""Contracts over every registered objective; a new file is covered the day it lands."""

import numpy as np
import pytest
import torch
from patch_batches import VOCABULARY, make_batch
from pretended_device import PretendedGpu

from napari_mmssl.config import as_table, resolve
from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.objectives import objectives

ENTRIES = {entry.name: entry.value for entry in objectives.entries()}


def make(name, shape=(18, 20, 22), encoder="residual_unet"):
    torch.manual_seed(0)
    settings = ENTRIES[name].settings_class()
    channels = {"one": 1, "all": len(VOCABULARY)}[ENTRIES[name].needs(settings).channels]
    encoder = build_encoder(encoder, "tiny", channels)
    return encoder, ENTRIES[name](settings, encoder, VOCABULARY, shape)


def run(name, batch, training=True, encoder="residual_unet"):
    encoder, objective = make(name, tuple(batch.volumes.shape[2:]), encoder)
    objective.train(training)
    views = objective.views(batch)
    return encoder, objective, views, {key: encoder(tensor) for key, tensor in views.inputs.items()}


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize(
    ("encoder", "shape"),
    [
        ("residual_unet", (18, 20, 22)),
        ("residual_unet", (13, 25, 25)),
        ("swin", (18, 20, 22)),
        ("uniformer", (13, 25, 25)),
    ],
)
def test_finite_loss_and_a_gradient_in_the_encoder(name, encoder, shape):
    batch = make_batch(shape)
    encoder, objective, views, features = run(name, batch, encoder=encoder)

    losses = objective.losses(batch, views, features)

    assert losses.terms
    sum(losses.terms.values()).backward()
    assert all(torch.isfinite(term) for term in losses.terms.values())
    assert all(np.isfinite(value) for value in losses.metrics.values())
    assert encoder.stem.weight.grad is not None
    assert encoder.stem.weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_on_a_gpu_nothing_meets_a_tensor_of_the_cpu(name, kind):
    gpu = torch.device(kind)
    with PretendedGpu(kind):
        encoder, objective = make(name)
        encoder.to(gpu)
        objective.to(gpu).train()
        batch = make_batch().to(gpu)
        views = objective.views(batch)
        features = {key: encoder(tensor) for key, tensor in views.inputs.items()}
        losses = objective.losses(batch, views, features)
        assert {term.device for term in losses.terms.values()} == {gpu}
        objective.picture(batch, views, features)


@pytest.mark.parametrize("name", ENTRIES)
def test_bfloat16_as_on_a_gpu_changes_a_loss_little(name):
    batch = make_batch()

    def terms(half):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            _, objective, views, features = run(name, batch)
            objective.picture(batch, views, features)
            return {key: float(term) for key, term in objective.losses(batch, views, features).terms.items()}

    assert terms(half=True) == pytest.approx(terms(half=False), rel=0.02)


@pytest.mark.parametrize("name", ENTRIES)
def test_equal_seeds_give_equal_views_and_touch_no_global_chance(name):
    objective = make(name)[1]
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, other = objective.views(make_batch()), objective.views(make_batch())

    assert all(torch.equal(one.inputs[key], other.inputs[key]) for key in one.inputs)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("name", ENTRIES)
def test_other_seeds_give_other_views(name):
    objective = make(name)[1]
    one, other = make_batch(), make_batch()
    other.seed.add_(5)

    assert any(
        not torch.equal(tensor, objective.views(other).inputs[key])
        for key, tensor in objective.views(one).inputs.items()
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_a_subject_with_absent_modalities_runs(name):
    batch = make_batch(absent=[(0, 1), (1, 0), (1, 2)])
    _, objective, views, features = run(name, batch)

    assert all(torch.isfinite(term) for term in objective.losses(batch, views, features).terms.values())


def test_no_objective_reports_under_the_name_of_another_s_metric():
    batch = make_batch()
    reported = []
    for name in ENTRIES:
        _, objective, views, features = run(name, batch)
        reported += objective.losses(batch, views, features).metrics

    assert sorted(reported) == sorted(set(reported))


@pytest.mark.parametrize("name", ENTRIES)
def test_the_picture_can_be_looked_at(name):
    batch = make_batch()
    with torch.no_grad():
        _, objective, views, features = run(name, batch, training=False)
        items, details = objective.picture(batch, views, features)

    assert len({item.name for item in items}) == len(items) > 1
    for item in items:
        assert item.shows
        assert np.isfinite(item.array).all()
        assert (item.affine is not None) == (item.kind in ("image", "labels", "points", "lines"))
    assert isinstance(details, dict)


@pytest.mark.parametrize("name", ENTRIES)
def test_settings_survive_a_table(name):
    default = ENTRIES[name].settings_class()

    assert resolve(ENTRIES[name].settings_class, as_table(default)) == default
    for field_name, field in type(default).model_fields.items():
        assert field.title, f"{field_name} has no label"
