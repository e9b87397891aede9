"""Say no to a wheel or source archive that holds what it must not, or lacks what it needs.

``python scripts/look_into_archives.py dist/*``
"""

import sys
import tarfile
import zipfile
from pathlib import Path

#: Endings of scans, weights and recordings; a phantom is made, never shipped.
FORBIDDEN = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".ima", ".safetensors", ".pt", ".npy", ".npz")
STRAY = ("__pycache__", ".pyc", ".DS_Store", ".egg-info/dependency_links.txt~", ".orig", ".rej", ".swp")
LARGEST_BYTES = {".whl": 2_000_000, ".gz": 12_000_000}
#: What runs is in the wheel; what tests it is in the source archive too.
WANTED = {
    ".whl": ("napari_mmssl/napari.yaml", "napari_mmssl/catalogue.json", "napari_mmssl/py.typed"),
    ".gz": ("tests/conftest.py", "constraints.txt", "Makefile", "docs/index.md", "scripts/setup.sh", "CHANGELOG.md"),
}


def names_in(archive: Path) -> list[str]:
    """Return the files in ``archive``, of a source archive without its top folder."""
    if archive.suffix == ".whl":
        return zipfile.ZipFile(archive).namelist()
    with tarfile.open(archive) as opened:
        return [member.name.partition("/")[2] for member in opened if member.isfile()]


def faults_of(archive: Path) -> list[str]:
    """Return what is wrong with ``archive``, a sentence each."""
    names = names_in(archive)
    faults = [f"holds {name}" for name in names if name.lower().endswith(FORBIDDEN)]
    faults += [f"holds {name}" for name in names if any(part in name for part in STRAY)]
    faults += [f"lacks {name}" for name in WANTED[archive.suffix] if name not in names]
    if not any(name.endswith("taleb2020.toml") for name in names):
        faults.append("lacks the recipes")
    if archive.stat().st_size > LARGEST_BYTES[archive.suffix]:
        faults.append(f"has {archive.stat().st_size} bytes, more than {LARGEST_BYTES[archive.suffix]}")
    return faults


if __name__ == "__main__":
    found = [f"{path}: {fault}" for path in map(Path, sys.argv[1:]) for fault in faults_of(path)]
    print("\n".join(found) or f"archives: {len(sys.argv) - 1} looked into, nothing amiss")
    sys.exit(bool(found))
