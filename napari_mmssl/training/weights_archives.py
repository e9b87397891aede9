"""A weights folder as one file that can be handed on; no torch here, and nothing in it is ever run."""

import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from napari_mmssl.atomic import replacing
from napari_mmssl.errors import CheckpointError, WriteError

#: What may lie in such a file: nothing in folders, nothing that could run by itself.
_MEMBER = re.compile(r"[A-Za-z0-9][\w.-]*\.(safetensors|json|md|pt2)")
#: Weights are noise to a packer. What unpacks to many times its size wants to fill a disk.
_MOST_GROWTH = 10


def pack(folder: Path, file: Path) -> None:
    """Write every file of ``folder`` into the zip ``file``, unpacked as they are.

    Raises
    ------
    WriteError
        If ``file`` cannot be written.
    """
    with replacing(file) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
        for member in sorted(folder.iterdir()):
            # ZipInfo has a fixed date, so that equal weights make equal files.
            with member.open("rb") as source, archive.open(zipfile.ZipInfo(member.name), "w", force_zip64=True) as into:
                shutil.copyfileobj(source, into)


def unpacked(file: Path) -> Path:
    """Return a folder with what is in ``file``, which :func:`pack` wrote; it is kept, and made once.

    Raises
    ------
    CheckpointError
        If it is no such file, is damaged, or holds what does not belong there.
    WriteError
        If there is no room to unpack it.
    """
    state = file.stat()
    return _unpacked(file.resolve(), state.st_mtime_ns, state.st_size)


def digest(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@lru_cache(maxsize=16)
def _unpacked(file: Path, _changed_ns: int, size: int) -> Path:
    # Here, since it loads what reads images, and whoever only asks for a card needs none of it.
    from napari_mmssl.cohorts.prepare import cache_folder

    shelf = cache_folder() / "weights"
    folder = shelf / f"{file.stem}-{digest(file)[:16]}"
    if (folder / "card.json").is_file():
        return folder
    try:
        with zipfile.ZipFile(file) as archive:
            _check_members(archive, file, size)
            shelf.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=shelf))
            try:
                archive.extractall(aside)
                _check_digests(aside, file)
                _put(aside, folder)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"'{file}' is not a file of exported weights, or damaged: {error}") from error
    except OSError as error:
        raise WriteError(f"cannot unpack '{file}' in '{shelf}': {error.strerror or error}") from error
    return folder


def _put(aside: Path, folder: Path) -> None:
    try:
        os.replace(aside, folder)
    except OSError:
        if not (folder / "card.json").is_file():  # another process was faster
            raise


def _check_members(archive: zipfile.ZipFile, file: Path, size: int) -> None:
    members = archive.infolist()
    for member in members:
        if not _MEMBER.fullmatch(member.filename):
            raise CheckpointError(f"'{file}' holds '{member.filename}', which does not belong to exported weights")
    if "card.json" not in archive.namelist():
        raise CheckpointError(f"'{file}' holds no card.json; a file that mmssl export wrote is wanted")
    if sum(member.file_size for member in members) > _MOST_GROWTH * size:
        raise CheckpointError(f"'{file}' unpacks to more than {_MOST_GROWTH} times its size, as no weights do")


def _check_digests(folder: Path, file: Path) -> None:
    """Compare what was unpacked with what the card says of it."""
    try:
        card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        said = dict(card["export"]["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"'{file}' does not say what it holds; a file that mmssl export wrote is wanted"
        ) from error
    for name in sorted(path.name for path in folder.glob("*.safetensors")) + sorted(said):
        if not (folder / name).is_file() or digest(folder / name) != said.get(name):
            raise CheckpointError(f"'{file}' is damaged: '{name}' is not what its card says; ask for the file again")
