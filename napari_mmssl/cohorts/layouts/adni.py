"""ADNI and other trees of the LONI archive: ``<person>/<series>/<date>/I<number>/`` with DICOM or NIfTI in it.

A case is what was scanned on one day. The series say in words what they are (``MP-RAGE``, ``MPR____N3__Scaled``,
``Sagittal_3D_FLAIR``); the number of the image is what tables go by: the archive writes one with a collection, with
the columns ``Image Data ID, Subject, Group, Sex, Age, Visit, Modality, Description, Type, Acq Date`` and more.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.case_folder import folders_in, images_in
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.series_folder import open_series
from napari_mmssl.cohorts.trees import names_in, unwrapped
from napari_mmssl.volumes.dicom_series import holds_dicom

SPECIFICITY = 4
_PERSON = re.compile(r"\d{3}_S_\d{4,5}")
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})_.*")
_IMAGE = re.compile(r"[IS]\d+")
#: Words in the name of a series, the most telling first.
_SERIES = (
    (re.compile(r"localizer|scout|b1.?calib|field.?map|fmri|\bdti\b|\basl\b|\bperf", re.IGNORECASE), None),
    (re.compile(r"flair", re.IGNORECASE), "flair"),
    (re.compile(r"t2.?star|t2.?gre", re.IGNORECASE), "t2star"),
    # MPR and MT1 are MP-RAGE after the archive's own corrections.
    (re.compile(r"mp.?rage|^mpr|^mt1\b|spgr|\bt1\b", re.IGNORECASE), "t1"),
    (re.compile(r"pd.?t2|double.?tse", re.IGNORECASE), None),
    (re.compile(r"fdg|av.?45|pib|florbeta|tau|pet", re.IGNORECASE), "pet"),
    (re.compile(r"\bt2\b|t2.?(?:tse|fse)", re.IGNORECASE), "t2"),
)


@dataclass(frozen=True)
class _Image:
    person: str
    series: str
    date: str
    number: str
    folder: Path


@layouts.register("adni", summary="ADNI (person/series/date/I123)", source="adni.loni.usc.edu")
def adni(root: Path) -> Recognised | None:
    """Recognise people called ``002_S_0295`` with series, dates and numbers of images below them."""
    if root.is_file():
        return None
    base = unwrapped(root, lambda place: bool(_people(place)))
    if base is None and not _PERSON.fullmatch(root.resolve().name):
        return None
    people = _people(base) if base else [root]
    by_day: dict[tuple[str, str], list[_Image]] = {}
    for image in (image for person in people for image in _images(person)):
        by_day.setdefault((image.person, image.date), []).append(image)
    if not by_day:
        return None
    cases = tuple(_case(person, date, images) for (person, date), images in by_day.items())
    reasons = (f"{len(people)} people are numbered as in ADNI, with series, dates and images below them",)
    return Recognised(SPECIFICITY, reasons, cases, (base,) if base and base != root else ())


def _people(base: Path) -> list[Path]:
    if not any(map(_PERSON.fullmatch, names_in(base))):
        return []
    return [folder for folder in folders_in(base) if _PERSON.fullmatch(folder.name)]


def _images(person: Path) -> Iterator[_Image]:
    for series in folders_in(person):
        for day in folders_in(series):
            date = _DATE.fullmatch(day.name)
            for image in folders_in(day) if date else ():
                if date and _IMAGE.fullmatch(image.name):
                    yield _Image(person.resolve().name, series.name, date.group(1), image.name, image)


def _case(person: str, date: str, images: list[_Image]) -> FoundCase:
    modalities: dict[str, FoundFile] = {}
    numbers: list[str] = []
    findings: list[Finding] = []
    for image in sorted(images, key=lambda one: int(one.number[1:])):
        said = re.sub(r"[\W_]+", " ", image.series).strip()
        modality = next((found for words, found in _SERIES if words.search(said)), None)
        if modality is None:
            text = f"'{image.series}/{image.number}' is left out: the name of its series is no modality that is known"
            findings.append(Finding("missing_modality", text))
        elif modality in modalities:
            text = f"'{image.series}/{image.number}' is left out: a later {modality} of the same day"
            findings.append(Finding("missing_modality", text))
        else:
            file, told = _open(image, modality)
            findings += told
            if file is not None:
                modalities[modality] = file
                numbers.append(image.number)
    name = f"{person}_{date}"
    return FoundCase(name, person, modalities, findings=tuple(findings), session=date, aliases=tuple(numbers))


def _open(image: _Image, modality: str) -> tuple[FoundFile | None, list[Finding]]:
    why = f"its series is called {image.series}"
    files = images_in(image.folder)
    if len(files) == 1:
        return FoundFile(files[0], why=why), []
    if not files and holds_dicom(image.folder):
        file, _, findings = open_series(image.folder, modality, why=why)
        return file, findings
    text = f"{modality} is left out: '{image.folder.name}' holds {len(files) or 'no'} image files"
    return None, [Finding("missing_modality", text)]
