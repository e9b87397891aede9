import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.ops.survival_curves import days_at, interval_edges, intervals_of, survival_at_edges

people = st.lists(st.tuples(st.integers(1, 2000), st.booleans()), min_size=1, max_size=60).filter(
    lambda them: any(observed for _, observed in them)
)
curves = st.lists(st.floats(0.01, 0.9), min_size=1, max_size=12)


@given(people=people, most=st.integers(2, 12))
def test_edges_rise_from_0_to_the_last_death_and_every_death_lies_in_its_interval(people, most):
    days, observed = zip(*people, strict=True)
    edges = interval_edges(days, observed, most)
    deaths = [day for day, seen in people if seen]
    assert edges[0] == 0
    assert edges[-1] == max(deaths)
    assert len(edges) - 1 <= most
    assert (np.diff(edges) > 0).all()
    interval, within = intervals_of(days, observed, edges)
    assert set(interval[within]) <= set(range(len(edges) - 1))
    for (day, seen), number in zip(people, interval, strict=True):
        if seen:
            assert edges[number] < day <= edges[number + 1]


def test_half_an_interval_lived_through_counts_as_survived():
    edges = np.array([0.0, 10, 20, 40])
    interval, within = intervals_of([4, 5, 14.9, 15, 30, 100, 100, 10], [0, 0, 0, 0, 0, 0, 1, 1], edges)
    assert interval.tolist() == [0, 1, 1, 2, 3, 3, 3, 0]
    assert within.tolist() == [False] * 7 + [True]


def test_without_a_death_there_are_no_intervals():
    with pytest.raises(ValueError, match="no event"):
        interval_edges([5, 6], [False, False], 4)


@given(hazards=curves, share=st.floats(0.02, 0.98))
def test_at_the_answer_that_share_is_alive(hazards, share):
    edges = np.arange(len(hazards) + 1) * 100.0
    (day,) = days_at(np.array(hazards), edges, [share])
    alive = survival_at_edges(np.array(hazards))
    if day < edges[-1]:
        number = int(day // 100)
        within = alive[number] * (1 - hazards[number]) ** ((day - edges[number]) / 100)
        assert within == pytest.approx(share, rel=1e-6)
    else:
        tail = alive[-1] * (1 - hazards[-1]) ** ((day - edges[-1]) / 100)
        assert tail == pytest.approx(share, rel=1e-6) or day == pytest.approx(10 * edges[-1])


@given(hazards=curves)
def test_fewer_are_alive_later(hazards):
    found = days_at(np.array(hazards), np.arange(len(hazards) + 1) * 50.0, (0.9, 0.75, 0.5, 0.25, 0.1))
    assert (np.diff(found) >= 0).all()
