"""Which coding the label maps of a cohort are written in, said with its reason."""

from collections.abc import Collection, Mapping

from napari_mmssl.cohorts.case import Cohort
from napari_mmssl.errors import ConfigError
from napari_mmssl.tasks.label_convention import (
    BRATS_2018,
    BRATS_2023,
    BRATS_2024,
    BRATS_PED_2024,
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
    return choose(values_by_case, cohort.layout, cohort.modalities, names, cohort.label_names, cohort.label_coding)


def choose(
    values_by_case: Mapping[str, Collection[int]],
    layout: str,
    modalities: Collection[str] = (),
    file_names: Collection[str] = (),
    label_names: Mapping[int, str] | None = None,
    label_coding: str = "",
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
    label_names
        What the cohort itself says that its values mean.
    label_coding
        Which known coding the cohort itself says that it is in; the empty string if it says nothing.

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
    if label_coding in READY and values <= set(READY[label_coding].claimed):
        return READY[label_coding], f"{held}, and the cohort says that they are coded as {label_coding}"
    if values == {1} and not label_names:
        return LESION, f"{held} only: label above 0 is the lesion"
    later = _brats_since_2023(values, file_names)
    if later is not None:
        _refuse_drawn_whole(by_case)
        return later[0], f"{held} and {later[1]}"
    task = _decathlon(values, modalities) if layout == "msd" else None
    if task is not None:
        return task[0], f"{held} in a cohort of the Medical Segmentation Decathlon with {task[1]}"
    if label_names and values <= set(label_names):
        return one_per_value(values, label_names), f"{held}, and the cohort names them: {_said(values, label_names)}"
    _refuse_different_codings(by_case, values)
    if values <= {1, 2, 4} and 4 in values:
        return BRATS_2018, f"{held}: the coding of BraTS 2018 to 2021, where 4 is enhancing tumour"
    if values <= {1, 2} and layout == "brats":
        return BRATS_2018, f"{held} and the files are spelled as in BraTS: 1 and 2 mean the same in every year"
    return one_per_value(values), f"{held}, which is no coding known here: each value is a class of its own"


def _brats_since_2023(values: set[int], file_names: Collection[str]) -> tuple[LabelConvention, str] | None:
    """Return the coding of files spelled as BraTS spells them since 2023, and why; ``None`` for others."""
    if not file_names or not all(name.endswith(_SPELLING_2023) for name in file_names) or not values <= {1, 2, 3, 4}:
        return None
    n_children = sum("-ped-" in name.lower() for name in file_names)
    if 0 < n_children < len(file_names) and (4 in values or 3 in values):
        raise ConfigError(
            "BraTS codes the tumours of children (BraTS-PED) and of adults differently; use a folder for each, or pass "
            "--regions lesion to take every label above 0 as the lesion"
        )
    if n_children:
        if 4 in values:
            return (
                BRATS_PED_2024,
                "the files are spelled as in BraTS-PED 2024, where 1 is enhancing tumour, 4 oedema",
            )
        why = "BraTS-PED coded them one way in 2023 and another in 2024; pass --regions brats2023 or brats_ped2024"
        return one_per_value(values), f"{why}. Until then each value is a class of its own"
    if 4 in values:
        return (
            BRATS_2024,
            "the files are spelled as in BraTS 2024, where 3 is enhancing tumour, 4 a resection cavity",
        )
    return BRATS_2023, "the files are spelled as in BraTS 2023, where 3 is enhancing tumour"


def _decathlon(values: set[int], modalities: Collection[str]) -> tuple[LabelConvention, str] | None:
    if values <= {1, 2, 3} and ({"flair", "t1ce"} <= set(modalities) or not modalities):
        return MSD_TASK01, "brain sequences (Task01)"
    if values == {1, 2} and set(modalities) == {"t2", "adc"}:
        return PROSTATE_ZONES, "t2 and adc (Task05)"
    return None


def _said(values: set[int], names: Mapping[int, str]) -> str:
    return ", ".join(f"{value} {names[value]}" for value in sorted(values))


def _refuse_different_codings(by_case: Mapping[str, set[int]], values: set[int]) -> None:
    """Refuse cohorts in which one value cannot mean one thing: enhancing tumour is 4 in one coding and 3 in another."""
    with_four = [case for case, met in by_case.items() if 4 in met]
    with_three = [case for case, met in by_case.items() if 3 in met]
    if values <= {1, 2, 3, 4} and with_four and with_three and not set(with_four) & set(with_three):
        _refuse(by_case, with_four[0], with_three[0])
    _refuse_drawn_whole(by_case)


def _refuse_drawn_whole(by_case: Mapping[str, set[int]]) -> None:
    """Refuse a case that holds 1 alone (or 255, a binary mask) beside cases with more values.

    Most likely it is the whole lesion, drawn in one piece.
    """
    for whole in ({1}, {255}):
        drawn_whole = [case for case, met in by_case.items() if met == whole]
        others = [case for case, met in by_case.items() if met and met != whole]
        if drawn_whole and others:
            _refuse(by_case, others[0], drawn_whole[0])


def _refuse(by_case: Mapping[str, set[int]], *pair: str) -> None:
    met = " and ".join(f"'{case}' holds {listed(by_case[case])}" for case in pair)
    raise ConfigError(
        f"the label maps of this cohort are coded differently: {met}; pass --regions lesion to take every label "
        f"above 0 as the lesion, or name the one coding they share with --regions ({', '.join(READY)}, values)"
    )
