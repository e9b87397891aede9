"""Who is learned from and who is held out: decided by seed and name alone, the same in every run."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from napari_mmssl.errors import ConfigError

Group = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Split:
    """The subjects of a cohort in three groups, each sorted by name; no subject is in two."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def group(self, subject: str) -> Group:
        """Return the group ``subject`` is in; ``KeyError`` if it was not split."""
        for name in ("train", "validation", "test"):
            if subject in getattr(self, name):
                return name
        raise KeyError(subject)


def split_subjects(subjects: Iterable[str], seed: int, test: float, validation: float) -> Split:
    """Part subjects into train, validation and test.

    Each subject has a place in an order that depends on ``seed`` and its own name only. The test
    group is taken from the front of that order and validation from its end, so pretraining and
    fine-tuning with one seed hold out the same people, another validation share leaves the test
    group alone, and a subject added later moves at most two others.

    Parameters
    ----------
    subjects
        Names of persons (not of cases: sessions of a person never part); repeated names count once.
    seed
        Another seed gives another split.
    test, validation
        Shares in [0, 1), together below 1. A share above 0 gets at least one subject where three or
        more can be parted. Two subjects give one to train and one to test (to validation if ``test``
        is 0). A single subject is always in train: held out from itself it would measure nothing.

    Raises
    ------
    ConfigError
        If there is no subject or the shares are impossible.
    """
    if not (0 <= test < 1 and 0 <= validation < 1 and test + validation < 1):
        raise ConfigError(
            f"test share {test} and validation share {validation} must be 0 or more and add up to less than 1"
        )
    ordered = _by_hash(subjects, seed, "split")
    if not ordered:
        raise ConfigError("there is no subject to split")
    n_test, n_validation = _group_sizes(len(ordered), test, validation)
    n_kept = len(ordered) - n_validation
    return Split(
        train=tuple(sorted(ordered[n_test:n_kept])),
        validation=tuple(sorted(ordered[n_kept:])),
        test=tuple(sorted(ordered[:n_test])),
    )


def take_fraction(train: Iterable[str], fraction: float, seed: int) -> tuple[str, ...]:
    """Return the part of ``train`` whose labels are used, sorted by name; at least one subject.

    With one seed the parts are nested: a larger fraction holds every subject of a smaller one, so
    that a learning curve adds people and never swaps them.

    Raises
    ------
    ConfigError
        If ``train`` is empty or ``fraction`` is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"label fraction {fraction} must be above 0 and at most 1")
    ordered = _by_hash(train, seed, "label fraction")
    if not ordered:
        raise ConfigError("there is no subject to learn from")
    return tuple(sorted(ordered[: max(1, _nearest(fraction * len(ordered)))]))


def _by_hash(subjects: Iterable[str], seed: int, purpose: str) -> list[str]:
    """Order distinct subjects by a hash; Python's own differs between processes."""

    def place(subject: str) -> str:
        return hashlib.sha256(f"{purpose}/{seed}/{subject}".encode()).hexdigest()

    return sorted(set(subjects), key=place)


def _group_sizes(n: int, test: float, validation: float) -> tuple[int, int]:
    """Return how many of ``n`` subjects go to test and to validation; at least one is left to train."""
    if n == 1:
        return 0, 0
    n_test = max(_nearest(n * test), 1 if test > 0 else 0)
    n_validation = max(_nearest(n * validation), 1 if validation > 0 and (n > 2 or n_test == 0) else 0)
    while n_test + n_validation >= n:
        if n_validation >= n_test:
            n_validation -= 1
        else:
            n_test -= 1
    return n_test, n_validation


def _nearest(x: float) -> int:
    # Not round(): it takes halves to the even number, so 0.5 and 1.5 would give 0 and 2.
    return int(x + 0.5)
