"""Prepare the cases of a training, in each of its processes, and go on without the few that cannot be read."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.errors import ReadError
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.material import Material
from napari_mmssl.workflows.running import Interruption, Listener, telling_progress

if TYPE_CHECKING:
    from napari_mmssl.training.distributed import Ranks

#: Share of the cases that may be unreadable; one always may. More than that is no accident of a file.
_BEARABLE = 0.05


@dataclass(frozen=True)
class Prepared:
    """Prepared cases, and the material without those that could not be read."""

    material: Material
    train: list[PreparedCase]
    validation: list[PreparedCase]


@dataclass
class _LeavingOut:
    """Takes unreadable cases, tells of each, and refuses when they are too many."""

    run: RunFolder
    listener: Listener
    total: int
    ids: list[str] = field(default_factory=list)

    def __call__(self, case: Case, error: ReadError) -> None:
        self.ids.append(case.id)
        if len(self.ids) > max(1, _BEARABLE * self.total):
            raise ReadError(
                f"{len(self.ids)} of {self.total} cases cannot be read, last '{case.id}' ({error}); "
                "see mmssl inspect, and mend or remove them"
            ) from error
        event = {"about": "case", "case": case.id, "text": f"case '{case.id}' is left out: {error}"}
        self.run.emit("warning", **event)
        self.listener({"kind": "warning", **event})


def prepare(
    material: Material,
    run: RunFolder,
    listener: Listener,
    ranks: "Ranks",
    interruption: Interruption,
    *,
    with_label: bool,
) -> Prepared:
    """Return the cases of ``material`` prepared; of several processes on one machine the first works for all.

    An order or a signal ends the training after the case at hand; with several processes at the first step, since the
    others wait for this one.

    Raises
    ------
    ReadError
        If more than one case, and more than one in twenty, cannot be read, or none is left to learn from.
    """
    total = len(material.train) + len(material.validation)

    def called_off() -> bool:
        return ranks.world == 1 and (interruption() or bool(run.pending()))

    tell, leave_out = telling_progress(run, listener, total, called_off), _LeavingOut(run, listener, total)
    for case in (*material.train, *material.validation):
        for finding in case.findings:
            if finding.kind == "unreadable":
                event = {"about": "case", "case": case.id, "text": f"of case '{case.id}' {finding.text}"}
                run.emit("warning", **event)
                listener({"kind": "warning", **event})
    with ranks.first_here_first():
        train, validation = (
            material.prepare(cases, with_label=with_label, progress=tell, unreadable=leave_out)
            for cases in (material.train, material.validation)
        )
    if not train:
        raise ReadError(f"none of the training cases in '{material.cohort.root}' can be read; see mmssl inspect")
    return Prepared(material.without(leave_out.ids), train, validation)
