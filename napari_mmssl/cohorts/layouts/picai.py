"""PI-CAI: ``images/10000/10000_1000000_t2w.mha``; label maps and the marksheet in ``picai_labels``.

The images come in five parts (``picai_public_images_fold0`` ...). Of the lesions a person drew, those on the T2 are
used: ``resampled``, and ``Pooch25`` for the 205 cases that had none at first. Those of a program are used only where
there are no others, and said to be so. Sagittal and coronal T2 lie on other planes and are left out. ProstateX comes as
DICOM, which has a layout of its own; its table is read.

Folders, label values (2 to 5: ISUP grade; 1: by a program) and columns (``patient_id study_id patient_age psa case_ISUP
case_csPCa``) as in github.com/DIAGNijmegen/picai_labels, README and clinical_information/marksheet.csv.
"""

import re
from pathlib import Path

from napari_mmssl.cohorts.automatic_labels import prefer_drawn
from napari_mmssl.cohorts.case_folder import folders_in, images_in
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.trees import by_ending, files_below, folders_below, names_in
from napari_mmssl.volumes.image_files import stem

SPECIFICITY = 4
_CASE = re.compile(r"(\d{4,6})_(\d{6,8})_(t2w|adc|hbv|sag|cor)", re.IGNORECASE)
_PERSON = re.compile(r"\d{4,6}")
_ENDINGS = {"t2w": "t2", "adc": "adc", "hbv": "hbv"}
_OTHER_PLANES = ("sag", "cor")
_LESIONS = "csPCa_lesion_delineations"
#: Folders of lesions that a person drew and that lie on the T2; ``original`` lies elsewhere.
_ON_T2 = {"resampled", "pooch25"}
_LABELS = ("picai_labels", "labels", "picai_labels-main")


@layouts.register("picai", summary="PI-CAI (10000/10000_1000000_t2w.mha)", source="doi:10.5281/zenodo.6624726")
def picai(root: Path) -> Recognised | None:
    """Recognise folders of numbers with files called ``<person>_<study>_t2w``."""
    if root.is_file():
        return None
    people = _people(root)
    found: dict[tuple[str, str], list[Path]] = {}
    n_other_planes = 0
    for folder in people:
        for path in images_in(folder):
            match = _CASE.fullmatch(stem(path))
            if match:
                n_other_planes += match.group(3).lower() in _OTHER_PLANES
                found.setdefault((match.group(1), match.group(2)), []).append(path)
    if not found:
        return None
    base = next((root / name for name in _LABELS if (root / name).is_dir()), None)
    drawn, automatic = _lesions(base) if base else ({}, {})
    cases = []
    for (person, study), paths in found.items():
        name = f"{person}_{study}"
        modalities, _, _ = by_ending(paths, name, _ENDINGS)
        label, findings = prefer_drawn(drawn.get(name), automatic.get(name))
        cases.append(
            FoundCase(name, person, modalities, label, findings=findings, session=study, aliases=(study, person))
        )
    reasons = [f"{len(cases)} studies are named <person>_<study>_t2w and so on, as PI-CAI names them"]
    if base is not None:
        reasons.append(f"{len(drawn)} label maps by a person and {len(automatic)} by a program lie in '{base.name}'")
    if n_other_planes:
        reasons.append(f"{n_other_planes} files that end in sag or cor are left out: T2 along other planes")
    # A program marks lesions with 1, whatever their grade; beside a person's grades that is another coding.
    names = {grade: f"lesion of ISUP grade {grade}" for grade in range(2, 6)}
    tables = (base / "clinical_information",) if base else ()
    return Recognised(SPECIFICITY, tuple(reasons), tuple(cases), tables, names)


def _people(root: Path) -> list[Path]:
    """Return the folders of people: in ``root``, in ``images``, or in the parts the images come in."""
    if _PERSON.fullmatch(root.resolve().name):
        return [root]
    parts = [name for name in names_in(root) if name == "images" or name.startswith("picai_public_images")]
    places = [root, *(root / part for part in parts)]
    if not parts and not any(map(_PERSON.fullmatch, names_in(root))):
        return []
    return [f for place in places if place.is_dir() for f in folders_in(place) if _PERSON.fullmatch(f.name)]


def _lesions(base: Path) -> tuple[dict[str, FoundFile], dict[str, FoundFile]]:
    """Return case to the lesions that a person drew, and to those of a program."""
    drawn: dict[str, FoundFile] = {}
    automatic: dict[str, FoundFile] = {}
    for folder in folders_below(base, 4):
        words = {part.lower() for part in folder.relative_to(base).parts}
        if _LESIONS.lower() not in words:
            continue
        if "human_expert" in words and words & _ON_T2:
            drawn |= {stem(p): FoundFile(p, why="a person drew it, on the T2") for p in files_below(folder, 0)}
        elif "ai" in words:
            automatic |= {
                stem(p): FoundFile(p, why=f"a program ({folder.name}) made it") for p in files_below(folder, 0)
            }
    return drawn, automatic
