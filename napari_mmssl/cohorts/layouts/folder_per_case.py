"""One folder per case, its files named after modalities: ``case/t1.nii.gz``, ``case/case_flair.nii.gz``."""

from pathlib import Path

from napari_mmssl.cohorts.case_folder import case_folders, closed_folders_in, folders_in, images_in, read_case_folder
from napari_mmssl.cohorts.found import Recognised
from napari_mmssl.cohorts.layouts import layouts

SPECIFICITY = 1


@layouts.register("folder_per_case", summary="One folder per case, files named after modalities")
def folder_per_case(root: Path) -> Recognised | None:
    """Recognise folders of which at least half hold a file named after a modality."""
    if root.is_file():
        return None
    folders, cases = [], []
    for group, folder, images in case_folders(root):
        folders.append(folder)
        cases.append(read_case_folder(folder, group, images))
    known = [case for case in cases if case.modalities]
    if not known or len(known) < len(cases) / 2:
        return None
    return Recognised(SPECIFICITY, tuple(_reasons(root, folders, len(known))), tuple(cases))


def _reasons(root: Path, folders: list[Path], n_known: int) -> list[str]:
    if folders == [root]:
        reasons = [f"'{root.name or root}' itself holds image files named after modalities: it is one case"]
    else:
        reasons = [f"{n_known} of {len(folders)} folders with image files hold files named after modalities"]
    deeper = [below for folder in folders for below in folders_in(folder) if images_in(below)]
    if deeper:
        names = ", ".join(sorted({below.name for below in deeper})[:3])
        reasons.append(f"image files further down, inside folders of cases, are left out ({names})")
    closed = closed_folders_in(root)
    if closed:
        reasons.append(f"{len(closed)} folder(s) may not be looked into ({', '.join(p.name for p in closed[:3])})")
    return reasons
