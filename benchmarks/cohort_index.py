"""Time and memory of finding a cohort from headers, beside SimpleITK reading the information of the same files.

    python benchmarks/cohort_index.py [--cases 10 100 1000 10000]

A made-up tree of small files, four modalities a case. Ours also recognises the layout, sorts files by their names and
checks each file's length; wanted is at most 1.3 of the time. Time is what the processor spent, memory the peak above
what was resident before.
"""

import argparse
import functools
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from harness import Result, compared, cost, run

from napari_mmssl.cohorts.find import find_cohort

_MODALITIES = ("t1", "t1ce", "t2", "flair")


def tree(folder: Path, cases: int) -> Path:
    """Write ``cases`` folders of four tiny scans each."""
    folder.mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8), np.int16), np.eye(4)), folder / "one.nii.gz")
    content = (folder / "one.nii.gz").read_bytes()
    (folder / "one.nii.gz").unlink()
    for number in range(cases):
        case = folder / f"sub-{number:05d}"
        case.mkdir()
        for name in _MODALITIES:
            (case / f"{name}.nii.gz").write_bytes(content)
    return folder


def information(folder: Path) -> list[tuple[object, ...]]:
    """Read with SimpleITK what of a header our index keeps."""
    found = []
    for path in sorted(folder.glob("*/*.nii.gz")):
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        found.append((path, reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection()))
    return found


def measure(args: argparse.Namespace) -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory() as base:
        warm = tree(Path(base) / "warm", 2)
        _ = find_cohort(warm), information(warm)
        for cases in args.cases:
            folder = tree(Path(base) / str(cases), cases)
            suffix = "" if cases == max(args.cases) else f"_{cases}_cases"
            runs = args.runs if cases <= 1000 else 1
            arms = (functools.partial(find_cohort, folder), functools.partial(information, folder))
            costs = [[cost(lambda: None, lambda _, a=arm: a()) for arm in arms] for _ in range(runs)]
            times = [[pair[which][0] for pair in costs] for which in (0, 1)]
            # What is measured in pages may be nothing at all, which no ratio is of.
            peaks = [[max(pair[which][1], 1 / 1024) for pair in costs] for which in (0, 1)]
            told = {"peer_name": "SimpleITK ReadImageInformation", "cases": cases}
            results.append(compared(f"cohort_index{suffix}", *times, unit="s of processor time", **told))
            results.append(compared(f"cohort_index_memory{suffix}", *peaks, unit="MiB", **told))
    return results


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, nargs="+", default=(10, 100, 1000, 10000))
    options.add_argument("--runs", type=int, default=3)
    run(measure, options)
