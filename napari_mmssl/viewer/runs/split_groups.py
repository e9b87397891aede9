"""Who is learned from and who is held out, for the table of cases. Knows no Qt and no napari."""

from pathlib import Path

from napari_mmssl.cohorts.case import Cohort
from napari_mmssl.cohorts.splits import split_subjects
from napari_mmssl.errors import MmsslError
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.settings import DataSettings


def groups_of(cohort: Cohort, run: Path | None = None) -> tuple[dict[str, str], str]:
    """Return subject -> ``train``, ``validation`` or ``test``, and a sentence on where that is from.

    Parameters
    ----------
    cohort
        Whose subjects.
    run
        A run; its own split counts if it holds all subjects of ``cohort``. Otherwise it is the split that a training
        with seed 0 and the usual shares would make.
    """
    subjects = {case.subject for case in cohort.cases}
    taken = _split_in(run)
    if subjects <= set(taken) and run is not None:
        return taken, f"split of the run '{run.name}'"
    shares = DataSettings()
    split = split_subjects(subjects, 0, shares.test_share, shares.validation_share)
    return {subject: split.group(subject) for subject in subjects}, "split that a training with seed 0 makes"


def _split_in(run: Path | None) -> dict[str, str]:
    if run is None:
        return {}
    try:
        split = RunFolder.open(run).provenance().get("split", {})
    except MmsslError:
        return {}
    return {str(subject): str(group) for group, members in split.items() for subject in members}
