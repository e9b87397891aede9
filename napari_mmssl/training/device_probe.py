"""Multiply two small matrices on every device that torch sees, and say on standard output how it went.

Started by ``mmssl doctor`` as a process of its own: a broken driver ends it with a signal instead of an exception.
"""

import json
import sys
from typing import Any

import torch


def devices() -> list[str]:
    """Return every device torch can see, the one that ``--device auto`` takes first."""
    cuda = [f"cuda:{n}" for n in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, "cpu", *mps]


def check(device: str) -> dict[str, Any]:
    """Return the device's name, memory, and what was wrong with a product and a gradient on it, if anything."""
    found: dict[str, Any] = {"device": device, "name": device, "problem": None}
    try:
        if device.startswith("cuda"):
            properties = torch.cuda.get_device_properties(device)
            found |= {"name": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1)}
        if not torch.allclose(_gradient(device).cpu(), _gradient("cpu"), rtol=1e-2, atol=1e-3):
            found["problem"] = "a matrix product came out wrong"
    # Whatever the driver raises is what the user has to know.
    except Exception as error:  # noqa: BLE001
        found["problem"] = str(error).strip().splitlines()[0]
    return found


def _gradient(device: str) -> torch.Tensor:
    a = torch.linspace(-1, 1, 64 * 64).reshape(64, 64).to(device).requires_grad_()
    (gradient,) = torch.autograd.grad((a @ a).square().mean(), a)
    return gradient


if __name__ == "__main__":
    report = {
        "torch": torch.__version__,
        "cuda_build": torch.version.cuda,
        "devices": [check(device) for device in devices()],
    }
    sys.stdout.write(json.dumps(report) + "\n")
