"""What SimpleITK and our own readers make of damaged NRRD and MetaImage files (decision 0006).

    python benchmarks/damaged_files.py [FILES]

A small volume is written by SimpleITK, packed and not, and damaged: FILES times (default 2500) one to three bytes of
the header are replaced, and each of the last bytes of the packed voxels once. Each reader works in a process of its
own, so that its end can be counted. Then the time of reading a sound, packed volume.
"""

import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from napari_mmssl.errors import MmsslError
from napari_mmssl.volumes.image_files import read_volume

ARRAY = np.random.default_rng(7).integers(-99, 99, (4, 5, 6)).astype(np.int16)
HEADER_BYTES, PACKED_BYTES, CHECKSUM_BYTES = 450, 192, 4
LARGE = (19, 384, 384)


def by_simpleitk(path: Path) -> np.ndarray | None:
    try:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError:
        return None


def by_us(path: Path) -> np.ndarray | None:
    try:
        return read_volume(path).array
    except MmsslError:
        return None


READERS: dict[str, Callable[[Path], np.ndarray | None]] = {"SimpleITK": by_simpleitk, "ours": by_us}


def with_wrong_header(whole: bytes, files: int) -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    for _ in range(files):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            position = rng.integers(min(len(whole), HEADER_BYTES))
            damaged[position] = rng.choice([*b"0123456789-.en \n", 0, 127, 128, 255])
        yield bytes(damaged)


def with_wrong_voxels(whole: bytes) -> Iterator[bytes]:
    for position in range(len(whole) - PACKED_BYTES - CHECKSUM_BYTES, len(whole) - CHECKSUM_BYTES):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        yield bytes(damaged)


def answer(pipe: Connection, reader: str) -> None:
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    while True:
        array = READERS[reader](pipe.recv())
        same = array is not None and array.shape == ARRAY.shape and np.array_equal(array, ARRAY)
        pipe.send("refused" if array is None else "read right" if same else "read, with other voxels")


def count(path: Path, contents: Iterable[bytes], reader: str) -> str:
    """Return how often each outcome was met; a process that ends is one, and the next file gets a new one."""
    outcomes: Counter[str] = Counter()
    pipe, process = start(reader)
    for content in contents:
        path.write_bytes(content)
        pipe.send(path)
        try:
            outcomes[pipe.recv()] += 1
        except EOFError:
            outcomes["process ended"] += 1
            pipe, process = start(reader)
    process.kill()
    return ", ".join(f"{what} {number}" for what, number in sorted(outcomes.items()))


def start(reader: str) -> tuple[Connection, multiprocessing.Process]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=answer, args=(theirs, reader), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def times(path: Path) -> dict[str, float]:
    """Return the median processor milliseconds of each reader, in turn."""
    found: dict[str, list[float]] = {name: [] for name in READERS}
    for _ in range(9):
        for name, read in READERS.items():
            began = time.process_time()
            read(path)
            found[name].append(1000 * (time.process_time() - began))
    return {name: round(statistics.median(values), 1) for name, values in found.items()}


def main() -> None:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 2500
    with tempfile.TemporaryDirectory() as scratch:
        for suffix in ("mha", "nrrd"):
            for packed in (False, True):
                path = Path(scratch) / f"volume.{suffix}"
                sitk.WriteImage(sitk.GetImageFromArray(ARRAY), str(path), useCompression=packed)
                whole = path.read_bytes()
                damages = {"header": lambda whole=whole: with_wrong_header(whole, files)}
                if packed:
                    damages["voxels"] = lambda whole=whole: with_wrong_voxels(whole)
                for where, damaged in damages.items():
                    for reader in READERS:
                        print(
                            f".{suffix}{' packed' if packed else ''}, {where}, {reader}:",
                            count(path, damaged(), reader),
                        )
        smooth = np.cumsum(np.random.default_rng(0).integers(-3, 4, LARGE), axis=2).astype(np.int16)
        for suffix in ("mha", "nrrd"):
            path = Path(scratch) / f"large.{suffix}"
            sitk.WriteImage(sitk.GetImageFromArray(smooth), str(path), useCompression=True)
            print(f".{suffix} packed, {LARGE}, processor ms:", times(path))


if __name__ == "__main__":
    main()
