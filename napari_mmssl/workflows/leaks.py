"""Who was seen by a network: the people of a run, known again by name and by picture."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from napari_mmssl.atomic import write_json
from napari_mmssl.cohorts.case import Case, Cohort
from napari_mmssl.cohorts.checks.voxels import thumbnails
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.image_hash import HASH_VERSION, from_text, to_text
from napari_mmssl.cohorts.names import plain_name
from napari_mmssl.cohorts.people import Traits, hashes, prepared_hashes, same_people, traits
from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.errors import RunError
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.weights_cards import weights_folder
from napari_mmssl.workflows.material import Material

#: File in a run folder with what its people can be known again by.
PEOPLE = "people.json"
_FORMAT = 1
#: Instead of what would tell who somebody is.
_NOBODY = {"cohort": "", "subject": "", "names": []}

Stage: TypeAlias = Literal["pretraining", "fine-tuning"]
Group: TypeAlias = Literal["train", "validation"]


@dataclass(frozen=True, eq=False)
class Seen:
    """A person whom a network saw: when, and whether its weights were fitted to that person."""

    person: Traits
    stage: Stage
    group: Group


def people_of(path: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> list[Traits]:
    """Return the people in a cohort, or those that a run's network and its parents saw.

    Raises
    ------
    LayoutError
        If ``path`` is neither a run folder nor a cohort.
    """
    if RunFolder.is_run(path):
        return [seen.person for seen in seen_people(path)]
    cohort = find_cohort(path)
    return cohort_people(cohort, cohort.cases, progress)


def cohort_people(
    cohort: Cohort, cases: Sequence[Case], progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Traits]:
    """Return the traits of ``cases`` of ``cohort``; a scan whose thumbnail is kept is not read again."""
    by_case = {}
    for n, case in enumerate(cases, start=1):
        by_case[case.id] = hashes(thumbnails(case)[0])
        progress(n, len(cases))
    return traits(cohort, by_case)


def remember_people(
    run: RunFolder,
    stage: Stage,
    cohort: Cohort,
    train: Iterable[PreparedCase],
    validation: Iterable[PreparedCase],
    parents: Iterable[Path] = (),
) -> None:
    """Keep in ``run`` what the people it learns from can be known again by, and those its parents learned from.

    Of prepared cases no scan is read again. The parents' people go along, for when the parents' folders are gone.
    """
    groups: list[tuple[Group, Iterable[PreparedCase]]] = [("train", train), ("validation", validation)]
    seen = [
        Seen(person, stage, group)
        for group, prepared in groups
        for person in traits(cohort, {case.id: prepared_hashes(case) for case in prepared})
    ]
    seen += [one for parent in parents for one in seen_people(parent)]
    _write_people(run.path, [_to_json(one) for one in seen])


def hand_people_on(weights: Path, folder: Path) -> int:
    """Write into ``folder`` by what the people that the network in ``weights`` saw can be known again, and how many.

    Scans alone tell then: names, cases and folders stay behind, and so do people of whom no scan was kept. A hash of a
    name would not do, since names and numbers of patients can be tried one after the other. Nobody, no file.
    """
    seen = [one for one in seen_people(weights) if one.person.hashes]
    # In the order of the hashes, which tells nothing, as that of names does.
    entries = sorted((_to_json(one) | _NOBODY for one in seen), key=lambda entry: json.dumps(entry["hashes"]))
    for number, entry in enumerate(entries, start=1):
        entry["case"] = f"person {number}"
    if entries:
        _write_people(folder, entries)
    return len(entries)


def _write_people(folder: Path, entries: list[dict[str, Any]]) -> None:
    write_json(folder / PEOPLE, {"format": _FORMAT, "hash_version": HASH_VERSION, "cases": entries})


def seen_people(weights: Path) -> list[Seen]:
    """Return whom the network in ``weights`` (a run folder, the weights in one, or what was exported) saw.

    Of runs that kept no ``people.json``, the names of the cases in their ``run.json``; of other weights without it,
    nobody.

    Raises
    ------
    RunError
        If the file is damaged or of a newer version.
    """
    folder = weights if RunFolder.is_run(weights) else weights_folder(weights)
    if RunFolder.is_run(folder.parent):
        folder = folder.parent
    path = folder / PEOPLE
    if not path.is_file():
        return _named_in(RunFolder(folder).provenance()) if RunFolder.is_run(folder) else []
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if table["format"] > _FORMAT:
            raise RunError(f"'{path}' was written by a newer napari-mmssl; update napari-mmssl to use this run")
        known = table["hash_version"] == HASH_VERSION
        return [_from_json(entry, with_hashes=known) for entry in table["cases"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"'{path}' is damaged ({error}); remove it to go by the names in run.json") from error


class SeenBefore:
    """Tell of each case of ``cohort`` whether networks saw that person.

    Parameters
    ----------
    cohort
        Where the cases come from.
    weights
        The networks, as run folders or weights folders.
    """

    def __init__(self, cohort: Cohort, weights: Iterable[Path]) -> None:
        self._cohort = cohort
        self._seen = [one for path in weights for one in seen_people(path)]
        self._pictures = any(one.person.hashes for one in self._seen)

    def matches(self, case: Case) -> list[tuple[Seen, str]]:
        """Return the entries that are the person of ``case``, each with the reason for thinking so.

        Scans are looked at only where pictures of the people seen were kept.
        """
        (person,) = cohort_people(self._cohort, [case]) if self._pictures else traits(self._cohort, {case.id: {}})
        found = same_people([person], [one.person for one in self._seen])
        reasons = {id(match.other): match.reason for match in found}
        return [(one, reasons[id(one.person)]) for one in self._seen if id(one.person) in reasons]

    def record(self, case: Case) -> dict[str, Any]:
        """Return what ``predictions.json`` says of ``case``."""
        found = self.matches(case)
        stages = dict.fromkeys(one.stage for one, _ in found)
        because = dict.fromkeys(f"'{one.person.case_id}' in {one.stage}: {reason}" for one, reason in found)
        return {"trained_on": bool(found), "seen_in": list(stages), "because": list(because)}


def held_out_leaks(material: Material, weights: Path) -> list[str]:
    """Return a sentence on each person of ``material`` that is held out and was seen in pretraining.

    People that pretraining only validated on are no leak into validation: they chose a checkpoint there and do so
    here; into the test group they are.
    """
    before = SeenBefore(material.cohort, [weights])
    sentences = []
    for case in material.cohort.cases:
        group = next((name for name in ("test", "validation") if case.subject in getattr(material.split, name)), None)
        if group is None or not case.modalities:
            continue
        found = [pair for pair in before.matches(case) if group == "test" or pair[0].group == "train"]
        if found:
            seen, reason = found[0]
            sentences.append(
                f"'{case.id}' is held out for {group}, and the pretrained weights were learned from"
                f" '{seen.person.case_id}', which may be the same person ({reason}): what is measured there will look"
                " better than it is"
            )
    return sentences


def _to_json(one: Seen) -> dict[str, Any]:
    return {
        "stage": one.stage,
        "group": one.group,
        "cohort": one.person.cohort,
        "case": one.person.case_id,
        "subject": one.person.subject,
        "names": sorted(one.person.names),
        "hashes": {name: to_text(bits) for name, bits in one.person.hashes.items()},
    }


def _from_json(entry: dict[str, Any], *, with_hashes: bool) -> Seen:
    found = {name: from_text(text) for name, text in entry["hashes"].items()} if with_hashes else {}
    names = frozenset(map(str, entry["names"]))
    person = Traits(str(entry["cohort"]), str(entry["case"]), str(entry["subject"]), names, found)
    return Seen(person, entry["stage"], entry["group"])


def _named_in(origin: dict[str, Any]) -> list[Seen]:
    """Return the cases that a run and its parents list; without ``people.json`` their names are all there is."""
    cohort = origin.get("data", {}).get("folder", "")
    own: Stage = "fine-tuning" if "task" in origin or "convention" in origin else "pretraining"
    used: list[tuple[Stage, dict[str, Any]]] = [(own, origin.get("used", {}))]
    used += [("pretraining", parent.get("used", {})) for parent in origin.get("parents", [])]
    groups: tuple[Group, ...] = ("train", "validation")
    return [
        Seen(Traits(cohort, case_id, case_id, frozenset({plain_name(case_id)})), stage, group)
        for stage, table in used
        for group in groups
        for case_id in table.get(group, [])
    ]
