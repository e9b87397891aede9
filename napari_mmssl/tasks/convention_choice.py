"""Which coding the label maps of a cohort are written in, said with its reason."""

from collections.abc import Collection, Mapping

from napari_mmssl.cohorts.case import Cohort
from napari_mmssl.errors import ConfigError
from napari_mmssl.tasks.label_convention import (
    BRATS_2018,
    BRATS_2023,
    LESION,
    MSD_TASK01,
    PROSTATE_ZONES,
    READY,
    LabelConvention,
    listed,
    one_per_value,
)
from napari_mmssl.volumes.image_files import stem

#: How BraTS 2023 and later name their files.
_SPELLING_2023 = ("-t1n", "-t1c", "-t2w", "-t2f")


def choose_for(cohort: Cohort, values_by_case: Mapping[str, Collection[int]]) -> tuple[LabelConvention, str]:
    """Return the coding of ``cohort``'s label maps, and why; see :func:`choose`."""
    names = {stem(scan.path) for case in cohort.cases for scan in case.modalities.values()}
    return choose(values_by_case, cohort.layout, cohort.modalities, names)


def choose(
    values_by_case: Mapping[str, Collection[int]],
    layout: str,
    modalities: Collection[str] = (),
    file_names: Collection[str] = (),
) -> tuple[LabelConvention, str]:
    """Return the coding that the label maps of a cohort are written in, and why.

    Parameters
    ----------
    values_by_case
        Case id to the label values met in it (0 and empty maps do no harm).
    layout
        Name of the layout the cohort was found in: the same values mean other things in ``brats``
        and ``msd``.
    modalities
        Canonical names of the cohort's modalities.
    file_names
        Names of its scans without their endings: BraTS changed its spelling together with its coding.

    Raises
    ------
    ConfigError
        If no case has a label, or the cases are coded differently; nothing is ever guessed silently.
    """
    by_case = {case: {int(v) for v in values if v != 0} for case, values in values_by_case.items()}
    values = set().union(*by_case.values())
    if not values:
        raise ConfigError("no case of this cohort has a label above 0, so there is nothing to learn from")
    held = f"the label maps hold {listed(values)}"
    if values == {1}:
        return LESION, f"{held} only: label above 0 is the lesion"
    _refuse_different_codings(by_case, values)
    if values <= {1, 2, 4} and 4 in values:
        return BRATS_2018, f"{held}: the coding of BraTS 2018 to 2021, where 4 is enhancing tumour"
    if values <= {1, 2, 3} and file_names and all(name.endswith(_SPELLING_2023) for name in file_names):
        return BRATS_2023, f"{held} and the files are spelled as in BraTS 2023, where 3 is enhancing tumour"
    if values <= {1, 2} and layout == "brats":
        return BRATS_2018, f"{held} and the files are spelled as in BraTS: 1 and 2 mean the same in every year"
    if layout == "msd" and values <= {1, 2, 3} and ({"flair", "t1ce"} <= set(modalities) or not modalities):
        return MSD_TASK01, f"{held} in a cohort of the Medical Segmentation Decathlon with brain sequences (Task01)"
    if layout == "msd" and values == {1, 2} and set(modalities) == {"t2", "adc"}:
        return PROSTATE_ZONES, f"{held} in a cohort of the Medical Segmentation Decathlon with t2 and adc (Task05)"
    return one_per_value(values), f"{held}, which is no coding known here: each value is a class of its own"


def _refuse_different_codings(by_case: Mapping[str, set[int]], values: set[int]) -> None:
    """Refuse cohorts in which one value cannot mean one thing.

    Enhancing tumour is 4 in one coding and 3 in another; and a case that holds 1 alone (or 255, a
    binary mask) beside cases with more values is most likely the whole lesion, drawn in one piece.
    """
    pair = _pair_with_other_codings(by_case, values)
    if pair is None:
        return
    met = " and ".join(f"'{case}' holds {listed(by_case[case])}" for case in pair)
    raise ConfigError(
        f"the label maps of this cohort are coded differently: {met}; pass --regions lesion to take every label "
        f"above 0 as the lesion, or name the one coding they share with --regions ({', '.join(READY)}, values)"
    )


def _pair_with_other_codings(by_case: Mapping[str, set[int]], values: set[int]) -> tuple[str, str] | None:
    with_four = [case for case, met in by_case.items() if 4 in met]
    with_three = [case for case, met in by_case.items() if 3 in met]
    if values <= {1, 2, 3, 4} and with_four and with_three and not set(with_four) & set(with_three):
        return with_four[0], with_three[0]
    for whole in ({1}, {255}):
        drawn_whole = [case for case, met in by_case.items() if met == whole]
        others = [case for case, met in by_case.items() if met and met != whole]
        if drawn_whole and others:
            return others[0], drawn_whole[0]
    return None
