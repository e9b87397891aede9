import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.errors import WriteError
from napari_mmssl.inference.sliding_window import finished_slabs, predict_windows

sizes = st.tuples(*[st.integers(1, 20)] * 3)
windows = st.tuples(*[st.integers(1, 9)] * 3)
weightings = st.sampled_from(["gaussian", "constant"])


@given(size=sizes, window=windows, overlap=st.sampled_from([0.0, 0.25, 0.5, 0.7]), weighting=weightings)
def test_a_constant_network_gives_a_constant(size, window, overlap, weighting):
    result = predict_windows(
        lambda x: torch.full((len(x), 2, *x.shape[2:]), 3.5),
        torch.rand(1, *size),
        window,
        overlap=overlap,
        weighting=weighting,
    )

    assert result.shape == (2, *size)
    torch.testing.assert_close(result, torch.full_like(result, 3.5))


@given(size=sizes, window=windows, batch_size=st.integers(1, 50), weighting=weightings)
def test_an_identity_network_gives_the_volume_back(size, window, batch_size, weighting):
    volume = torch.rand(3, *size)

    result = predict_windows(lambda x: x, volume, window, batch_size=batch_size, weighting=weighting)

    torch.testing.assert_close(result, volume)


@given(size=sizes, window=windows, batch_size=st.integers(1, 50))
def test_slabs_cover_the_volume_once(size, window, batch_size):
    count = np.zeros(size, dtype=int)
    for box, slab in finished_slabs(lambda x: x, torch.rand(1, *size), window, batch_size=batch_size):
        count[box] += 1
        assert slab.shape[1:] == count[box].shape

    assert (count == 1).all()


def test_a_pointwise_network_equals_one_pass_over_the_whole():
    volume = torch.rand(2, 17, 13, 21)

    def network(x):
        return torch.sin(3 * x) + x.sum(dim=1, keepdim=True)

    torch.testing.assert_close(predict_windows(network, volume, (8, 8, 8)), network(volume[None])[0])


@pytest.mark.parametrize("weighting", ["gaussian", "constant"])
@pytest.mark.parametrize("overlap", [0.25, 0.6])
@pytest.mark.parametrize("size", [(20, 17, 25), (5, 30, 11)])
def test_it_equals_monai(size, overlap, weighting):
    monai = pytest.importorskip("monai.inferers")
    torch.manual_seed(0)
    network, volume = torch.nn.Conv3d(2, 3, 3, padding=1), torch.randn(2, *size)

    ours = predict_windows(network, volume, (8, 9, 6), overlap=overlap, weighting=weighting, batch_size=3)

    with torch.no_grad():
        wanted = monai.sliding_window_inference(volume[None], (8, 9, 6), 3, network, overlap=overlap, mode=weighting)
    torch.testing.assert_close(ours, wanted[0], atol=1e-5, rtol=0)


def test_windows_that_are_not_needed_are_not_run_and_change_nothing_where_an_answer_is_wanted():
    seen = []

    def network(x):
        seen.append(len(x))
        return x + 1

    needed = torch.zeros(40, 9, 9, dtype=torch.bool)
    needed[18:21, 2:5, 2:5] = True
    volume = torch.rand(1, 40, 9, 9)

    whole = predict_windows(network, volume, (8, 8, 8))
    n_all = sum(seen)
    seen.clear()
    part = predict_windows(network, volume, (8, 8, 8), needed=needed)

    assert sum(seen) < n_all / 2
    torch.testing.assert_close(part[:, needed], whole[:, needed])
    assert not part[:, :8].any()
    assert not part[:, 32:].any()


def test_sums_never_hold_more_than_two_windows_of_the_longest_axis():
    held = []
    for _, slab in finished_slabs(lambda x: x, torch.rand(1, 8, 64, 8), (8, 8, 8)):
        held.append(slab.untyped_storage().nbytes() / 4 / (8 * 8) / 2)  # values and weights

    assert len(held) == 8
    assert max(held) <= 16


@pytest.mark.parametrize("size", [(9, 12, 7), (14, 5, 6), (4, 4, 4), (3, 4, 15)])
def test_an_answer_too_large_for_memory_is_the_same_from_a_file(size):
    volume = torch.rand(2, *size)

    kept = [
        predict_windows(lambda x: x * 2, volume, (4, 4, 4), after=lambda slab: slab + 1, most_bytes=most)
        for most in (0, 1 << 30)
    ]

    assert torch.equal(*kept)
    torch.testing.assert_close(kept[0], volume * 2 + 1)


def test_no_room_for_that_file_is_told_in_a_sentence(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource", reason="file sizes can be limited on Unix only")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(WriteError, match="make room there"):
            predict_windows(lambda x: x, torch.rand(2, 9, 12, 7), (4, 4, 4), most_bytes=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


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
