import numpy as np
import pytest
from scipy import ndimage

from napari_mmssl.synthesis.quality import (
    Reference,
    draw_reference,
    gradient_magnitudes,
    measure,
    shortcomings,
)
from napari_mmssl.training.synthesis_settings import GateSettings

LIMITS = GateSettings().model_dump()
SHAPE = (20, 20, 20)
BODY = np.linalg.norm(np.indices(SHAPE) - 9.5, axis=0) < 9


def z_scores(volume):
    return np.where(BODY, (volume - volume[BODY].mean()) / volume[BODY].std(), 0.0)


def draw_person(seed):
    """Return two modalities of one anatomy, as z-scores: three tissues, dark to bright and otherwise."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2.5)
    tissue = np.digitize(field, np.quantile(field[BODY], (0.3, 0.75)))
    grain = rng.normal(0, 0.08, (2, *SHAPE))
    scans = [
        np.array(bright)[tissue] + noise for bright, noise in zip(((0.0, 0.5, 2.0), (2, 0.2, 1)), grain, strict=True)
    ]
    return tuple(z_scores(ndimage.gaussian_filter(scan, 0.6)) for scan in scans)


@pytest.fixture(scope="module")
def reference():
    return draw_reference([(draw_person(seed)[1], BODY) for seed in range(5)])


def verdict(made, reference, source):
    return shortcomings(measure(made, BODY, reference, source, None), LIMITS, None)


def test_the_real_partner_passes_and_nothing_else_does(reference):
    source, partner = draw_person(7)
    rng = np.random.default_rng(0)
    shuffled = np.zeros(SHAPE)
    shuffled[BODY] = rng.permutation(partner[BODY])
    smooth = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.2)
    ranks = np.argsort(np.argsort(smooth[BODY]))
    disguised = np.zeros(SHAPE)
    disguised[BODY] = np.sort(partner[BODY])[ranks]

    assert not verdict(partner, reference, source)
    for fake in (rng.normal(size=SHAPE), shuffled, disguised, np.zeros(SHAPE), source, draw_person(8)[1]):
        assert verdict(fake, reference, source)
    recoloured = np.zeros(SHAPE)
    recoloured[BODY] = np.sort(partner[BODY])[np.argsort(np.argsort(-source[BODY]))]
    assert "other shades" in verdict(recoloured, reference, source)[-1]
    assert "edges" in verdict(disguised, reference, source)[-1]
    assert "edges" in verdict(draw_person(8)[1], reference, source)[-1]


def test_what_is_wrong_is_said(reference):
    source, _ = draw_person(7)
    (of_the_source,) = [reason for reason in verdict(source, reference, source) if "intensities" in reason]
    assert "1.5 is allowed" in of_the_source
    assert any(
        "gradients" in reason for reason in verdict(np.random.default_rng(0).normal(size=SHAPE), reference, source)
    )


def test_gradients_are_those_of_a_ramp_and_leave_the_rim_of_the_body_out():
    z, y, _ = np.indices(SHAPE)
    found = gradient_magnitudes(100.0 + 3 * z + 4 * y, BODY)
    np.testing.assert_allclose(found, 5.0)
    assert found.size == ndimage.binary_erosion(BODY).sum()
    sheet = np.zeros(SHAPE, dtype=bool)
    sheet[10] = True
    assert gradient_magnitudes(3.0 * z, sheet).size == 400


def test_with_the_real_volume_likeness_decides(reference):
    rng = np.random.default_rng(1)
    source, real = draw_person(7)
    near, far = real + 0.2 * rng.normal(size=SHAPE), rng.normal(size=SHAPE)
    assert not shortcomings(measure(near, BODY, reference, source, real), LIMITS, None)
    reasons = shortcomings(measure(far, BODY, reference, source, real), LIMITS, None)
    assert [reason.split()[0] for reason in reasons] == ["ssim", "psnr_db"]


def test_a_generator_that_does_no_better_than_copying_fails_all_it_makes():
    quality = {"histogram": 0.5, "gradients": 1.0, "edges": 0.6, "shades": 0.5}
    assert not shortcomings(quality, LIMITS, {"ssim": 0.7, "ssim_of_source": 0.4})
    assert "no better" in shortcomings(quality, LIMITS, {"ssim": 0.7, "ssim_of_source": 0.8})[0]
    assert "0.3 only" in shortcomings(quality, LIMITS, {"ssim": 0.3, "ssim_of_source": 0.1})[0]


def test_the_reference_survives_the_card(reference):
    again = Reference.from_table(reference.as_table())
    for kept, drawn in ((again.intensities, reference.intensities), (again.gradients, reference.gradients)):
        np.testing.assert_allclose(kept.quantiles, drawn.quantiles, atol=1e-5)
        assert kept.farthest == drawn.farthest


def test_generators_from_before_gradients_were_measured_pass_nothing(reference):
    old = Reference.from_table(reference.intensities.as_table())
    source, partner = draw_person(7)
    (reason,) = verdict(partner, old, source)
    assert "train them anew" in reason


def test_one_person_alone_has_a_reference_too():
    alone = draw_reference([(draw_person(0)[1], BODY)])
    assert alone.intensities.farthest > 0
    assert alone.gradients.farthest > 0


def test_a_pale_picture_is_measured_as_whoever_prepares_it_sees_it(reference):
    source, real = draw_person(7)
    made = real + np.random.default_rng(1).normal(0, 0.05, SHAPE)
    bold, pale = (measure(strength * made + 0.5, BODY, reference, source, real) for strength in (1.0, 0.2))
    assert bold == pale
    assert pale["ssim"] > 0.99
