"""People beside themselves bent by a known field, and how many matches between the two are right."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.objectives.neighbourhood_alignment import NeighbourhoodAlignment
from napari_mmssl.objectives.topology_tokens import FIRST, SECOND, Tokens
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.sampling.sampler import PatchSampler
from napari_mmssl.volumes.geometry import Geometry

#: The field: how far a place moves (root mean square) and over what distance that changes.
_MOVED_MM, _SMOOTH_MM = 10.0, 24.0
_LOOKS, _TRIES = 4, 6


@dataclass(frozen=True)
class Matched:
    """Shares of matches within a cell of the truth, of tokens whose partner lies in the other patch."""

    #: By features.
    found: float
    #: By a draw from the tokens that may be matched.
    chance: float
    #: With the token that lies nearest in the world, as if nobody were bent.
    by_place: float
    #: How many tokens have a match.
    matched: float


def bend(case: PreparedCase, rng: np.random.Generator) -> tuple[PreparedCase, np.ndarray]:
    """Return a bent person, and for each voxel how far away it shows the person, in voxels ``(3, D, H, W)``."""
    spacing = np.array(case.geometry.spacing_mm)[:, None, None, None]
    field = np.stack(
        [
            ndimage.gaussian_filter(rng.normal(size=case.foreground.shape), _SMOOTH_MM / spacing.ravel(), mode="wrap")
            for _ in range(3)
        ]
    )
    field *= _MOVED_MM / np.sqrt(3) / field.std() / spacing
    at = np.indices(case.foreground.shape) + field
    volumes = np.stack([ndimage.map_coordinates(volume, at, order=1) for volume in case.volumes])
    body = ndimage.map_coordinates(case.foreground.astype(np.float32), at, order=1) > 0.5
    return replace(case, id=f"{case.id} bent", subject=f"{case.subject} bent", volumes=volumes, foreground=body), field


def match_bent(
    encoder: Encoder,
    objective: NeighbourhoodAlignment,
    cases: list[PreparedCase],
    vocabulary: tuple[str, ...],
    patch: tuple[int, int, int],
    *,
    across: bool = False,
    one_place: bool = True,
) -> Matched:
    """Match crops of people with crops of themselves bent.

    Parameters
    ----------
    across
        Whether the bent person is seen in another modality.
    one_place
        Whether both crops are at one place of the world, or each anywhere in the body.
    """
    rows = []
    for number, case in enumerate(cases):
        rng = np.random.default_rng([23, number])
        bent, field = bend(case, rng)
        for look in range(_LOOKS):
            batch = _two_crops(case, bent, vocabulary, patch, rng, one_place=one_place)
            rows.append(_look(encoder, objective, batch, case, field, across, look))
    matched, right, allowed, allowed_right, partnered, near = np.sum(rows, axis=0)
    shares = (right / matched, allowed_right / allowed, near / partnered, matched / partnered)
    return Matched(*(round(float(share), 3) for share in shares))


def _two_crops(
    case: PreparedCase,
    bent: PreparedCase,
    vocabulary: tuple[str, ...],
    patch: tuple[int, int, int],
    rng: np.random.Generator,
    *,
    one_place: bool,
) -> PatchBatch:
    """Return a crop of a person and one of the person bent, at the same place of the world or anywhere."""
    corner = _corner(case, patch, rng)
    cuts = [_cut(case, corner, patch), _cut(bent, corner if one_place else _corner(bent, patch, rng), patch)]
    # Shares of the body's box are those of the whole person.
    corners = case.geometry.corners_world()
    box = torch.from_numpy(np.stack([corners.min(axis=0), corners.max(axis=0)]))
    return replace(PatchSampler(cuts, vocabulary, patch, 2, 1, 0)[0], body_box_mm=box.expand(2, -1, -1))


def _corner(case: PreparedCase, patch: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Return the corner of a crop within the body: the fullest of a few."""
    corners = rng.integers(0, np.array(case.foreground.shape) - patch + 1, (_TRIES, 3))
    return np.asarray(max(corners, key=lambda corner: _cut(case, corner, patch).foreground.mean()))


def _cut(case: PreparedCase, corner: np.ndarray, patch: tuple[int, int, int]) -> PreparedCase:
    part = tuple(slice(int(low), int(low) + edge) for low, edge in zip(corner, patch, strict=True))
    affine = case.geometry.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ corner
    body = case.foreground[part]
    return replace(case, volumes=case.volumes[:, *part], foreground=body, label=None, geometry=Geometry(patch, affine))


def _look(
    encoder: Encoder,
    objective: NeighbourhoodAlignment,
    batch: PatchBatch,
    case: PreparedCase,
    field: np.ndarray,
    across: bool,
    look: int,
) -> list[float]:
    person, bent = (batch.case.index(name) for name in (case.id, f"{case.id} bent"))
    channels = batch.channels(person)
    first = channels[look % len(channels)]
    second = channels[(look + 1) % len(channels)] if across else first
    with torch.no_grad():
        features = {name: encoder(batch.volumes[:, [one]]) for name, one in ((FIRST, first), (SECOND, second))}
        tokens = objective.tokens(batch, features)
        matches = objective.match(tokens, [(person, bent)]).matches[0].numpy()
    # Token n of the bent person shows what lies at shown[n] in the person.
    apart = _apart(tokens, case, field, person, bent)
    usable = tokens.usable[person].numpy()[:, None] & tokens.usable[bent].numpy()[None]
    shares = (tokens.body_places[person][:, None] - tokens.body_places[bent][None]).norm(dim=-1).numpy()
    reach = objective.settings.reach or np.inf
    partnered = ((apart <= 1) & usable).any(axis=0)
    allowed = usable & (shares <= reach) & partnered
    pairs = [(i, m) for i, m in enumerate(matches) if m >= 0 and partnered[m]]
    places = (tokens.places_mm[person][:, None] - tokens.places_mm[bent][None]).norm(dim=-1).numpy()
    nearest = np.where(usable, places, np.inf).argmin(axis=0)
    near = apart[nearest, np.arange(len(nearest))][partnered] <= 1
    right = sum(apart[pair] <= 1 for pair in pairs)
    return [len(pairs), right, allowed.sum(), (allowed & (apart <= 1)).sum(), partnered.sum(), near.sum()]


def _apart(tokens: Tokens, case: PreparedCase, field: np.ndarray, person: int, bent: int) -> np.ndarray:
    """Return how far each token of the person lies from what each of the bent shows, in cells ``(T, T)``."""
    places = np.c_[tokens.places_mm[bent].numpy(), np.ones(len(tokens.places_mm[bent]))]
    index = places @ np.linalg.inv(case.geometry.affine)[:3].T
    moved = np.stack([ndimage.map_coordinates(axis, index.T, order=1, mode="nearest") for axis in field], axis=1)
    shown = np.c_[index + moved, np.ones(len(index))] @ case.geometry.affine[:3].T
    apart = np.linalg.norm(tokens.places_mm[person].numpy()[:, None] - shown[None], axis=-1)
    return np.asarray(apart / float(tokens.cell_mm[person]))
