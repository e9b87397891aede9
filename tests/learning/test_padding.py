"""Why no encoder here pads with zeros: they tell where in a patch a place is, and matches are found by that."""

import numpy as np
import pytest
from torch import nn

from napari_mmssl.training import pretraining

pytestmark = pytest.mark.slow
#: Matches by features alone, between crops cut at random: one in 216 is in the same cell of both by chance.
TOKENS = (
    "data.patch=[24,24,24]",
    "optimisation.learning_rate=3e-3",
    "objectives.cross_modal_triplet.level=2",
    "objectives.neighbourhood_alignment.level=2",
    "objectives.neighbourhood_alignment.reach=0",
)


def padded_with_zeros(build):
    """Return ``build`` with every convolution of its encoders padded by zeros instead of the values at the border."""

    def zeros(*args, **kwargs):
        encoder = build(*args, **kwargs)
        for module in encoder.modules():
            if isinstance(module, nn.Conv3d):
                module.padding_mode = "zeros"
        return encoder

    return zeros


def test_with_zeros_round_a_patch_matches_are_of_places_in_the_patch(train_on, monkeypatch):
    border = train_on("taco2026", *TOKENS, steps=96)
    monkeypatch.setattr(pretraining, "build_encoder", padded_with_zeros(pretraining.build_encoder))
    # The last setting is the recipe's own: it only keeps `train_on` from giving the run above again.
    zeros = train_on("taco2026", *TOKENS, "objectives.auto_encoding.weight=1", steps=96)

    curves = {}
    for name, trained in (("border values", border), ("zeros", zeros)):
        metrics = ("inter_same_cell", "inter_matched", "inter_effective_rank")
        curves[name] = {metric: trained.curve(metric) for metric in metrics}
        print(name, {metric: np.round(curve, 3).tolist() for metric, curve in curves[name].items()})
    assert curves["zeros"]["inter_same_cell"][-1] > 0.5
    assert curves["border values"]["inter_same_cell"][-1] < 0.1
