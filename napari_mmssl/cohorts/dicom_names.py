"""Which modality a DICOM series is: by its folder's name and its headers, and only where they leave no doubt."""

import re
from collections.abc import Sequence

from napari_mmssl.cohorts.modalities import canonical
from napari_mmssl.volumes.dicom_files import Slice

#: DICOM's own word decides where it tells more than "MR".
_BY_MODALITY = {"CT": "ct", "PT": "pet", "US": "us"}
_NOISE = {"dicom", "dcm", "anon", "anonymized", "anonymised", "series", "images", "image", "raw", "data"}
_CONTRAST = {"ce", "gd", "gad", "gado", "km", "post", "postcontrast", "contrast", "kontrast", "gadolinium"}
_COMPUTED_B = re.compile(r"calc\w*[ _-]?b(?:val|$|\d|[ _-])", re.IGNORECASE)
_MOST_WORDS = 3
#: The first word is a group to which the second belongs.
_INCLUDES = {("dwi", "adc"), ("dwi", "hbv"), ("mr", "any"), ("t1", "t1ce")}


def name_series(first: Slice, folder_words: Sequence[str]) -> str | None:
    """Return the canonical modality of a series, or ``None`` if nothing, or more than one thing, names it.

    Parameters
    ----------
    first
        Any of its slices.
    folder_words
        Names of the folders between the case and the series; empty if they may not name it.
    """
    if first.modality in _BY_MODALITY:
        return _BY_MODALITY[first.modality]
    by_type = name_stack(first)
    if by_type == "adc":
        return by_type
    for text in (" ".join(folder_words), " ".join(first.description)):
        found = _named(text, contrast=first.contrast)
        if found is not None:
            return found
    return by_type


def name_stack(first: Slice) -> str | None:
    """Return what the image type alone says: ``adc``, ``dwi``, or ``None``."""
    words = {word.upper() for word in first.image_type}
    if "ADC" in words:
        return "adc"
    return "dwi" if words & {"TRACEW", "DIFFUSION", "TRACE"} else None


def names_modality(text: str) -> bool:
    """Whether ``text``, the name of a folder, names one modality."""
    return _named(text, contrast=False) is not None


def _named(text: str, *, contrast: bool) -> str | None:
    if _COMPUTED_B.search(text):
        return "hbv"
    words = [word for word in re.split(r"[^A-Za-z0-9*]+", text) if word and word.lower() not in _NOISE]
    names = set(_spelled(words))
    for general, special in _INCLUDES:
        if special in names or (special == "any" and len(names) > 1):
            names.discard(general)
    if names == {"t1"} and (contrast or _CONTRAST & {word.lower() for word in words}):
        return "t1ce"
    return names.pop() if len(names) == 1 else None


def _spelled(words: list[str]) -> list[str]:
    """Return the modalities that the words spell, the longest spelling first (``t2 flair`` is one)."""
    found, n = [], 0
    while n < len(words):
        for length in range(_MOST_WORDS, 0, -1):
            name = canonical("".join(words[n : n + length])) if n + length <= len(words) else None
            if name is not None:
                found.append(name)
                n += length
                break
        else:
            n += 1
    return found
