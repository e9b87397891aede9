#!/usr/bin/env python3
"""Refuse files that are scans, weights or clinical recordings, by name and by their first bytes.

``python scripts/refuse_scans.py FILE...``: exit code 1 and a line for each. Runs before every commit, and in the tests
over all files that git knows.
"""

import gzip
import sys
import zlib
from pathlib import Path

ENDINGS = (
    *(".nii", ".nii.gz", ".img", ".hdr", ".mgh", ".mgz", ".mnc", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".ima"),
    *(".par", ".rec", ".npy", ".npz", ".h5", ".hdf5", ".safetensors", ".pt", ".pth", ".ckpt"),
)
_DICOM_AT, _NIFTI_AT = 128, 344
_ENOUGH = 352


def what_it_is(path: Path) -> str | None:
    """Return what kind of scan ``path`` is, or ``None``."""
    if path.name.lower().endswith(ENDINGS):
        return "named like a scan or like weights"
    start = path.open("rb").read(1 << 16)
    if start[:2] == b"\x1f\x8b":
        start = _unpacked(path)
    if start[_DICOM_AT : _DICOM_AT + 4] == b"DICM":
        return "DICOM"
    if start[_NIFTI_AT : _NIFTI_AT + 3] in (b"n+1", b"ni1") or start[4:7] in (b"n+2", b"ni2"):
        return "NIfTI"
    if start[:4] == b"NRRD":
        return "NRRD"
    if start.lstrip()[:10].lower() == b"objecttype" and b"ElementDataFile" in start:
        return "MetaImage"
    return None


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path) as opened:
            return opened.read(_ENOUGH)
    except (OSError, EOFError, zlib.error):
        return b""


if __name__ == "__main__":
    refused = [(name, kind) for name in sys.argv[1:] if Path(name).is_file() and (kind := what_it_is(Path(name)))]
    for name, kind in refused:
        print(f"{name}: {kind}; scans of people and what is made from them are never committed (CODE_OF_CONDUCT.md)")
    sys.exit(bool(refused))
