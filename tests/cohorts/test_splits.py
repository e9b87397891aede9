import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_mmssl.cohorts.splits import Split, split_subjects, take_fraction
from napari_mmssl.errors import ConfigError

people = st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=40)
crowds = st.sets(st.text(min_size=1, max_size=8), min_size=5, max_size=40)
seeds = st.integers(0, 2**32)
shares = st.floats(0, 0.6).filter(lambda share: share == 0 or share > 1e-3)


def groups(split: Split) -> list[set[str]]:
    return [set(split.train), set(split.validation), set(split.test)]


@given(people, seeds, shares, shares)
def test_every_subject_is_in_exactly_one_group(subjects, seed, test, validation):
    assume(test + validation < 1)
    train, held_back, tested = groups(split_subjects(subjects, seed, test, validation))
    assert train | held_back | tested == subjects
    assert len(train) + len(held_back) + len(tested) == len(subjects)
    assert train


@given(people, seeds, shares, shares)
def test_groups_that_were_asked_for_are_not_empty_with_three_subjects(subjects, seed, test, validation):
    assume(test + validation < 1 and len(subjects) >= 3)
    split = split_subjects(subjects, seed, test, validation)
    assert bool(split.test) == (test > 0)
    assert bool(split.validation) == (validation > 0)


@given(crowds, seeds, shares, shares)
def test_group_sizes_are_the_shares(subjects, seed, test, validation):
    assume(test + validation < 0.7)
    split = split_subjects(subjects, seed, test, validation)
    assert abs(len(split.test) - test * len(subjects)) <= 1
    assert abs(len(split.validation) - validation * len(subjects)) <= 1


@given(st.lists(st.sampled_from("abcdefghijk"), min_size=1), seeds, st.randoms())
def test_sessions_and_order_make_no_difference(subjects, seed, random):
    shuffled = subjects * 2
    random.shuffle(shuffled)
    assert split_subjects(shuffled, seed, 0.3, 0.2) == split_subjects(set(subjects), seed, 0.3, 0.2)


@given(crowds, st.text(min_size=1, max_size=8), seeds, shares, shares)
def test_a_new_subject_moves_at_most_two_others(subjects, newcomer, seed, test, validation):
    assume(test + validation < 0.8 and newcomer not in subjects)
    before = split_subjects(subjects, seed, test, validation)
    after = split_subjects(subjects | {newcomer}, seed, test, validation)
    assert sum(before.group(subject) != after.group(subject) for subject in subjects) <= 2


@given(people, seeds, shares)
def test_the_test_group_does_not_depend_on_the_validation_share(subjects, seed, validation):
    assume(validation < 0.6 and len(subjects) >= 3)
    assert split_subjects(subjects, seed, 0.2, validation).test == split_subjects(subjects, seed, 0.2, 0).test


def test_a_seed_gives_this_split_on_every_machine():
    split = split_subjects([f"sub-{n}" for n in range(8)], seed=0, test=0.25, validation=0.125)
    assert split == Split(
        train=("sub-0", "sub-3", "sub-4", "sub-5", "sub-7"),
        validation=("sub-2",),
        test=("sub-1", "sub-6"),
    )


def test_the_split_does_not_depend_on_the_process():
    code = (
        "from napari_mmssl.cohorts.splits import split_subjects;"
        "print(split_subjects(['a', 'b', 'c', 'd', 'e'], 3, 0.4, 0.2))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{split_subjects('abcde', 3, 0.4, 0.2)}\n"}


def test_another_seed_gives_another_split():
    subjects = [f"sub-{n}" for n in range(20)]
    assert len({split_subjects(subjects, seed, 0.2, 0.1).test for seed in range(10)}) > 5


def test_two_subjects_are_one_to_learn_from_and_one_to_test():
    split = split_subjects(["a", "b"], 0, 0.2, 0.1)
    assert (len(split.train), len(split.validation), len(split.test)) == (1, 0, 1)
    assert len(split_subjects(["a", "b"], 0, 0, 0.1).validation) == 1


def test_a_single_subject_is_learned_from():
    assert split_subjects(["a"], 0, 0.2, 0.1) == Split(("a",), (), ())


@pytest.mark.parametrize(("test", "validation"), [(-0.1, 0.1), (0.5, 0.5), (1.0, 0.0), (float("nan"), 0.1)])
def test_impossible_shares_are_refused(test, validation):
    with pytest.raises(ConfigError, match="share"):
        split_subjects("abc", 0, test, validation)


def test_an_empty_cohort_is_refused():
    with pytest.raises(ConfigError, match="no subject"):
        split_subjects([], 0, 0.2, 0.1)


def test_an_unknown_subject_has_no_group():
    with pytest.raises(KeyError):
        split_subjects("abc", 0, 0.3, 0.3).group("z")


@given(people, seeds, st.floats(0.01, 1), st.floats(0.01, 1))
def test_fractions_are_nested_and_of_the_right_size(subjects, seed, one, other):
    small, large = (take_fraction(subjects, fraction, seed) for fraction in sorted((one, other)))
    assert set(small) <= set(large) <= subjects
    assert len(small) >= 1
    assert abs(len(large) - max(one, other) * len(subjects)) <= 0.5 or len(large) == 1
    assert take_fraction(subjects, 1.0, seed) == tuple(sorted(subjects))


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.01, float("nan")])
def test_impossible_fractions_are_refused(fraction):
    with pytest.raises(ConfigError, match="label fraction"):
        take_fraction("abc", fraction, 0)
