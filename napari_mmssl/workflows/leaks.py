"""Who was seen by a network: the people of a run, known again by name and by picture."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from napari_mmssl.atomic import write_json
from napari_mmssl.cohorts.case import Case, Cohort
from napari_mmssl.cohorts.checks.voxels import thumbnails
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.image_hash import HASH_VERSION, from_text, to_text
from napari_mmssl.cohorts.people import Traits, hashes, plain_name, prepared_hashes, same_people, traits
from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.errors import RunError
from napari_mmssl.training.run_folder import RunFolder

#: File in a run folder with what its people can be known again by.
PEOPLE = "people.json"
_FORMAT = 1

Stage: TypeAlias = Literal["pretraining", "fine-tuning"]
STAGES: tuple[Stage, ...] = get_args(Stage)


def people_of(path: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> list[Traits]:
    """Return the people in a cohort, or those that a run's network and its parents saw.

    Raises
    ------
    LayoutError
        If ``path`` is neither a run folder nor a cohort.
    """
    if RunFolder.is_run(path):
        return [person for person, _ in seen_people(path)]
    return cohort_people(find_cohort(path), progress)


def cohort_people(
    cohort: Cohort,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cases: Sequence[Case] | None = None,
) -> list[Traits]:
    """Return the traits of ``cases`` of ``cohort`` (of all of them, if not said); their scans are read at most once."""
    chosen = cohort.cases if cases is None else tuple(cases)
    by_case = {}
    for n, case in enumerate(chosen, start=1):
        by_case[case.id] = hashes(thumbnails(case)[0])
        progress(n, len(chosen))
    wanted = {case.id for case in chosen}
    return [one for one in traits(cohort, by_case) if one.case_id in wanted]


def material_people(cohort: Cohort, prepared: Iterable[PreparedCase]) -> list[Traits]:
    """Return the traits of cases that are prepared already, so that no scan is read again."""
    by_case = {case.id: prepared_hashes(case) for case in prepared}
    return [one for one in traits(cohort, by_case) if one.case_id in by_case]


def remember_people(run: RunFolder, stage: Stage, people: Iterable[Traits], parents: Iterable[Path] = ()) -> None:
    """Keep in ``run`` what the people it learns from can be known again by, and those its parents learned from.

    They are needed when the parents' folders are gone; names and hashes tell no more than the scans' own file names.
    """
    seen = [(one, stage) for one in people] + [pair for parent in parents for pair in seen_people(parent)]
    cases = [
        {
            "stage": where,
            "cohort": one.cohort,
            "case": one.case_id,
            "subject": one.subject,
            "names": sorted(one.names),
            "hashes": {name: to_text(bits) for name, bits in one.hashes.items()},
        }
        for one, where in seen
    ]
    write_json(run.path / PEOPLE, {"format": _FORMAT, "hash_version": HASH_VERSION, "cases": cases})


def seen_people(weights: Path) -> list[tuple[Traits, Stage]]:
    """Return whom the network in ``weights`` (a run folder, or the weights in one) saw, and when.

    Of runs that kept no ``people.json``, the names of the cases in their ``run.json``; of weights without a run,
    nobody.

    Raises
    ------
    RunError
        If the file is damaged or of a newer version.
    """
    folder = weights if RunFolder.is_run(weights) else weights.parent
    path = folder / PEOPLE
    if not path.is_file():
        return _named_in(RunFolder(folder).provenance()) if RunFolder.is_run(folder) else []
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        known = table["hash_version"] == HASH_VERSION
        seen = [(_from_json(entry, with_hashes=known), entry["stage"]) for entry in table["cases"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"'{path}' is damaged ({error}); remove it to go by the names in run.json") from error
    if table["format"] > _FORMAT:
        raise RunError(f"'{path}' was written by a newer napari-mmssl; update napari-mmssl to use this run")
    return seen


def seen_before(weights: Path, people: Iterable[Traits]) -> dict[str, dict[Stage, str]]:
    """Return by case id in which stages the network saw that person, and the reason for thinking so.

    Cases of people that the network did not see are not in it.
    """
    people = list(people)
    found: dict[str, dict[Stage, str]] = {}
    seen = seen_people(weights)
    for stage in STAGES:
        for match in same_people(people, [one for one, where in seen if where == stage]):
            found.setdefault(match.one.case_id, {}).setdefault(
                stage, f"'{match.other.case_id}' was in {stage}: {match.reason}"
            )
    return found


def _from_json(entry: dict[str, Any], *, with_hashes: bool) -> Traits:
    found = {name: from_text(text) for name, text in entry["hashes"].items()} if with_hashes else {}
    return Traits(entry["cohort"], entry["case"], entry["subject"], frozenset(entry["names"]), found)


def _named_in(origin: dict[str, Any]) -> list[tuple[Traits, Stage]]:
    """Return the cases that a run and its parents list; without ``people.json`` their names are all there is."""
    cohort = origin.get("data", {}).get("folder", "")
    stage: Stage = "fine-tuning" if "convention" in origin else "pretraining"
    used: list[tuple[Stage, dict[str, Any]]] = [(stage, origin.get("used", {}))]
    used += [("pretraining", parent.get("used", {})) for parent in origin.get("parents", [])]
    return [
        (Traits(cohort, case_id, case_id, frozenset({plain_name(case_id)})), where)
        for where, groups in used
        for case_id in (*groups.get("train", []), *groups.get("validation", []))
    ]
