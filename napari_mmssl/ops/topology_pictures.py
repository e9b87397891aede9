"""Lay neighbourhoods and matches of tokens out as arrays a person can look at."""

from typing import Any

import numpy as np

from napari_mmssl.pictures import PictureItem

#: Room between two people who are shown side by side.
_GAP_MM = 10.0

Picture = tuple[list[PictureItem], dict[str, Any]]


def picture_neighbourhood(
    *,
    images: np.ndarray,
    names: tuple[str, str],
    affine: np.ndarray,
    centres: np.ndarray,
    usable: np.ndarray,
    neighbours: np.ndarray,
    valid: np.ndarray,
) -> Picture:
    """Return two modalities of one person, one token, and its neighbours in each modality.

    Parameters
    ----------
    images
        The two modalities ``(2, D, H, W)``.
    names
        What they are called.
    affine
        From index to world of the patch.
    centres
        Centres of the tokens' cells in voxels ``(T, 3)``.
    usable
        Tokens with enough body ``(T,)``; the one nearest to the middle of the patch is shown.
    neighbours, valid
        Of every token in each modality ``(2, T, k)``.
    """
    token = _nearest_to_middle(centres, usable)
    sets = [set(neighbours[n, token][valid[n, token]].tolist()) for n in range(2)]
    points = [centres[sorted(chosen)].reshape(-1, 3) for chosen in sets]
    items = [
        PictureItem("first", "image", images[0], affine, f"The patch in {names[0]}"),
        PictureItem("second", "image", images[1], affine, f"The same place in {names[1]}"),
        PictureItem("token", "points", centres[[token]], affine, "The token whose neighbours are shown"),
        PictureItem("neighbours_first", "points", points[0], affine, f"Its nearest tokens in {names[0]}"),
        PictureItem("neighbours_second", "points", points[1], affine, f"Its nearest tokens in {names[1]}"),
    ]
    return items, {"modalities": list(names), "token": token, "shared_neighbours": len(sets[0] & sets[1])}


def picture_matches(
    *,
    images: tuple[np.ndarray, np.ndarray],
    names: tuple[str, str],
    cases: tuple[str, ...],
    affines: tuple[np.ndarray, np.ndarray],
    centres: np.ndarray,
    usable: np.ndarray,
    matches: np.ndarray,
) -> Picture:
    """Return two people side by side, with a line from each token of the first to its match in the second.

    The second person is moved along world R, and along nothing else, until the two patches lie apart; by
    how much is in the details as ``second_moved_mm``. So lines rise and fall as far as the two places differ.
    Ends of lines are in voxels of the first patch, whose affine the lines carry.

    Parameters
    ----------
    images
        A modality of either person ``(D, H, W)``.
    names
        Which modality.
    cases
        Who they are; one name if there is no second person, and then only the first is shown.
    affines
        From index to world of either patch.
    centres
        Centres of the tokens' cells in voxels, the same in both patches ``(T, 3)``.
    usable
        Tokens of the first person with enough body ``(T,)``.
    matches
        Token of the second person for each of the first, or -1; ``(T,)``.
    """
    first, second = affines[0], _moved_beside(images[1].shape, affines[1], images[0].shape, affines[0])
    matched = np.flatnonzero(matches >= 0)
    ends = _to_other_index(centres[matches[matched]], second, first)
    lines = np.stack([centres[matched], ends], axis=1)
    unmatched = centres[usable & (matches < 0)]
    items = [PictureItem("first", "image", images[0], first, f"{cases[0]} in {names[0]}")]
    if len(cases) > 1:
        items.append(PictureItem("second", "image", images[1], second, f"{cases[1]} in {names[1]}, moved aside"))
    items += [
        PictureItem("matches", "lines", lines, first, "From tokens of the first person to their matches in the second"),
        PictureItem("unmatched", "points", unmatched, first, "Tokens of the first person that have no match"),
    ]
    return items, {
        "cases": list(cases),
        "modalities": list(names[: len(cases)]),
        "second_moved_mm": [float(second[0, 3] - affines[1][0, 3]), 0.0, 0.0] if len(cases) > 1 else None,
        "matched_share": float(len(matched) / max(1, usable.sum())),
    }


def _nearest_to_middle(centres: np.ndarray, usable: np.ndarray) -> int:
    apart = np.linalg.norm(centres - centres.mean(axis=0), axis=1)
    return int(np.argmin(np.where(usable, apart, np.inf)))


def _moved_beside(
    shape: tuple[int, ...], affine: np.ndarray, beside_shape: tuple[int, ...], beside: np.ndarray
) -> np.ndarray:
    """Return ``affine`` moved along world R so that its patch begins where the other one ends."""
    moved = affine.copy()
    moved[0, 3] += _extent_right(beside_shape, beside)[1] + _GAP_MM - _extent_right(shape, affine)[0]
    return moved


def _extent_right(shape: tuple[int, ...], affine: np.ndarray) -> tuple[float, float]:
    corners = np.stack(np.meshgrid(*[(-0.5, size - 0.5) for size in shape], indexing="ij"), axis=-1).reshape(-1, 3)
    right = corners @ affine[0, :3] + affine[0, 3]
    return float(right.min()), float(right.max())


def _to_other_index(points: np.ndarray, affine: np.ndarray, other: np.ndarray) -> np.ndarray:
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    return np.asarray((homogeneous @ (np.linalg.inv(other) @ affine).T)[:, :3])
