"""Tell the files of one case apart by their names: which is which modality, which is the label map."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.found import FoundCase, FoundFile, session_of, subject_of
from napari_mmssl.cohorts.modalities import canonical
from napari_mmssl.errors import LayoutError
from napari_mmssl.volumes.image_files import is_image, stem

#: Say how a file was treated or cut out, not what it shows.
_TREATMENT = re.compile(r"bias|unstripped|preprocessed|slice\d+", re.IGNORECASE)
_LABEL = re.compile(r".*(?:seg|segm|segmentation|mask|msk|labels?|truth)|gt|gtv|roi|lesions?", re.IGNORECASE)
_BRAIN_MASKS = ("brainmask", "brainmsk", "maskbrain", "brainseg", "brainsegmentation", "brainparenchymasegmentation")
#: Names of folders that number a visit; the folder above is then the person.
_VISIT = re.compile(r"(?:ses|session|visit|week|day|month|tp|timepoint|baseline|followup)[-_ ]?\w*", re.IGNORECASE)
_MOST_WORDS = 3
_LABEL_WHY = "a word of its name says that it is a label map"


@dataclass(frozen=True)
class _Named:
    """A file and the words of its name, without those that all files of the case share."""

    path: Path
    words: tuple[str, ...]
    treated: bool


def images_in(folder: Path) -> list[Path]:
    """Return the image files that lie in ``folder`` itself, sorted; hidden ones do not count.

    Raises
    ------
    LayoutError
        If the folder cannot be listed.
    """
    return [path for path, is_folder in _list(folder) if is_image(path) and not is_folder]


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in ``folder``, sorted; hidden ones, and those closed to us, do not count.

    Raises
    ------
    LayoutError
        If the folder cannot be listed.
    """
    return [path for path in _all_folders_in(folder) if _may_list(path)]


def closed_folders_in(folder: Path) -> list[Path]:
    """Return the folders in ``folder`` that may not be looked into, such as ``lost+found``.

    Raises
    ------
    LayoutError
        If ``folder`` itself cannot be listed.
    """
    return [path for path in _all_folders_in(folder) if not _may_list(path)]


def is_visit(name: str) -> bool:
    """Whether ``name`` numbers a visit (``ses-02``, ``week-044``), not a person."""
    return _VISIT.fullmatch(name) is not None


def own_name(folder: Path) -> str:
    """Return the name of ``folder``, also where it is written as ``.``; a link keeps the name it has here."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name


def case_folders(root: Path) -> Iterator[tuple[str, Path, list[Path]]]:
    """Yield the folders that hold image files, as ``(group, folder, image files)``.

    ``root`` itself if it holds some; otherwise the folders in it and, where those hold none, the folders one level
    further down (``HGG/<case>``, ``<site>/<case>``, ``<person>/<visit>``), with the folder between as their group.
    """
    images = images_in(root)
    if images:
        yield "", root, images
        return
    for folder in folders_in(root):
        images = images_in(folder)
        if images:
            yield "", folder, images
        else:
            yield from ((folder.name, below, inside) for below in folders_in(folder) if (inside := images_in(below)))


def read_case_folder(folder: Path, group: str, images: Sequence[Path]) -> FoundCase:
    """Return the case that the image files of ``folder`` make up, going by their names.

    A visit's folder (``ses-02``, ``week-044``) takes the name of the folder above it in front.
    """
    name = own_name(folder)
    person, session = subject_of(name), session_of(name)
    if group and is_visit(name):
        name, person, session = f"{group}_{name}", group, name
    modalities, label, findings = sort_files(images, own_name(folder))
    return FoundCase(name, person, modalities, label, findings=findings, group=group, session=session)


def sort_files(
    files: Sequence[Path], case_name: str
) -> tuple[dict[str, FoundFile], FoundFile | None, tuple[Finding, ...]]:
    """Tell modalities and label map apart by name.

    Parameters
    ----------
    files
        Image files of one case.
    case_name
        Words that may stand before the modality in each name.

    Returns
    -------
    Canonical modality to file; the label map if only one file can be meant; what was left out and why.
    """
    images: dict[str, list[_Named]] = {}
    labels: list[_Named] = []
    findings: list[Finding] = []
    for named in _without_shared_words(files, case_name):
        modality = _modality(named)
        if _is_label(named, modality):
            labels.append(named)
        elif modality is None:
            findings.append(
                Finding(
                    "missing_modality", f"'{named.path.name}' is left out: its name ends in no modality that is known"
                )
            )
        else:
            images.setdefault(modality, []).append(named)
    modalities = {}
    for modality, candidates in images.items():
        chosen, finding = _choose_image(modality, candidates)
        findings += finding
        if chosen is not None:
            modalities[modality] = FoundFile(chosen, why=f"its name ends like {modality}")
    label, finding = _choose_label(labels)
    return modalities, label, (*findings, *finding)


def _all_folders_in(folder: Path) -> list[Path]:
    return [path for path, is_folder in _list(folder) if is_folder and not path.name.startswith(".")]


def _may_list(folder: Path) -> bool:
    try:
        with os.scandir(folder):
            return True
    except OSError:
        return False


def _list(folder: Path) -> list[tuple[Path, bool]]:
    """Return what lies in ``folder`` and whether it is a folder itself, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            met = sorted((entry.name, _is_folder(entry)) for entry in entries)
            return [(folder / name, is_folder) for name, is_folder in met]
    except OSError as error:
        raise LayoutError(f"cannot look into '{folder}': {(error.strerror or str(error)).lower()}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to where we may not look
        return False


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[^A-Za-z0-9*]+", text) if word]


def _without_shared_words(files: Sequence[Path], case_name: str) -> list[_Named]:
    names = [_words(stem(path)) for path in files]
    prefixes = [_lower(_words(case_name)), _shared_start([_lower(name) for name in names])]
    result = []
    for path, name in zip(files, names, strict=True):
        fitting = [p for p in prefixes if len(p) < len(name) and _lower(name[: len(p)]) == p]
        words = name[max(map(len, fitting), default=0) :]
        n_treated = 0
        while n_treated < len(words) - 1 and _TREATMENT.fullmatch(words[-1 - n_treated]):
            n_treated += 1
        result.append(_Named(path, tuple(words[: len(words) - n_treated]), n_treated > 0))
    return result


def _shared_start(names: list[list[str]]) -> list[str]:
    """Return the words with which every name starts, up to one that may itself be a modality or a label."""
    shared = []
    for words in zip(*names, strict=False):
        if len(set(words)) > 1 or canonical(words[0]) or _LABEL.fullmatch(words[0]):
            break
        shared.append(words[0])
    return shared if len(names) > 1 else []


def _lower(words: Sequence[str]) -> list[str]:
    return [word.lower() for word in words]


def _modality(named: _Named) -> str | None:
    """Return the modality that the last words of a name spell; the longest spelling counts (``T2 FLAIR``)."""
    for n in range(min(_MOST_WORDS, len(named.words)), 0, -1):
        found = canonical("".join(named.words[-n:]))
        if found is not None:
            return found
    return None


def _is_plain(named: _Named, modality: str) -> bool:
    return canonical("".join(named.words)) == modality and not named.treated


def _is_label(named: _Named, modality: str | None) -> bool:
    if modality is None:
        return any(_LABEL.fullmatch(word) for word in named.words)
    # 'seg_t1' is a label map drawn on t1; the 'label-22' of 'sub-1_label-22_ct' is a remark in BIDS manner.
    parts = re.split(r"[_ .]+", stem(named.path))
    return any(_LABEL.fullmatch(part) for part in parts if part in named.words)


def _choose_image(modality: str, candidates: list[_Named]) -> tuple[Path | None, list[Finding]]:
    if len(candidates) == 1:
        return candidates[0].path, []
    plain = [named for named in candidates if _is_plain(named, modality)]
    names = ", ".join(f"'{named.path.name}'" for named in candidates)
    if len(plain) == 1:
        chosen = plain[0].path
        text = f"{names} may all be {modality}; '{chosen.name}' is used, being named so and nothing more"
        return chosen, [Finding("missing_modality", text)]
    text = f"{names} may all be {modality}, and none is used; leave one of them in the folder, or say it in a manifest"
    return None, [Finding("missing_modality", text)]


def _choose_label(labels: list[_Named]) -> tuple[FoundFile | None, list[Finding]]:
    brain = [named for named in labels if "".join(named.words).lower() in _BRAIN_MASKS]
    findings = [
        Finding("label_candidates", f"'{named.path.name}' is taken for a mask of the brain and left out")
        for named in brain
    ]
    labels = [named for named in labels if named not in brain]
    if len(labels) < 2:
        return (FoundFile(labels[0].path, why=_LABEL_WHY) if labels else None), findings
    names = ", ".join(f"'{named.path.name}'" for named in labels)
    plain = [named.path for named in labels if _lower(named.words) == ["seg"]]
    if len(plain) == 1:
        text = f"{names} may all be the label map; '{plain[0].name}' is used, being named so and nothing more"
        why = "named 'seg' and nothing more"
        return FoundFile(plain[0], why=why), [*findings, Finding("label_candidates", text)]
    text = (
        f"{names} may all be the label map, and none is used; name the one that is meant 'seg', or say it in a manifest"
    )
    return None, [*findings, Finding("label_candidates", text)]
