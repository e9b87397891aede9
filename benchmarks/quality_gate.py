"""What the histogram limit of the quality gate lets through: real scans of others, and what is not the modality.

    python benchmarks/quality_gate.py

Ten liver phantoms (five of CT, five of MR) are the real volumes that a generator's card would hold; sixteen others are
measured against them. What the numbers were: docs/concepts/synthesis.md.
"""

import tempfile
from pathlib import Path

import numpy as np

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import PreparedCase, prepare_case
from napari_mmssl.synthesis.quality import Reference, draw_reference, measure
from napari_mmssl.training.synthesis_settings import GateSettings
from napari_mmssl.workflows.sample import make_sample

SPACING_MM = (8.0, 6.0, 6.0)


def people(folder: Path, count: int, seed: int, spacing_mm: float) -> dict[str, list[PreparedCase]]:
    found = find_cohort(make_sample("liver", folder, count, seed, spacing_mm)).cases
    prepared = [prepare_case(case, SPACING_MM, with_label=False) for case in found]
    return {name: [case for case in prepared if name in case.modalities] for name in ("ct", "mr")}


def distances(cases: list[PreparedCase], reference: Reference, look: str = "as it is") -> np.ndarray:
    found = []
    for number, case in enumerate(cases):
        shown = {
            "as it is": case.volumes[0],
            "inverted": -case.volumes[0],
            "noise": np.random.default_rng(number).normal(size=case.foreground.shape),
        }[look]
        found.append(measure(shown, case.foreground, reference, None)["histogram"])
    return np.array(found)


def main() -> None:
    limit = GateSettings().histogram
    with tempfile.TemporaryDirectory() as folder:
        known = people(Path(folder) / "known", 10, 1, 4.0)
        others = people(Path(folder) / "others", 16, 7, 5.0)
    for wanted, wrong in (("mr", "ct"), ("ct", "mr")):
        reference = draw_reference([case.volumes[0][case.foreground] for case in known[wanted]])
        rows = {
            f"real {wanted} of others": distances(others[wanted], reference),
            f"{wrong} as it is": distances(others[wrong], reference),
            f"{wrong} inverted": distances(others[wrong], reference, "inverted"),
            "noise": distances(others[wrong], reference, "noise"),
        }
        for name, found in rows.items():
            passed = int((found <= limit).sum())
            print(
                f"as {wanted}: {name}: {found.min():.2f} to {found.max():.2f}, {passed} of {len(found)} within {limit}"
            )


if __name__ == "__main__":
    main()
