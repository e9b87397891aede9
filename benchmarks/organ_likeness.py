"""How alike prostates, and livers, of different people are: phantoms beside patients.

    python benchmarks/organ_likeness.py [--cases 8] [IMAGE LABEL[:CHANNEL[:VALUE]] ...]

Makes a prostate and a liver phantom cohort (seed 0) and compares all pairs of people of one modality; then all pairs
of the scans named in the arguments. What the numbers were: docs/concepts/phantoms.md.

Likeness: the box round the organ, grown by 30 %, is stretched to 32 x 32 x 32 voxels for each person, so that neither
place nor size nor a wrong spacing counts; then the correlation of intensities over the box, and the Dice of the organs'
shapes in it.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.volumes.geometry import to_canonical
from napari_mmssl.volumes.image_files import read_label_map, read_volume
from napari_mmssl.workflows.sample import make_sample

EDGE = 32
GROWN = 1.3
#: Hounsfield units that matter in an abdomen; air and bone would decide everything.
WINDOW = (-160.0, 240.0)

Person = tuple[np.ndarray, np.ndarray]


def boxed(image: Path, label: Path, channel: int | None = None, value: int | None = None) -> Person:
    volume, found = read_volume(image), read_label_map(label, channel)
    turn = to_canonical(volume.geometry)
    array, organ = turn.apply(volume.array).astype(np.float32), turn.apply(found.array)
    organ = organ > 0 if value is None else organ == value
    (box,) = ndimage.find_objects(organ.astype(np.uint8))
    middle = np.array([(part.start + part.stop - 1) / 2 for part in box])
    half = np.array([(part.stop - part.start) / 2 * GROWN for part in box])
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, EDGE)] * 3, indexing="ij"))
    index = middle.reshape(3, 1, 1, 1) + half.reshape(3, 1, 1, 1) * places
    if array.min() < -500:
        array = np.clip(array, *WINDOW)
    values = ndimage.map_coordinates(array, index, order=1, mode="nearest")
    return values, ndimage.map_coordinates(organ.astype(np.float32), index, order=1) > 0.5


def report(name: str, people: list[Person]) -> None:
    pairs = list(itertools.combinations(people, 2))
    if not pairs:
        print(f"{name}: fewer than two people")
        return
    alike = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for (one, _), (other, _) in pairs]
    shapes = [2 * (one & other).sum() / (one.sum() + other.sum()) for (_, one), (_, other) in pairs]
    print(
        f"{name}: {len(people)} people, correlation of pairs {np.mean(alike):.2f} ({np.min(alike):.2f} to "
        f"{np.max(alike):.2f}), Dice of shapes {np.mean(shapes):.2f} ({np.min(shapes):.2f} to {np.max(shapes):.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="*", metavar="IMAGE LABEL")
    parser.add_argument("--cases", type=int, default=8, help="phantoms of each modality (default: 8)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for organ, factor in (("prostate", 1), ("liver", 2)):
            cohort = find_cohort(make_sample(organ, Path(scratch) / organ, cases=factor * args.cases, seed=0))
            for modality in cohort.modalities:
                having = [case for case in cohort.cases if modality in case.modalities and case.label is not None]
                people = [boxed(case.modalities[modality].path, case.label.path) for case in having]
                report(f"{organ} phantoms, {modality}", people)
    if args.scans:
        people = []
        for image, said in zip(args.scans[::2], args.scans[1::2], strict=True):
            label, *numbers = said.split(":")
            channel, value = ([int(one) if one else None for one in numbers] + [None, None])[:2]
            people.append(boxed(Path(image), Path(label), channel, value))
        report("scans named", people)


if __name__ == "__main__":
    main()
