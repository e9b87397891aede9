"""The voxels behind a text header: raw, packed or as text, in the same file or beside it.

Every packed byte is checked against the checksum that stands behind it. SimpleITK does not do so for MetaImage: of a
file with one wrong byte it returns noise.
"""

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes import file_length
from napari_mmssl.volumes.file_length import MOST_DEFLATED, ends_early, goes_on, gzip_length, refuse_too_large

Packing = Literal["raw", "gzip", "zlib", "text"]
_CHUNK = 1 << 17


@dataclass(frozen=True)
class RawVoxels:
    """Where and how the voxels of a file are stored.

    Parameters
    ----------
    path
        File that holds them.
    start
        Byte at which they begin; -1 if they are the last ones of the file (then they are raw).
    packing
        How they are packed.
    sizes
        Sizes of the axes, fastest first.
    dtype
        Type of one voxel, with its byte order.
    """

    path: Path
    start: int
    packing: Packing
    sizes: tuple[int, ...]
    dtype: np.dtype

    @property
    def n_bytes(self) -> int:
        """Size of all voxels, unpacked."""
        return int(np.prod(self.sizes, dtype=object)) * self.dtype.itemsize

    def check_length(self) -> None:
        """Refuse a file that cannot hold all voxels, at the cost of a look at its end.

        Raises
        ------
        ReadError
            If it is not there or too short.
        """
        if not self.path.is_file():
            raise ReadError(f"its voxels should lie in '{self.path}', and there is no such file")
        held = max(self.path.stat().st_size - max(self.start, 0), 0)
        if self.packing == "gzip":
            held = gzip_length(self.path, self.n_bytes, self.start)
        elif self.packing == "zlib":
            held *= MOST_DEFLATED
        elif self.packing == "text":
            # A digit and a blank at least for each number.
            held *= self.dtype.itemsize
        if held < self.n_bytes:
            raise ends_early(held, self.n_bytes)

    def check_surplus(self) -> None:
        """Refuse raw voxels behind which another slice or more follows: the sizes in the header are wrong.

        Raises
        ------
        ReadError
            If so; packed voxels are counted when they are unpacked.
        """
        held = self.path.stat().st_size - self.start
        if (
            self.packing == "raw"
            and self.start >= 0
            and held - self.n_bytes >= self.dtype.itemsize * (self.sizes[0] * self.sizes[1])
        ):
            raise ReadError(f"it holds more voxels than its header announces: {held} bytes in place of {self.n_bytes}")

    def read(self, channel: int | None) -> np.ndarray:
        """Return the voxels ``(z, y, x)`` of the volume at ``channel`` of the fourth axis.

        Raises
        ------
        ReadError
            If they are damaged or end early.
        """
        self.check_length()
        refuse_too_large(self.n_bytes)
        n_bytes = self.n_bytes // (self.sizes[3] if len(self.sizes) > 3 else 1)
        x, y, z = (*self.sizes[:3], 1)[:3]
        with self.path.open("rb") as file:
            file.seek(self.start if self.start >= 0 else self.path.stat().st_size - self.n_bytes)
            voxels = self._bytes(file, n_bytes * (channel or 0), n_bytes)
        return np.frombuffer(voxels, dtype=self.dtype).reshape(z, y, x)

    def _bytes(self, file: BinaryIO, first: int, n_bytes: int) -> bytearray:
        if self.packing == "raw":
            file.seek(first, io.SEEK_CUR)
            voxels = bytearray(file.read(n_bytes))
        elif self.packing == "text":
            n_voxels = self.n_bytes // self.dtype.itemsize
            numbers = np.array(file.read().split()[:n_voxels]).astype(self.dtype)
            voxels = bytearray(numbers.tobytes()[first : first + n_bytes])
        else:
            voxels = self._unpacked(file)[first : first + n_bytes]
        if len(voxels) < n_bytes:
            raise ends_early(len(voxels), n_bytes)
        return voxels

    def _unpacked(self, file: BinaryIO) -> bytearray:
        """Unpack and check everything; memory is taken for what is there, not for what the header claims."""
        unpacked = bytearray()
        try:
            if self.packing == "gzip":
                with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                    # Up to the end, where the checksum is, though no more is wanted.
                    trailing = 0
                    while chunk := stream.read(_CHUNK):
                        wanted = max(self.n_bytes - len(unpacked), 0)
                        unpacked += chunk[:wanted]
                        trailing += len(chunk[wanted:])
                        if trailing > file_length.MOST_TRAILING_BYTES:
                            raise goes_on()
                return unpacked
            packed = zlib.decompressobj()
            while not packed.eof and (chunk := file.read(_CHUNK)):
                while chunk and not packed.eof:
                    unpacked += packed.decompress(chunk, _CHUNK)
                    chunk = packed.unconsumed_tail
                    if len(unpacked) > self.n_bytes:
                        raise ReadError("it holds more voxels than its header announces")
            if not packed.eof:
                raise EOFError
        except EOFError as error:
            raise ends_early(len(unpacked), self.n_bytes) from error
        except (OSError, zlib.error) as error:
            raise ReadError("its packed data are damaged") from error
        return unpacked
