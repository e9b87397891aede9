"""Compare ways of starting a network: same people, same budget, same fine-tuning, paired draws."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_mmssl.atomic import make_folder, write_json, write_text
from napari_mmssl.cohorts.case import Cohort
from napari_mmssl.cohorts.checks.leaks import possible_leaks
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.people import Traits
from napari_mmssl.cohorts.phantom_mark import NOTE_NAME
from napari_mmssl.config import as_table
from napari_mmssl.errors import ConfigError, MmsslError, RunError
from napari_mmssl.training.run_folder import RunFolder, State
from napari_mmssl.workflows.comparison.cells import read_cells, write_cell
from napari_mmssl.workflows.comparison.report import render_html, render_markdown
from napari_mmssl.workflows.comparison.settings import COHORTS, CompareSettings, cell_keys, study_key, study_table
from napari_mmssl.workflows.comparison.tables import Comparison, to_csv
from napari_mmssl.workflows.comparison.trainings import make_cell, with_probes
from napari_mmssl.workflows.leaks import cohort_people
from napari_mmssl.workflows.material import fingerprint
from napari_mmssl.workflows.running import Interruption, Listener, ignore, starting


def compare(
    settings: CompareSettings,
    out: Path,
    *,
    cells: Path | None = None,
    train: bool = True,
    listener: Listener = ignore,
    interruption: Interruption | None = None,
) -> Comparison:
    """Train and measure every cell that is not there yet, and write ``table.csv``, ``summary.json`` and a report.

    The report is there as ``report.html``, with charts, and ``report.md``.

    Parameters
    ----------
    settings
        See :func:`napari_mmssl.workflows.comparison.settings.compare_settings`.
    out
        Run folder of the comparison; the trainings' own lie in ``out/runs``. Given again, it is gone on with.
    cells
        Where the cells lie, one folder per study; ``out/cells`` by default. Cells that were measured elsewhere with
        the same protocol and people count.
    train
        With false nothing is trained: the tables are of the cells that are there.
    listener
        Told of the trainings' events, and ``cell`` with what is done.
    interruption
        Watched between steps.

    Raises
    ------
    MmsslError
        If the cohort, the settings or ``out`` do not do.
    RunFailed
        If a training fails, or on interruption.
    ConfigError
        If nothing is to be trained and no cell is there.
    """
    cohort = find_cohort(settings.cohort)
    others = None if settings.pretrain_cohort is None else find_cohort(settings.pretrain_cohort)
    folders = {name: path.resolve() for name in COHORTS if (path := getattr(settings, name)) is not None}
    if len(set(folders.values())) < len(folders):
        raise ConfigError("people who are measured on would be pretrained on; leave --pretrain-cohort out")
    settings = settings.model_copy(update=folders)
    clinical = settings.task != "segmentation"
    study = study_table(settings, known_by(cohort, clinical=clinical), None if others is None else known_by(others))
    home = (cells or out / "cells") / study_key(study)
    with starting(out, "compare", as_table(settings), resume=_is_comparison(out)) as run:
        run.write_config(as_table(settings))
        make_folder(home)
        write_json(home / "study.json", study)
        keys = list(cell_keys(settings))
        done = read_cells(home, keys)
        notes = tuple(_possible_leaks(cohort, others)) if train else ()
        for note in notes:
            run.emit("warning", text=note)
            listener({"kind": "warning", "text": note})
        stop = _Either(interruption or Interruption(), run)
        run.set_status("running", step=len(done), total=len(keys))
        try:
            for key in keys:
                if train and key not in done:
                    listener({"kind": "cell", "name": key.name, "done": len(done), "total": len(keys)})
                    done[key] = make_cell(settings, cohort, key, out / "runs", listener, stop)
                    write_cell(home, done[key])
                    run.set_status("running", step=len(done), total=len(keys))
                    run.emit("cell", name=key.name, step=len(done), total=len(keys))
                elif train and (told := with_probes(settings, done[key], out / "runs")) is not done[key]:
                    done[key] = told
                    write_cell(home, told)
            if not done:
                raise ConfigError(f"no cell of this study lies in '{home}'; leave --report-only out to measure some")
        except MmsslError as error:
            state: State = "stopped" if stop() else "failed"
            for request in run.pending():
                run.answer(request)
            run.set_status(state, reason=str(error))
            run.emit("ended", state=state, reason=str(error))
            raise
        result = Comparison(settings, study, done, notes)
        write_results(result, out)
        run.set_status("done", step=len(done), total=len(keys))
        run.emit("ended", state="done", step=len(done))
    return result


def write_results(result: Comparison, out: Path) -> None:
    """Write the tables and the report of ``result`` into ``out``."""
    write_text(out / "table.csv", to_csv(result))
    write_json(out / "summary.json", result.to_json())
    write_text(out / "report.html", render_html(result))
    write_text(out / "report.md", render_markdown(result))


def known_by(cohort: Cohort, *, clinical: bool = False) -> dict[str, Any]:
    """Return what the people of ``cohort`` are known by wherever it lies: how a phantom was made, or ids and grids.

    Which formula made a phantom's clinical values counts only where they are learned (``clinical``).
    """
    note = cohort.root / NOTE_NAME
    if note.is_file():
        try:
            table = json.loads(note.read_text(encoding="utf-8"))
            wanted = ("generator", "version", "seed", "cases", "spacing_mm")
            also = {"clinical_version": table.get("clinical_version", 1)} if clinical else {}
            return {"phantom": {name: table[name] for name in wanted} | also}
        except (OSError, ValueError, KeyError, TypeError):
            pass  # a damaged note: known by its grids, as any cohort
    return {"cases": len(cohort.cases), "fingerprint": fingerprint(cohort)}


def _possible_leaks(cohort: Cohort, others: Cohort | None) -> Iterator[str]:
    """Yield a sentence on each person who is there under two names, whom a split may part, or among the others too."""
    people, other_people = (_people(one) if one else [] for one in (cohort, others))
    for case_id, findings in possible_leaks(people, other_people).items():
        yield from (f"'{case_id}' {finding.text}" for finding in findings)


def _people(cohort: Cohort) -> list[Traits]:
    return cohort_people(cohort, [case for case in cohort.cases if case.modalities])


def _is_comparison(out: Path) -> bool:
    if not RunFolder.is_run(out):
        return False
    kind = RunFolder(out).status().get("kind")
    if kind != "compare":
        raise RunError(f"'{out}' is a {kind}, not a comparison; choose another --out")
    return True


class _Either(Interruption):
    """True once the caller is interrupted or an order to stop lies in the folder of the comparison."""

    def __init__(self, first: Interruption, run: RunFolder) -> None:
        super().__init__()
        self._first, self._run = first, run

    def __call__(self) -> bool:
        return self.came or self._first() or bool(self._run.pending())
