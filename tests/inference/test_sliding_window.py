import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.inference.sliding_window import predict_windows

sizes = st.tuples(*[st.integers(1, 20)] * 3)
windows = st.tuples(*[st.integers(1, 9)] * 3)


@given(size=sizes, window=windows, overlap=st.sampled_from([0.0, 0.25, 0.5, 0.7]))
def test_a_constant_network_gives_a_constant(size, window, overlap):
    result = predict_windows(
        lambda x: torch.full((len(x), 2, *x.shape[2:]), 3.5), torch.rand(1, *size), window, overlap=overlap
    )

    assert result.shape == (2, *size)
    torch.testing.assert_close(result, torch.full_like(result, 3.5))


@given(size=sizes, window=windows, batch_size=st.integers(1, 5))
def test_an_identity_network_gives_the_volume_back(size, window, batch_size):
    volume = torch.rand(3, *size)

    torch.testing.assert_close(predict_windows(lambda x: x, volume, window, batch_size=batch_size), volume)


def test_a_pointwise_network_equals_one_pass_over_the_whole():
    volume = torch.rand(2, 17, 13, 21)

    def network(x):
        return torch.sin(3 * x) + x.sum(dim=1, keepdim=True)

    torch.testing.assert_close(predict_windows(network, volume, (8, 8, 8)), network(volume[None])[0])


def test_it_can_be_given_up_between_batches():
    class Enough(Exception):
        pass

    def give_up():
        raise Enough

    with pytest.raises(Enough):
        predict_windows(lambda x: x, torch.rand(1, 8, 8, 8), (4, 4, 4), between=give_up)


def test_an_impossible_overlap_is_refused():
    with pytest.raises(ValueError, match="overlap"):
        predict_windows(lambda x: x, torch.rand(1, 8, 8, 8), (4, 4, 4), overlap=1.0)
