"""Time of opening a case of four modalities, beside SimpleITK's bare read of the same files and MONAI's LoadImage.

    python benchmarks/case_open.py [--case FOLDER]

Ours checks every checksum and keeps sheared affines; wanted are at most 1.3 of SimpleITK's time and a third of MONAI's.
"""

import argparse
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from harness import Result, compared, in_turn, made_case, run
from monai.transforms import LoadImage

from napari_mmssl.volumes.image_files import read_volume


def measure(args: argparse.Namespace) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        case = args.case or made_case(Path(folder) / "case")
        files = sorted(path for path in case.glob("*.nii.gz") if not path.name.startswith("seg"))
        for path in files:
            np.testing.assert_array_equal(read_volume(path).array, np.asanyarray(nib.load(path).dataobj).T)
        size = {"voxels": int(np.prod(nib.load(files[0]).shape))}
        results = []
        for n in sorted({1, len(files)}):
            some = files[:n]
            name = "case_open" if n == len(files) else f"case_open_{n}_modality"
            for suffix, peer_name, peer in (
                ("", "SimpleITK ReadImage", sitk_read),
                ("_monai", "MONAI LoadImage", LoadImage(image_only=True)),
            ):
                ours, theirs = in_turn(lambda s=some: opened(s), lambda s=some, p=peer: [p(f) for f in s], args.runs)
                results.append(
                    compared(f"{name}{suffix}", ours, theirs, peer_name=peer_name, unit="s", **size, files=n)
                )
    return results


def opened(files: list[Path]) -> list[np.ndarray]:
    return [read_volume(path).array for path in files]


def sitk_read(path: Path) -> object:
    return sitk.ReadImage(str(path))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--case", type=Path, help="folder of one case; by default one is made up")
    options.add_argument("--runs", type=int, default=9)
    run(measure, options)
