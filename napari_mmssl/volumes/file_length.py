"""Whether a file holds as many voxels as its header claims, without taking memory for the claim."""

import gzip
import io
import zlib
from pathlib import Path

import psutil

from napari_mmssl.errors import ReadError

#: What deflate reaches at best; a header that claims more than this times the file's size lies.
MOST_DEFLATED = 1032
#: What may follow the voxels in packed data; more is no image, but perhaps a bomb.
MOST_TRAILING_BYTES = 64 << 20
_CHUNK = 1 << 20


def ends_early(length: int, wanted: int) -> ReadError:
    """Return the error that says a file holds ``length`` of ``wanted`` bytes."""
    return ReadError(f"it ends early, with {length} of the {wanted} bytes its header announces")


def goes_on() -> ReadError:
    """Return the error that says packed data hold much more than the voxels."""
    return ReadError("it goes on long after the last voxel that its header tells of; the header or the file is damaged")


def refuse_too_large(n_bytes: int) -> None:
    """Refuse to take more memory than the machine has free: the system would end our process, or somebody else's.

    Raises
    ------
    ReadError
        Says how much is wanted and how much there is.
    """
    free = psutil.virtual_memory().available
    if n_bytes > free:
        raise ReadError(f"it takes {n_bytes / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB are free")


def gzip_length(path: Path, wanted: int, start: int = 0) -> int:
    """Return how many bytes the gzip stream at byte ``start`` unpacks to, counting no further than ``wanted``.

    gzip ends with the unpacked size (modulo 4 GiB). When that is the wanted one the file is whole, and four bytes
    were read; otherwise it is cut, packed in several members, or longer than needed, and only counting can tell.

    Raises
    ------
    ReadError
        If the packed data are damaged.
    """
    with path.open("rb") as packed:
        end = packed.seek(0, io.SEEK_END)
        packed.seek(max(end - 4, 0))
        if int.from_bytes(packed.read(4), "little") == wanted % (1 << 32):
            return wanted
        packed.seek(start)
        return _count(packed, wanted)


def _count(packed: io.BufferedReader, wanted: int) -> int:
    length = 0
    try:
        with gzip.GzipFile(fileobj=packed, mode="rb") as unpacked:
            while length < wanted and (chunk := unpacked.read1(min(_CHUNK, wanted - length))):
                length += len(chunk)
    except EOFError:
        return length
    except (OSError, zlib.error) as error:
        raise ReadError("its packed data are damaged") from error
    return length
