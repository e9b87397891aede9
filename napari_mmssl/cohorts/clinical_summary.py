"""What a cohort's clinical values are, in a line each: enough to see that a table was read rightly."""

from collections import Counter
from collections.abc import Sequence

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.clinical_columns import CLINICAL_KEYS

_MOST_NAMED = 5


def describe_clinical(cases: Sequence[Case]) -> list[str]:
    """Return a line on each clinical value that any of ``cases`` has: its range, or its words and how often each."""
    met = [key for case in cases for key in case.clinical]
    ordered = [key for key in CLINICAL_KEYS if key in met] + sorted(set(met) - set(CLINICAL_KEYS))
    lines = []
    for key in (key for key in ordered if key != "survival_observed"):
        having = [case for case in cases if key in case.clinical]
        values = [case.clinical[key] for case in having]
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        text = _range(numbers) if len(numbers) == len(values) else _words([str(value) for value in values])
        if key == "survival_days":
            n_alive = sum(case.clinical.get("survival_observed") is False for case in having)
            text += f"; {n_alive} last seen alive" if n_alive else ""
        lines.append(f"{key}: {text} ({len(having)} of {len(cases)} cases)")
    return lines


def _range(numbers: Sequence[float]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _words(words: Sequence[str]) -> str:
    counts = Counter(words).most_common()
    named = ", ".join(f"{word}: {n}" for word, n in counts[:_MOST_NAMED])
    return named + (f" and {len(counts) - _MOST_NAMED} more" if len(counts) > _MOST_NAMED else "")
