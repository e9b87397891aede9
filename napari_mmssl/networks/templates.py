"""One learned volume for each modality, laid over the body by world position."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

Shape = tuple[int, int, int]


class ModalityTemplates(nn.Module):
    """Templates of all modalities: parameters on a grid that spans a subject's body box.

    A template's grid is stretched over the box of each body, so where a patch lies in the body decides
    what it gets, whatever the spacing, the crop or a mirroring: all of that is in ``patch_to_world``.
    (BrainMVP's release aligns templates and volumes by their centres in voxels, which needs one spacing
    and cannot tell a mirrored patch.)

    Parameters
    ----------
    n_modalities
        How many templates there are.
    shape
        Voxels of one template along (S, A, R).
    margin
        By what share of its edges the grid is larger than the body box, half of it on either side.
    speed
        The templates are ``speed`` times their parameters. An optimiser of Adam's kind moves every parameter by
        about the learning rate in a step, so they learn that many times faster than the network.
    """

    def __init__(self, n_modalities: int, shape: Shape, *, margin: float = 0.1, speed: float = 1.0) -> None:
        super().__init__()
        self.parameter = nn.Parameter(torch.zeros(n_modalities, *shape))
        self.margin = margin
        self.speed = speed

    def volumes(self) -> Tensor:
        """Return the templates ``(M, d, h, w)``, axes running to S, A, R."""
        return self.parameter * self.speed

    def forward(self, modality: Tensor, patch_to_world: Tensor, body_box_mm: Tensor, shape: Shape) -> Tensor:
        """Return the part of each sample's template that lies where its patch does.

        Parameters
        ----------
        modality
            Which template, ``(B,)``.
        patch_to_world
            From patch index ``(z, y, x, 1)`` to world RAS mm, ``(B, 4, 4)``.
        body_box_mm
            Lowest and highest corner of the body, RAS mm, ``(B, 2, 3)``.
        shape
            Of the patch, ``(D, H, W)``.

        Returns
        -------
        Shape ``(B, 1, D, H, W)``, interpolated linearly; 0 beyond the template. Differentiable.
        """
        to_grid = np.stack(
            [
                _patch_to_template(affine, box, shape, self.margin)
                for affine, box in zip(patch_to_world.cpu().numpy(), body_box_mm.cpu().numpy(), strict=True)
            ]
        )
        theta = torch.from_numpy(to_grid).to(self.parameter)
        # Templates and grids are single precision wherever the network is not.
        with torch.autocast(self.parameter.device.type, enabled=False):
            places = functional.affine_grid(theta, [len(theta), 1, *shape], align_corners=False)
            chosen = self.volumes()[modality.to(self.parameter.device)].unsqueeze(1)
            return functional.grid_sample(chosen, places, align_corners=False)

    def affine(self, body_box_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the map from template index ``(z, y, x, 1)`` to world RAS mm over one body."""
        low, high = _widened(body_box_mm, self.margin)
        edges = (high - low) / np.array(self.parameter.shape[:0:-1])  # R, A, S
        affine = np.zeros((4, 4))
        affine[[0, 1, 2], [2, 1, 0]] = edges
        affine[:3, 3] = low + edges / 2
        affine[3, 3] = 1
        return affine


def _widened(
    body_box_mm: npt.NDArray[np.float64], margin: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    low, high = body_box_mm
    # A body of one slice still has an extent.
    extent = np.maximum(high - low, 1e-3) * (1 + margin)
    middle = (low + high) / 2
    return middle - extent / 2, middle + extent / 2


def _patch_to_template(
    patch_to_world: npt.NDArray[np.float64], body_box_mm: npt.NDArray[np.float64], shape: Shape, margin: float
) -> npt.NDArray[np.float64]:
    """Return the map ``(3, 4)`` between the normalised coordinates (x, y, z) in [-1, 1] of patch and template.

    -1 and 1 are the outer faces of the first and the last voxel, torch's ``align_corners=False``.
    """
    to_index = np.zeros((4, 4))  # normalised (x, y, z, 1) -> index (z, y, x, 1)
    size = np.array(shape, dtype=float)
    to_index[[0, 1, 2], [2, 1, 0]] = size / 2
    to_index[:3, 3] = (size - 1) / 2
    to_index[3, 3] = 1
    low, high = _widened(body_box_mm, margin)
    # A template's x runs to R, y to A, z to S: the world's own order.
    from_world = np.diag([*(2 / (high - low)), 1.0])
    from_world[:3, 3] = -(high + low) / (high - low)
    joined: npt.NDArray[np.float64] = from_world @ patch_to_world @ to_index
    return joined[:3]
