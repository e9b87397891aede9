"""Who may use volumes that a network made: pretraining, where it is asked for; nothing downstream, ever.

A synthetic volume says so in its header (:data:`napari_mmssl.volumes.header.SYNTHETIC_MARK`), and says there too
whether it passed the quality gate. What lost that word, by conversion for instance, counts as not having passed.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from napari_mmssl.cohorts.case import Case
from napari_mmssl.errors import ConfigError


def refuse_synthetic(cases: Iterable[Case]) -> None:
    """Refuse cases with a synthetic modality, for everything that learns from labels, is measured, or is drawn.

    Raises
    ------
    ConfigError
        On the first one met.
    """
    for case in cases:
        for name, scan in case.modalities.items():
            if scan.synthetic:
                raise ConfigError(
                    f"'{name}' of case '{case.id}' is synthetic: a network made it, so no downstream task may learn "
                    "from it or be measured on it; use the cohort of real scans, or leave the modality out"
                )


def with_usable(case: Case, use: Literal["refuse", "allow", "all"]) -> Case:
    """Return ``case`` as a pretraining may use it.

    Parameters
    ----------
    use
        ``refuse`` synthetic modalities, ``allow`` those that passed the quality gate and drop the others, or keep
        ``all``.

    Raises
    ------
    ConfigError
        If there is one and they are refused.
    """
    synthetic = [name for name, scan in case.modalities.items() if scan.synthetic]
    if use == "all" or not synthetic:
        return case
    if use == "refuse":
        raise ConfigError(
            f"'{synthetic[0]}' of case '{case.id}' is synthetic: a network made it; set data.synthetic=allow to "
            "pretrain on it, or leave the modality out with --modalities"
        )
    kept = {name: scan for name, scan in case.modalities.items() if not scan.synthetic or scan.passed_gate}
    return replace(case, modalities=kept)
