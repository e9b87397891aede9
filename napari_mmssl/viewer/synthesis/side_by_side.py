"""A real volume and a synthetic one as layers: side by side, behind a curtain, as a checkerboard."""

from dataclasses import replace

import numpy as np

from napari_mmssl.viewer.layers.layer_data import METADATA_KEY, LayerTuple, Origin, image_layer
from napari_mmssl.viewer.layers.placing import contrast_limits, darkened
from napari_mmssl.volumes.volume import Volume
from napari_mmssl.workflows.synthesize import Comparison

ROLE = "synthesis "
#: Stands in the name of every layer that shows something a network made.
MARK = "SYNTHETIC"
#: Side by side, and the two ways to lay one into the other.
BESIDE, CURTAIN, CHECKERBOARD = "side by side", "curtain", "checkerboard"


def curtain(real: np.ndarray, synthetic: np.ndarray, share: float) -> np.ndarray:
    """Return ``real`` with ``synthetic`` in the first ``share`` (0 to 1) of the last axis."""
    edge = round(share * real.shape[-1])
    return np.concatenate([synthetic[..., :edge], real[..., edge:]], axis=-1)


def checkerboard(real: np.ndarray, synthetic: np.ndarray, cell: int) -> np.ndarray:
    """Return ``real`` with ``synthetic`` in every other cube of ``cell`` voxels; the first one is real."""
    z, y, x = (np.arange(size) // cell for size in real.shape)
    odd = (z[:, None, None] + y[:, None] + x) % 2 == 1
    return np.where(odd, synthetic, real)


def beside_layers(compared: Comparison, case: str, modality: str) -> list[LayerTuple]:
    """Return four layers: real, synthetic, their difference, and how alike they are round each voxel."""
    highest = max(float(np.percentile(compared.error, 99.5)), 1e-3)
    return [
        _scan_layer(compared, compared.real, f"real {modality}", case, synthetic=False),
        _scan_layer(compared, compared.synthetic, f"{MARK} {modality}", case, synthetic=True),
        _layer(compared, compared.error, f"{MARK} error", case, (0.0, highest), "inferno", synthetic=True),
        _layer(compared, compared.similarity, f"{MARK} SSIM", case, (0.0, 1.0), "viridis", synthetic=True),
    ]


def mixed_layer(compared: Comparison, array: np.ndarray, case: str, modality: str) -> LayerTuple:
    """Return one layer that shows parts of both volumes."""
    name = f"real and {MARK} {modality}"
    return _scan_layer(compared, array, name, case, synthetic=True)


def as_seen(compared: Comparison) -> Comparison:
    """Return ``compared`` with what is outside the body as dark as in a scan; its numbers stay."""
    dark = contrast_limits(compared.real)[0]
    return replace(compared, real=darkened(compared.real, dark), synthetic=darkened(compared.synthetic, dark))


def keep_mark(layer: object, name: str) -> None:
    """Give ``layer`` its ``name`` back whenever somebody takes the mark out of it."""

    def check(_event: object = None) -> None:
        if MARK not in layer.name:  # type: ignore[attr-defined]
            layer.name = f"{MARK} {layer.name}" if layer.name else name  # type: ignore[attr-defined]

    layer.events.name.connect(check)  # type: ignore[attr-defined]


def _scan_layer(compared: Comparison, array: np.ndarray, name: str, case: str, *, synthetic: bool) -> LayerTuple:
    limits = contrast_limits(compared.real)
    return _layer(compared, array, name, case, limits, "gray", synthetic=synthetic)


def _layer(
    compared: Comparison,
    array: np.ndarray,
    name: str,
    case: str,
    limits: tuple[float, float],
    colours: str,
    *,
    synthetic: bool,
) -> LayerTuple:
    role = f"{ROLE}{name}"
    volume = Volume(np.ascontiguousarray(array, dtype=np.float32), compared.geometry, synthetic)
    data, state, kind = image_layer(volume, name, case=case, role=role)
    # A writer that saves the layer marks the file as well, by this.
    origin = Origin(compared.geometry, None, case, role, synthetic)
    seen = {"name": name, "contrast_limits": limits, "colormap": colours, "metadata": {METADATA_KEY: origin}}
    return data, state | seen, kind
