"""Names of files in BIDS manner: ``sub-01_ses-02_acq-highres_ce-gadolinium_run-1_T1w.nii.gz``.

Which of several files of one modality is meant is decided by what their names say, never by a guess: the one with
the fewest remarks, and of runs that differ in nothing else the first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.found import FoundFile
from napari_mmssl.cohorts.modalities import canonical
from napari_mmssl.volumes.image_files import stem

_ENTITY = re.compile(r"([a-zA-Z]+)-(.+)")
#: What a file is, not which of several it is.
_WHOSE = ("sub", "ses")
_LABEL_SUFFIXES = ("dseg", "mask", "msk", "seg", "roi", "lesion", "label")
#: Words of a brain's outline; it is no label of anything in it.
_BRAIN = ("brain", "brainmask", "head", "bet")
#: Parts of a complex image that show no tissue contrast, and maps of probabilities.
_NOT_MEANT = {("part", "phase"), ("part", "real"), ("part", "imag")}


@dataclass(frozen=True)
class BidsName:
    """What the name of a file says.

    Parameters
    ----------
    path
        The file.
    subject, session
        With ``sub-`` and ``ses-``; ``session`` may be empty.
    remarks
        The other entities, ``(("run", "1"), ...)``.
    suffix
        The word behind the last underscore.
    """

    path: Path
    subject: str
    session: str
    remarks: tuple[tuple[str, str], ...]
    suffix: str

    def remark(self, key: str) -> str:
        """Return what is said under ``key``; ``""`` if nothing is."""
        return dict(self.remarks).get(key, "")


def read_name(path: Path) -> BidsName | None:
    """Return what the name of ``path`` says; ``None`` if it is not in BIDS manner."""
    *parts, suffix = stem(path).split("_")
    found = [_ENTITY.fullmatch(part) for part in parts]
    entities = [(match.group(1).lower(), match.group(2)) for match in found if match]
    whose = dict(entities)
    if "sub" not in whose or len(entities) < len(parts) or _ENTITY.fullmatch(suffix):
        return None
    remarks = tuple(sorted(entity for entity in entities if entity[0] not in _WHOSE))
    session = f"ses-{whose['ses']}" if "ses" in whose else ""
    return BidsName(path, f"sub-{whose['sub']}", session, remarks, suffix)


def modality_of(name: BidsName) -> str | None:
    """Return the modality that suffix and contrast agent tell; ``None`` if none is known or it is a phase image."""
    if set(name.remarks) & _NOT_MEANT or is_label(name):
        return None
    modality = canonical(name.suffix)
    return "t1ce" if modality == "t1" and name.remark("ce") else modality


def is_label(name: BidsName) -> bool:
    """Whether the name says label map; a brain mask is none."""
    suffix = name.suffix.lower()
    return suffix in _LABEL_SUFFIXES and not is_brain_mask(name)


def is_brain_mask(name: BidsName) -> bool:
    """Whether the name says outline of the brain."""
    words = {name.remark("desc").lower(), name.remark("label").lower()}
    return name.suffix.lower() in (*_LABEL_SUFFIXES, "brainmask") and (
        bool(words & set(_BRAIN)) or name.suffix.lower() == "brainmask"
    )


def sort_session(
    names: Sequence[BidsName], derived: Sequence[BidsName] = ()
) -> tuple[dict[str, FoundFile], FoundFile | None, tuple[Finding, ...]]:
    """Return the modalities and the label map of one session, and what was left out.

    Parameters
    ----------
    names
        Its files.
    derived
        Label maps that lie elsewhere.
    """
    by_modality: dict[str, list[BidsName]] = {}
    for name in names:
        modality = modality_of(name)
        if modality is not None:
            by_modality.setdefault(modality, []).append(name)
    modalities: dict[str, FoundFile] = {}
    findings: list[Finding] = []
    for modality, candidates in by_modality.items():
        chosen, told = choose_image(modality, candidates)
        findings += told
        if chosen is not None:
            modalities[modality] = chosen
    label, told = choose_label([*derived, *(name for name in names if is_label(name) or is_brain_mask(name))])
    return modalities, label, (*findings, *told)


def choose_image(modality: str, names: Sequence[BidsName]) -> tuple[FoundFile | None, list[Finding]]:
    """Return the one of ``names`` that is meant, and a finding where others were there; none if it is not clear."""
    fewest = min(len(_telling(name)) for name in names)
    plain = [name for name in names if len(_telling(name)) == fewest]
    if len({_telling(name) for name in plain}) > 1:
        listed = ", ".join(f"'{name.path.name}'" for name in names)
        text = (
            f"{listed} may all be {modality}, and none is used; save a manifest and leave the one that is meant in it"
        )
        return None, [Finding("missing_modality", text)]
    chosen = min(plain, key=lambda name: (_run(name), name.path.name))
    file = FoundFile(chosen.path, why=f"its suffix is {chosen.suffix}" + _agent(chosen))
    if len(names) == 1:
        return file, []
    others = ", ".join(f"'{name.path.name}'" for name in names if name is not chosen)
    how = "the first run" if len(plain) > 1 else "the name with the fewest remarks"
    return file, [Finding("missing_modality", f"{modality}: '{chosen.path.name}' is used, {how}; left out: {others}")]


def choose_label(names: Sequence[BidsName]) -> tuple[FoundFile | None, list[Finding]]:
    """Return the label map if only one of ``names`` can be meant, and findings that name the others."""
    brains = [name for name in names if is_brain_mask(name)]
    findings = [
        Finding("label_candidates", f"'{name.path.name}' is taken for a mask of the brain and left out")
        for name in brains
    ]
    labels = [name for name in names if is_label(name)]
    if len(labels) > 1:
        listed = ", ".join(f"'{name.path.name}'" for name in labels)
        text = f"{listed} may all be the label map, and none is used; save a manifest and leave one of them in it"
        return None, [*findings, Finding("label_candidates", text)]
    if not labels:
        return None, findings
    return FoundFile(labels[0].path, why=f"its suffix is {labels[0].suffix}"), findings


def _telling(name: BidsName) -> tuple[tuple[str, str], ...]:
    return tuple(entity for entity in name.remarks if entity[0] not in ("run", "ce"))


def _run(name: BidsName) -> int:
    run = name.remark("run")
    return int(run) if run.isdigit() else 0


def _agent(name: BidsName) -> str:
    return f", its contrast agent {name.remark('ce')}" if name.remark("ce") else ""
