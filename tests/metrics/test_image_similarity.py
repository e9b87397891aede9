import numpy as np
import pytest
from scipy.stats import wasserstein_distance
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_mmssl.metrics.image_similarity import histogram_distance, intensity_quantiles, psnr, ssim, ssim_map


@pytest.mark.parametrize("shape", [(11, 12, 15), (16, 17)])
def test_ssim_and_psnr_agree_with_scikit_image(rng, shape):
    one = rng.normal(size=shape)
    other = 0.7 * one + 0.4 * rng.normal(size=shape) + 0.1
    _, expected = structural_similarity(
        one, other, data_range=6.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    np.testing.assert_allclose(ssim_map(one, other, 6.0), expected, atol=1e-9)
    assert psnr(one, other, 6.0) == pytest.approx(peak_signal_noise_ratio(one, other, data_range=6.0))


def test_equal_volumes_are_as_alike_as_can_be_and_noise_makes_them_less_so(rng):
    one = rng.normal(size=(10, 10, 10))
    assert ssim(one, one, 5.0) == pytest.approx(1)
    assert psnr(one, one, 5.0) == np.inf
    noisy = [one + level * rng.normal(size=one.shape) for level in (0.1, 0.5, 2.0)]
    assert np.all(np.diff([ssim(one, other, 5.0) for other in noisy]) < 0)
    assert np.all(np.diff([psnr(one, other, 5.0) for other in noisy]) < 0)


def test_a_mask_leaves_out_what_lies_beyond_it(rng):
    one = rng.normal(size=(12, 12, 12))
    other = one.copy()
    other[:2] += 9
    mask = np.zeros(one.shape, dtype=bool)
    mask[9:] = True
    assert ssim(one, other, 5.0, mask) == pytest.approx(1)
    assert psnr(one, other, 5.0, mask) == np.inf
    assert np.isnan(ssim(one, other, 5.0, np.zeros_like(mask)))
    assert np.isnan(psnr(one, other, 5.0, np.zeros_like(mask)))


def test_the_histogram_distance_is_wassersteins(rng):
    one, other = rng.normal(size=60_000), 0.5 * rng.gamma(2.0, size=50_000) - 1
    found = histogram_distance(intensity_quantiles(one), intensity_quantiles(other))
    assert found == pytest.approx(wasserstein_distance(one, other), rel=0.03)
    assert histogram_distance(intensity_quantiles(one), intensity_quantiles(one + 0.25)) == pytest.approx(0.25)


@pytest.mark.parametrize(("other", "data_range"), [(np.zeros((3, 3, 4)), 1.0), (np.zeros((3, 3, 3)), 0.0)])
def test_what_cannot_be_compared_is_refused(other, data_range):
    with pytest.raises(ValueError, match=r"cannot be compared|must be positive"):
        ssim(np.zeros((3, 3, 3)), other, data_range)
