"""Attention against slow loops and against MONAI's."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.networks.attention import SelfAttention, WindowAttention, from_windows, to_windows
from napari_mmssl.networks.encoders.swin import SwinBlock

edges = st.integers(1, 3)


def slow_window_attention(layer: WindowAttention, places: torch.Tensor) -> torch.Tensor:
    """Return the same place by place: who may see whom is told from coordinates, not from a mask."""
    heads, window = layer.attention.heads, layer.window
    shape = places.shape[1:4]
    shift = [edge // 2 if layer.shifted and size > edge else 0 for size, edge in zip(shape, window, strict=True)]
    width = places.shape[-1] // heads
    answer = torch.zeros_like(places)
    coordinates = list(itertools.product(*[range(size) for size in shape]))

    def cell(place):
        # Windows begin at ``shift``; what lies before it is a window of its own.
        return tuple((at - step) // edge for at, step, edge in zip(place, shift, window, strict=True))

    for n, place in itertools.product(range(len(places)), coordinates):
        seen = [other for other in coordinates if cell(other) == cell(place)]
        query = layer.attention.qkv(places[n][place])[: heads * width].reshape(heads, width)
        keys, values = (
            torch.stack([layer.attention.qkv(places[n][other]) for other in seen])[:, part * heads * width :][
                :, : heads * width
            ].reshape(-1, heads, width)
            for part in (1, 2)
        )
        gathered = []
        for head in range(heads):
            scores = keys[:, head] @ query[head] / math.sqrt(width)
            for row, other in enumerate(seen):
                index = 0
                for at, there, edge in zip(place, other, window, strict=True):
                    index = index * (2 * edge - 1) + (at - there + edge - 1)
                scores[row] = scores[row] + layer.displacement_scores[index, head]
            gathered.append(torch.softmax(scores, dim=0) @ values[:, head])
        answer[n][place] = layer.attention.proj(torch.cat(gathered))
    return answer


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("shape", [(4, 4, 6), (3, 5, 5), (2, 4, 7)])
def test_window_attention_equals_a_slow_loop(shape, shifted):
    torch.manual_seed(0)
    layer = WindowAttention(4, 2, (2, 4, 3), shifted=shifted).double()
    torch.nn.init.normal_(layer.displacement_scores)
    places = torch.randn(2, *shape, 4, dtype=torch.float64)

    with torch.no_grad():
        torch.testing.assert_close(layer(places), slow_window_attention(layer, places))


@pytest.mark.filterwarnings("ignore::FutureWarning:monai.*")
@pytest.mark.parametrize("shifted", [False, True])
def test_a_swin_block_equals_that_of_monai(shifted):
    swin_unetr = pytest.importorskip("monai.networks.nets.swin_unetr")
    torch.manual_seed(0)
    # Sizes that windows divide: elsewhere MONAI lets places look at the zeros it fills up with.
    window, shape = (4, 4, 4), (8, 4, 12)
    ours = SwinBlock(8, 2, window, shifted=shifted)
    theirs = swin_unetr.SwinTransformerBlock(8, 2, window, (2, 2, 2) if shifted else (0, 0, 0))
    renamed = {"attn.relative_position_index": theirs.attn.relative_position_index}
    for name, tensor in ours.state_dict().items():
        name = name.replace("attention.displacement_scores", "attn.relative_position_bias_table")
        name = (
            name.replace("attention.attention.", "attn.")
            .replace("mlp.0", "mlp.linear1")
            .replace("mlp.2", "mlp.linear2")
        )
        renamed[name] = tensor
    theirs.load_state_dict(renamed)
    places = torch.randn(2, *shape, 8)
    size, step = swin_unetr.get_window_size(shape, window, theirs.shift_size)
    mask = swin_unetr.compute_mask(list(shape), size, step, "cpu")

    torch.testing.assert_close(ours(places), theirs(places, mask), atol=1e-5, rtol=1e-5)


def test_attention_equals_the_formula():
    torch.manual_seed(0)
    layer = SelfAttention(6, 2).double()
    rows = torch.randn(2, 5, 6, dtype=torch.float64)

    query, key, value = layer.qkv(rows).split(6, dim=-1)
    heads = [
        torch.softmax(query[..., at] @ key[..., at].mT / math.sqrt(3), dim=-1) @ value[..., at]
        for at in (slice(0, 3), slice(3, 6))
    ]

    torch.testing.assert_close(layer(rows), layer.proj(torch.cat(heads, dim=-1)))


@given(st.tuples(edges, edges, edges), st.tuples(edges, edges, edges))
def test_windows_are_undone(window, cells):
    shape = tuple(edge * n for edge, n in zip(window, cells, strict=True))
    places = torch.arange(2.0 * math.prod(shape)).reshape(2, *shape, 1)

    assert torch.equal(from_windows(to_windows(places, window), window, shape), places)
