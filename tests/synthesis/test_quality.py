import numpy as np
import pytest

from napari_mmssl.synthesis.quality import Reference, draw_reference, measure, shortcomings

LIMITS = {"ssim": 0.5, "psnr_db": 14.0, "histogram": 1.5}


@pytest.fixture
def people(rng):
    return [np.concatenate([rng.normal(-1 + shift, 0.3, 4000), rng.normal(0.8, 0.4, 4000)]) for shift in (0, 0.1, 0.3)]


def test_a_real_volume_passes_and_one_of_other_intensities_does_not(people, rng):
    reference = draw_reference(people)
    body = np.ones((20, 20, 20), dtype=bool)
    real_like = rng.permutation(people[1]).reshape(20, 20, 20)
    other = rng.normal(0, 1, (20, 20, 20))
    assert not shortcomings(measure(real_like, body, reference, None), LIMITS, None)
    (reason,) = shortcomings(measure(other, body, reference, None), LIMITS, None)
    assert "histogram" in reason


def test_with_the_real_volume_likeness_decides(people, rng):
    reference = draw_reference(people)
    body = np.ones((16, 16, 16), dtype=bool)
    real = rng.normal(size=(16, 16, 16))
    near, far = real + 0.2 * rng.normal(size=real.shape), rng.normal(size=real.shape)
    assert not shortcomings(measure(near, body, reference, real), LIMITS, None)
    assert [reason.split()[0] for reason in shortcomings(measure(far, body, reference, real), LIMITS, None)] == [
        "ssim",
        "psnr_db",
    ]


def test_a_generator_that_does_no_better_than_copying_fails_all_it_makes():
    quality = {"histogram": 0.5}
    assert not shortcomings(quality, LIMITS, {"ssim": 0.7, "ssim_of_source": 0.4})
    assert "no better" in shortcomings(quality, LIMITS, {"ssim": 0.7, "ssim_of_source": 0.8})[0]
    assert "0.3 only" in shortcomings(quality, LIMITS, {"ssim": 0.3, "ssim_of_source": 0.1})[0]


def test_the_reference_survives_the_card(people):
    reference = draw_reference(people)
    again = Reference.from_table(reference.as_table())
    np.testing.assert_allclose(again.quantiles, reference.quantiles, atol=1e-5)
    assert again.farthest == reference.farthest


def test_one_person_alone_has_a_reference_too(people):
    assert draw_reference(people[:1]).farthest > 0


def test_a_pale_picture_is_measured_as_whoever_prepares_it_sees_it(people, rng):
    reference = draw_reference(people)
    body = np.ones((16, 16, 16), dtype=bool)
    real = rng.normal(size=body.shape)
    bold, pale = (measure(strength * real + 0.5, body, reference, real) for strength in (1.0, 0.2))
    assert bold == pale
    assert pale["ssim"] > 0.99
