"""A GPU that this machine lacks, pretended: tensors are computed on the CPU and keep account of where they would be.

What a GPU refuses is refused here: tensors of two devices in one operation, NumPy on a GPU's tensor, a generator of the
CPU for numbers drawn on a GPU. What happens in C++, such as the way back through a graph, is not watched, and nothing
is said of speed, memory or rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

CPU, GPU = torch.device("cpu"), torch.device("cuda")
#: What takes tensors of two devices on a real GPU as well.
_CROSSING = {"copy_", "_has_compatible_shallow_copy_type"}
#: A tensor of a GPU can be indexed with places on the CPU, not the other way round.
_INDEXING = {"__getitem__", "__setitem__", "index_put_"}


@contextmanager
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator["PretendedGpu"]:
    """Let trainings and predictions find a GPU that computes in bfloat16."""
    autocast = torch.autocast
    monkeypatch.setattr("napari_mmssl.training.device.choose_device", lambda *_: GPU)
    monkeypatch.setattr("napari_mmssl.networks.precision.has_bfloat16", lambda device: device.type == "cuda")
    monkeypatch.setattr(torch, "autocast", lambda kind, *args, **how: autocast("cpu", *args, **how))
    with PretendedGpu() as gpu:
        yield gpu


class PretendedGpu(TorchFunctionMode):
    """Within it the device ``kind`` can be used.

    Parameters
    ----------
    kind
        ``cuda``; or ``mps``, the GPU of an Apple, which has no float64.

    Attributes
    ----------
    moves
        How many tensors were moved from one device to the other.
    pinned
        How many tensors were put where a GPU can fetch them.
    """

    def __init__(self, kind: str = "cuda") -> None:
        super().__init__()
        self.gpu = torch.device(kind)
        self.moves = self.pinned = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run ``func`` on the CPU, unless a GPU would refuse it."""
        name, owner, kwargs = getattr(func, "__name__", ""), getattr(func, "__self__", None), dict(kwargs or {})
        if name == "__get__":
            return self._attribute(func, owner, args)
        if name == "__set__":
            func(*args)
            if owner is torch.Tensor.data:
                self._put(args[0], _place(args[1]))
            return None
        if name in ("to", "cpu", "cuda"):
            return self._moved(name, args, kwargs)
        if name == "pin_memory":
            self.pinned += 1
            return args[0]
        if name in ("numpy", "__array__") and _place(args[0]) == self.gpu:
            raise TypeError("can't convert a tensor of the GPU to numpy")
        device = kwargs.pop("device", None)
        self._check(name, args, kwargs, device)
        found = func(*args, **kwargs)
        place = _of(device) if device is not None else self._place_of_result(name, args, kwargs)
        for one in _tensors(found):
            self._put(one, place)
        return found

    def _attribute(self, func: Any, owner: Any, args: Any) -> Any:
        if owner is torch.Tensor.device:
            return _place(args[0]) or CPU
        if owner is torch.Tensor.is_cuda:
            return _place(args[0]) == torch.device("cuda")
        found = func(*args)
        for one in _tensors(found):
            self._put(one, _place(args[0]))
        return found

    def _moved(self, name: str, args: Any, kwargs: dict[str, Any]) -> torch.Tensor:
        source, dtype = args[0], None
        here = _place(source) or CPU
        target = {"cpu": CPU, "cuda": self.gpu}.get(name, here)
        for one in (*args[1:], *kwargs.values()):
            if isinstance(one, torch.Tensor):
                target, dtype = _place(one) or CPU, one.dtype
            elif isinstance(one, torch.dtype):
                dtype = one
            elif isinstance(one, str | torch.device):
                target = _of(one)
        found = source if dtype is None else source.to(dtype)
        if target != here:
            self.moves += 1
            found = found.clone() if found is source else found
        self._put(found, target)
        return found

    def _check(self, name: str, args: Any, kwargs: dict[str, Any], device: Any) -> None:
        """Raise what a GPU would of tensors of two devices; single numbers may come from the CPU."""
        places = {_place(one) for one in _tensors((args, kwargs)) if one.ndim} - {None}
        crossing = name in _CROSSING or (name in _INDEXING and _place(args[0]) == self.gpu)
        if len(places) > 1 and not crossing:
            raise RuntimeError(f"{name}: expected all tensors to be on the same device, but found two")
        chance = next((one for one in (*args, *kwargs.values()) if isinstance(one, torch.Generator)), None)
        where = _of(device) if device is not None else next((_place(one) for one in _tensors(args)), CPU)
        if chance is not None and where == self.gpu:
            raise RuntimeError(f"{name}: expected a generator of the GPU, but found one of the CPU")

    def _place_of_result(self, name: str, args: Any, kwargs: dict[str, Any]) -> torch.device:
        if name in _INDEXING or (name.endswith("_") and not name.endswith("__")):
            return _place(next(_tensors((args, kwargs)))) or CPU
        return self.gpu if self.gpu in {_place(one) for one in _tensors((args, kwargs))} else CPU

    def _put(self, tensor: torch.Tensor, place: torch.device | None) -> None:
        if place is not None and place.type == "mps" and tensor.dtype == torch.float64:
            raise TypeError("the GPU of an Apple has no float64")
        if place is not None:
            tensor._pretended_place = place  # type: ignore[attr-defined]


def _of(device: Any) -> torch.device:
    return torch.device(torch.device(device).type)


def _place(tensor: Any) -> torch.device | None:
    """Return where ``tensor`` is, or ``None`` of one that C++ made: it may be anywhere."""
    if not isinstance(tensor, torch.Tensor):
        return None
    return getattr(tensor, "_pretended_place", CPU if isinstance(tensor, torch.nn.Parameter) else None)


def _tensors(found: Any) -> Iterator[torch.Tensor]:
    if isinstance(found, torch.Tensor):
        yield found
    elif isinstance(found, dict):
        yield from _tensors(tuple(found.values()))
    elif isinstance(found, list | tuple | set):
        for one in found:
            yield from _tensors(one)
