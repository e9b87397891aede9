"""What it takes to make a small tree of files for a layout. Nothing is a scan: each file is random numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

#: Case id to what is there: modalities in any order, ``LABEL`` for a label map.
Seen = dict[str, set[str]]


@dataclass(frozen=True)
class Tree:
    """How to make a cohort in a folder, and what is in it.

    ``make(root, write_nifti, rng)`` returns the path to ask for, if that is not ``root``.
    """

    make: Callable[..., Path | None]
    seen: Seen
    subjects: int
    clinical: dict[str, dict[str, object]]


TREES: dict[str, Tree] = {}


def write_nifti(path, shape_xyz=(5, 6, 7), dtype=np.int16):
    """Write a small NIfTI file; label types hold 0 and 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    highest = 2 if dtype == np.uint8 else 100
    array = np.arange(np.prod(shape_xyz)).reshape(shape_xyz) * 37 % 101 % highest
    nib.save(nib.Nifti1Image(array.astype(dtype), np.eye(4)), path)
    return path


def tree(layout, seen, *, subjects, clinical=None):
    """Register a function that makes the cohort of ``layout``."""

    def register(make):
        wanted = {case: set(what.split()) for case, what in seen.items()}
        TREES[layout] = Tree(make, wanted, subjects, clinical or {})
        return make

    return register


def files(root, names, write):
    """Write a tiny file for each name; braces stand for alternatives, as in a shell."""
    for name in names.split():
        start, brace, rest = name.partition("{")
        words, _, end = rest.partition("}")
        for word in words.split(",") if brace else [""]:
            full = f"{start}{word}{end}"
            last = full.rpartition("/")[2].lower()
            marks = ("seg", "label", "msk", "mask", "gtv", "lesion")
            is_label = any(mark in last for mark in marks) or "label" in full.lower()
            write(root / full, dtype=np.uint8 if is_label else np.int16)


def text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def pictures(folder, arrays, name="IMG-0004-{:05d}.png"):
    folder.mkdir(parents=True, exist_ok=True)
    for k, array in enumerate(arrays):
        Image.fromarray(np.asarray(array, np.uint8)).save(folder / name.format(k))
