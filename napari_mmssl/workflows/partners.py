"""Write a cohort in which each person has a synthetic partner for each modality that is missing."""

import hashlib
import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmssl import __version__
from napari_mmssl.atomic import write_json, write_text
from napari_mmssl.cohorts.case import Case, Cohort, ScanFile
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.phantom_mark import NOTE_NAME, PHANTOM_MARK
from napari_mmssl.cohorts.prepare import prepare_case
from napari_mmssl.cohorts.reading import read_scan
from napari_mmssl.errors import ConfigError, WriteError
from napari_mmssl.training.run_folder import RunFolder, State
from napari_mmssl.training.weights_cards import read_generators_card, weights_folder
from napari_mmssl.volumes.header import PASSED_WORD, SYNTHETIC_MARK
from napari_mmssl.volumes.image_files import read_header, write_volume
from napari_mmssl.workflows.running import Interruption, Listener, ignore, set_threads, starting

if TYPE_CHECKING:
    from napari_mmssl.inference.translation import Translator

#: Lies at the root of a cohort with synthetic volumes and says how each was made and how good it is.
INDEX_NAME = "synthesis.json"


class _Stopped(Exception):
    """A viewer or a signal ended the work between two windows."""


@dataclass(frozen=True)
class _Source:
    """The weights that volumes are made with, by what identifies them and nobody."""

    method: str
    weights_sha256: str

    def as_table(self) -> dict[str, str]:
        return {"method": self.method, "weights_sha256": self.weights_sha256, "made_by": f"napari-mmssl {__version__}"}


def make_partners(
    path: Path,
    weights: Path,
    out: Path,
    *,
    case_ids: Collection[str] = (),
    also_known: bool = False,
    device: str = "auto",
    listener: Listener = ignore,
    interruption: Interruption | None = None,
) -> RunFolder:
    """Write the cohort ``out``: real volumes as they are, and a synthetic one wherever a generator can fill a gap.

    ``out`` is a run folder and a cohort in one; it holds no label maps and no clinical values, since nothing may
    learn a task from it. Every synthetic file says so in its header, with the gate's verdict, and has a
    ``<modality>.synthetic.json`` beside it; all verdicts are in ``synthesis.json``. None of them names a person or
    a path.

    Parameters
    ----------
    path
        A cohort, one case folder, or one file.
    weights
        Run folder of ``train_generators``, or a weights folder.
    case_ids
        Only these, where given.
    also_known
        Make also what is there; in ``out`` the synthetic volume then takes the place of the real one, and is
        measured against it.
    device, listener, interruption
        As in ``pretrain``.

    Raises
    ------
    MmsslError
        If the weights, the cohort or ``out`` do not do.
    """
    card = read_generators_card(weights)
    cohort = find_cohort(path)
    directions = [(source, target) for source, target in card["directions"]]
    cases = _chosen(cohort, case_ids, {name for pair in directions for name in pair})
    table = {"kind": "synthesize", "path": str(path.resolve()), "weights": str(weights.resolve())}
    with starting(out, "synthesize", table) as run:
        from napari_mmssl.inference.translation import load_translator
        from napari_mmssl.training.device import choose_device

        set_threads()
        translator = load_translator(weights, choose_device(device))
        origin = _Source(translator.method, _fingerprint(weights))
        _keep_phantom_note(cohort, out)
        run.set_status("running", step=0, total=len(cases))
        stop = interruption or Interruption()
        index: dict[str, Any] = {}

        def between() -> None:
            if stop() or run.pending():
                raise _Stopped

        state: State = "done"
        try:
            for number, case in enumerate(cases, start=1):
                index[case.id] = {}
                gaps = [(one, other) for one, other in directions if _is_gap(case, one, other, also_known)]
                made = {target: (source, *_make(translator, case, source, target, between)) for source, target in gaps}
                _write_case(out / case.id, case, made, origin, index[case.id])
                write_json(out / INDEX_NAME, {"format": 1, **origin.as_table(), "cases": index})
                run.set_status("running", step=number, total=len(cases))
                fields = {"step": number, "total": len(cases), "case": case.id, "made": index[case.id]}
                run.emit("step", **fields)
                listener({"kind": "step", **fields})
        except _Stopped:
            state = _answer(run, index)
        except Exception as error:
            run.set_status("failed", reason=str(error))
            run.emit("ended", state="failed", reason=str(error))
            raise
        run.set_status(state, step=len(index), total=len(cases))
        run.emit("ended", state=state, step=len(index))
    return run


def _chosen(cohort: Cohort, case_ids: Collection[str], known: set[str]) -> list[Case]:
    # What is synthetic already is made anew or left behind, never passed on as if it were a source.
    kept = [
        replace(case, modalities={name: scan for name, scan in case.modalities.items() if not scan.synthetic})
        for case in cohort.chosen(case_ids)
    ]
    usable = [case for case in kept if known & set(case.modalities)]
    if not usable:
        raise ConfigError(f"no case has a real {' or '.join(sorted(known))}, from which the generators make the rest")
    return usable


def _is_gap(case: Case, source: str, target: str, also_known: bool) -> bool:
    return source in case.modalities and (also_known or target not in case.modalities)


def _make(translator: "Translator", case: Case, source: str, target: str, between: Any) -> tuple[Any, dict[str, Any]]:
    """Return the volume and how good it is, with the gate's verdict."""
    from napari_mmssl.synthesis.quality import measure, shortcomings

    volume, prepared, made = translator.make_volume(case, source, target, between)
    real = None
    if target in case.modalities and case.modalities[target].geometry.same_grid(case.modalities[source].geometry):
        both = Case(case.id, case.subject, {name: case.modalities[name] for name in (source, target)})
        known = prepare_case(both, translator.spacing_mm, with_label=False)
        if known.geometry.same_grid(prepared.geometry):
            real = known.volumes[known.modalities.index(target)]
    given = np.asarray(prepared.volumes[prepared.modalities.index(source)])
    quality = measure(made, np.asarray(prepared.foreground), translator.references[target], given, real)
    reasons = shortcomings(quality, translator.gate, translator.validated)
    return volume, {"from": source, "quality": quality, "passed": not reasons, "below_gate_because": reasons}


def _write_case(folder: Path, case: Case, made: dict[str, Any], origin: _Source, index: dict[str, Any]) -> None:
    try:
        folder.mkdir()
    except OSError as error:
        raise WriteError(f"cannot make the folder '{folder}': {error.strerror or error}") from error
    for name, scan in case.modalities.items():
        if name not in made:
            write_volume(folder / f"{name}.nii.gz", read_scan(scan), _phantom_words(scan))
    for name, (source, volume, verdict) in made.items():
        word = f" {PASSED_WORD}" if verdict["passed"] else ""
        description = f"{SYNTHETIC_MARK}{word} {name} from {source}, {origin.method} {origin.weights_sha256[:8]}"
        write_volume(folder / f"{name}.nii.gz", volume, description)
        write_json(folder / f"{name}.synthetic.json", {"format": 1, "modality": name, **verdict, **origin.as_table()})
        index[name] = verdict


def _phantom_words(scan: ScanFile) -> str:
    """Return the description of a phantom's file; a real one's may name a person and is left behind."""
    if scan.path.is_dir():
        return ""
    description = read_header(scan.path).description
    return description if description.startswith(PHANTOM_MARK) else ""


def _keep_phantom_note(cohort: Cohort, out: Path) -> None:
    for folder in (cohort.root, cohort.root.parent):
        note = folder / NOTE_NAME
        if note.is_file() and any(finding.kind == "phantom" for case in cohort.cases for finding in case.findings):
            write_text(out / NOTE_NAME, note.read_text(encoding="utf-8"))
            return


def _fingerprint(weights: Path) -> str:
    """Return a hash of the generators' weights, by which those who have them can tell that it was they."""
    told = hashlib.sha256()
    for file in sorted(weights_folder(weights).glob("generator_*.safetensors")):
        told.update(file.read_bytes())
    return told.hexdigest()


def _answer(run: RunFolder, index: dict[str, Any]) -> State:
    """Carry out the orders left in the folder: *cancel* discards what is written, any other keeps it."""
    orders = run.pending()
    cancelled = any(request.order == "cancel" for request in orders)
    unfinished = [case_id for case_id in index if not (run.path / case_id).is_dir()]
    for case_id in list(index) if cancelled else unfinished:
        shutil.rmtree(run.path / case_id, ignore_errors=True)
        del index[case_id]
    if cancelled:
        (run.path / INDEX_NAME).unlink(missing_ok=True)
    for request in orders:
        run.answer(request)
    return "cancelled" if cancelled else "stopped"
