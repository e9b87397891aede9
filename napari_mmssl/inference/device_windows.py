"""Windows on a device; on a GPU that is too small for the whole volume, the windows alone."""

from collections.abc import Callable

import torch
from torch import Tensor

from napari_mmssl.inference.sliding_window import Shape, predict_windows
from napari_mmssl.networks.device_memory import is_out_of_memory, release


def predict_on(
    device: torch.device,
    network: Callable[[Tensor], Tensor],
    volumes: Tensor,
    window: Shape,
    *,
    needed: Tensor | None = None,
    after: Callable[[Tensor], Tensor] = lambda slab: slab,
    between: Callable[[], None] = lambda: None,
) -> Tensor:
    """Return the output of ``network``, which lies on ``device``, over a whole volume.

    The volume and what is added up lie on the device too. A GPU without room for that gets one window at a time, and
    the rest stays in main memory.

    Parameters
    ----------
    device
        Where the network is.
    network, volumes, window, needed, after, between
        As for :func:`~napari_mmssl.inference.sliding_window.predict_windows`; tensors in main memory.
    """

    def swept(where: torch.device, at_once: int) -> Tensor:
        return predict_windows(
            lambda windows: network(windows.to(device)).to(where),
            volumes.to(where),
            window,
            batch_size=at_once,
            needed=None if needed is None else needed.to(where),
            after=after,
            between=between,
        )

    try:
        return swept(device, 2)
    except Exception as error:
        if device.type == "cpu" or not is_out_of_memory(error):
            raise
    # Out here, since the error holds on to all that was computed before it.
    release(device)
    return swept(torch.device("cpu"), 1)
