"""What the quality gate lets through: real scans of others, and what is not the modality or not the person.

    python benchmarks/quality_gate.py [COHORT ...]

Without a COHORT ten liver phantoms (five of CT, five of MR) are the real volumes that a generator's card would hold,
and what is measured against them is of twelve others. Of a COHORT of people with aligned modalities half of those who
have a modality are the real volumes; of the others, each real partner is measured too. Each line: median, and range, of
the distances of intensities and of gradients, of the correlations of edges and of ranks with those of the source, and
how many pass.
What the numbers were: docs/concepts/synthesis.md.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import PreparedCase, prepare_case
from napari_mmssl.synthesis.quality import Reference, draw_reference, measure, shortcomings
from napari_mmssl.training.synthesis_settings import GateSettings
from napari_mmssl.workflows.sample import make_sample

LIVER_MM, COHORT_MM = (8.0, 6.0, 6.0), (4.0, 4.0, 4.0)
MEASURED = ("histogram", "gradients", "edges", "shades")


def volume(case: PreparedCase, modality: str) -> np.ndarray:
    return np.asarray(case.volumes[case.modalities.index(modality)])


def fakes(source: np.ndarray, body: np.ndarray, real: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what no generator should make of ``source``; ``real`` are intensities of the wanted modality."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=body.shape)
    wanted = np.sort(rng.choice(real, np.count_nonzero(body)))
    yield "the source as it is", source
    yield "the source inverted", -source
    yield "blank", np.zeros(body.shape)
    yield "white noise", noise
    for name, ranked in (
        ("white noise, real histogram", noise),
        ("smooth noise, real histogram", ndimage.gaussian_filter(noise, 1.2)),
        ("the source inverted, real histogram", -source),
    ):
        fake = np.zeros(body.shape)
        fake[body] = wanted[np.argsort(np.argsort(ranked[body]))]
        yield name, fake


def look(wanted: str, known: list[PreparedCase], others: list[PreparedCase], sources: list[str]) -> None:
    """Print what becomes of real and of false volumes of ``wanted`` where ``known`` people are the reference."""
    reference = draw_reference([(volume(case, wanted), case.foreground) for case in known])
    real = np.concatenate([volume(case, wanted)[case.foreground] for case in known])
    rows = defaultdict(list)
    for case in others:
        body = case.foreground
        if wanted in case.modalities:
            rows["real scans of others"].append(verdict(volume(case, wanted), body, reference, None))
        for name in sources:
            if name in case.modalities:
                source = volume(case, name)
                if wanted in case.modalities:
                    rows["real partners"].append(verdict(volume(case, wanted), body, reference, source))
                for what, fake in fakes(source, body, real):
                    rows[what].append(verdict(fake, body, reference, source))
    for what, found in rows.items():
        table = np.array(found)
        told = [f"{np.median(one):.2f} ({one.min():.2f} to {one.max():.2f})" for one in table[:, :-1].T]
        print(f"as {wanted}: {what}: {', '.join(told)}; {int(table[:, -1].sum())} of {len(table)} pass")


def verdict(made: np.ndarray, body: np.ndarray, reference: Reference, source: np.ndarray | None) -> list[float]:
    quality = measure(made, body, reference, made if source is None else source, None)
    if source is None:  # a real scan was made from nothing
        quality |= {"edges": 1.0, "shades": 0.0}
    return [*(quality[name] for name in MEASURED), not shortcomings(quality, GateSettings().model_dump(), None)]


def look_at_livers() -> None:
    groups = []
    with tempfile.TemporaryDirectory() as folder:
        for count, seed in ((10, 1), (12, 7)):
            found = find_cohort(make_sample("liver", Path(folder) / str(seed), count, seed, 5.0)).cases
            groups.append([prepare_case(case, LIVER_MM, with_label=False) for case in found])
    known, others = groups
    for wanted, source in (("mr", "ct"), ("ct", "mr")):
        look(wanted, [case for case in known if wanted in case.modalities], others, [source])


def look_at(path: Path) -> None:
    cases = [prepare_case(case, COHORT_MM, with_label=False) for case in find_cohort(path).cases]
    names = sorted({name for case in cases for name in case.modalities})
    for wanted in names:
        having = [case for case in cases if wanted in case.modalities]
        half = (len(having) + 1) // 2
        look(wanted, having[:half], having[half:], [name for name in names if name != wanted])


def main() -> None:
    if not sys.argv[1:]:
        look_at_livers()
    for path in sys.argv[1:]:
        look_at(Path(path))


if __name__ == "__main__":
    main()
