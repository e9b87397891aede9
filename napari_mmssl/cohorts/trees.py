"""Walk the folders of a cohort: bounded, and never round a loop of links."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from napari_mmssl.cohorts.case_folder import folders_in, images_in
from napari_mmssl.cohorts.found import FoundFile
from napari_mmssl.volumes.image_files import is_image, stem

#: Folders deeper than this below the one that was asked for are not looked into.
DEEPEST = 8


def is_folder(path: Path) -> bool:
    """Whether ``path`` is a folder; a name that no disk can have, as a list may hold it, is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def names_in(folder: Path) -> list[str]:
    """Return the names of what lies in ``folder``, sorted, hidden things left out; none if it cannot be listed."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def files_below(root: Path, deepest: int = DEEPEST) -> Iterator[Path]:
    """Yield the image files in ``root`` and the folders below it, folder by folder, sorted.

    Links to folders are followed, each folder once; hidden folders, and those closed to us, are passed over.
    """
    for folder in folders_below(root, deepest):
        for name in names_in(folder):
            path = folder / name
            if is_image(path) and not path.is_dir():
                yield path


def folders_below(root: Path, deepest: int = DEEPEST) -> Iterator[Path]:
    """Yield ``root`` and the folders below it, as :func:`files_below` walks them."""
    seen: set[str] = set()
    for directory, folders, _ in os.walk(root, followlinks=True):
        folder = Path(directory)
        true_place = os.path.realpath(directory)
        if true_place in seen:
            folders.clear()
            continue
        seen.add(true_place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(folder.relative_to(root).parts) >= deepest:
            folders.clear()
        yield folder


def unwrapped(root: Path, is_it: Callable[[Path], bool], deepest: int = 3) -> Path | None:
    """Return ``root``, or the folder that is alone in it (archives unpack like this), if it is what is looked for."""
    for _ in range(deepest + 1):
        if is_it(root):
            return root
        folders = folders_in(root)
        if len(folders) != 1 or images_in(root):
            break
        (root,) = folders
    return None


def by_ending(
    files: Iterable[Path], case: str, endings: Mapping[str, str]
) -> tuple[dict[str, FoundFile], dict[str, FoundFile], list[str]]:
    """Tell files apart whose names are ``case``, a sign, and a known ending.

    Parameters
    ----------
    files
        Image files.
    case
        With what each name starts.
    endings
        Ending in lower case to modality; of two for one modality the earlier one is preferred. An ending may stand
        for a label map by a name that starts with ``label``.

    Returns
    -------
    Modality to file; ``label...`` to file; and the endings that are not known.
    """
    by_name = {stem(path)[len(case) :].lstrip("_-. ").lower(): path for path in files if stem(path).startswith(case)}
    chosen: dict[str, FoundFile] = {}
    for ending, what in endings.items():
        if ending in by_name and what not in chosen:
            chosen[what] = FoundFile(by_name[ending], why=f"its name ends in '{ending}'")
    labels = {what: file for what, file in chosen.items() if what.startswith("label")}
    modalities = {what: file for what, file in chosen.items() if what not in labels}
    return modalities, labels, sorted(set(by_name) - set(endings))


def said_left_out(endings: Iterable[str], most: int = 6) -> list[str]:
    """Return the sentence that says which endings no modality is known for; none if there are none."""
    names = sorted(set(endings))
    if not names:
        return []
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return [f"files that end in {', '.join(names[:most])}{more} are left out: they are no modality that is known here"]
