"""A large array that comes slab by slab, in a file instead of in memory."""

import tempfile

import numpy as np

from napari_mmssl.errors import WriteError


class SlabFile:
    """Slabs ``(C, d, h, w)`` along one axis of a volume, written behind each other to a nameless temporary file.

    Written pages belong to the system, which drops them when memory is short; a mapping that is written to would
    count as this process's memory. ``$TMPDIR`` says where the file lies.

    Parameters
    ----------
    shape
        ``(C, D, H, W)`` of all slabs together.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._axis: int | None = None
        try:
            # Closed by its last reference, the mapping's.
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
        except OSError as error:
            raise _no_room(error) from error

    def append(self, box: tuple[slice, slice, slice], slab: np.ndarray) -> None:
        """Write the next slab, which lies at ``box``.

        Raises
        ------
        WriteError
            If there is no room.
        """
        partial = [axis for axis, part in enumerate(box) if part.stop - part.start < self.shape[1 + axis]]
        if self._axis is None and partial:
            self._axis = partial[0]
        lying = np.moveaxis(slab, 1 + (self._axis or 0), 0)
        try:
            for plane in lying:  # one by one: a copy of the slab would be half as large as all that is held
                # Not ndarray.tofile, which overlooks a disk that is full.
                self._file.write(np.ascontiguousarray(plane, dtype=np.float32).data)
            self._file.flush()
        except OSError as error:
            raise _no_room(error) from error

    def mapped(self) -> np.ndarray:
        """Return all slabs as one array ``(C, D, H, W)``, read from the file when it is looked at."""
        axis = 1 + (self._axis or 0)
        stored = (self.shape[axis], *(size for place, size in enumerate(self.shape) if place != axis))
        return np.moveaxis(np.memmap(self._file, dtype=np.float32, mode="r+", shape=stored), 0, axis)


def _no_room(error: OSError) -> WriteError:
    return WriteError(
        f"cannot keep a prediction aside in '{tempfile.gettempdir()}': {error.strerror or 'the disk is full'}; "
        "make room there, or name another folder in TMPDIR"
    )
