"""Patches a second from a cohort, beside MONAI's PersistentDataset with a random crop and TorchIO's Queue.

    python benchmarks/patch_feed.py [--cohort FOLDER]

Equal patches, batches and loader workers; four z-scored modalities. All sides are given their first batches before the
clock starts; what each keeps on disk is made before. Wanted is three times the rate of either.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from harness import Result, compared, made_case, run, timed
from torch.utils.data import DataLoader

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import prepare_cohort
from napari_mmssl.sampling.sampler import PatchSampler

Feed = Callable[[int], Iterator[Any]]
Files = list[dict[str, str]]


def our_feed(cohort: Path, args: argparse.Namespace) -> Feed:
    cases = prepare_cohort(find_cohort(cohort).cases, None, with_label=False)

    def feed(seed: int) -> Iterator[Any]:
        sampler = PatchSampler(cases, cases[0].modalities, (args.patch,) * 3, args.batch, 10**6, seed)
        return iter(DataLoader(sampler, batch_size=None, num_workers=args.workers))

    return feed


def monai_feed(files: Files, cache: Path, args: argparse.Namespace) -> Feed:
    from monai.data import DataLoader as MonaiLoader
    from monai.data import PersistentDataset
    from monai.transforms import Compose, ConcatItemsd, LoadImaged, NormalizeIntensityd, RandSpatialCropd

    names = list(files[0])
    steps = [
        LoadImaged(names, ensure_channel_first=True),
        NormalizeIntensityd(names, nonzero=True),
        ConcatItemsd(names, "volumes"),
        RandSpatialCropd("volumes", (args.patch,) * 3, random_size=False),
    ]
    kept = PersistentDataset(files, Compose(steps), cache_dir=cache)
    _ = [kept[number] for number in range(len(files))]

    def feed(seed: int) -> Iterator[Any]:
        draws = torch.utils.data.RandomSampler(kept, replacement=True, num_samples=10**5)
        return iter(MonaiLoader(kept, batch_size=args.batch, sampler=draws, num_workers=args.workers))

    return feed


def torchio_feed(files: Files, args: argparse.Namespace) -> Feed:
    import torchio

    subjects = [torchio.Subject({name: torchio.ScalarImage(path) for name, path in one.items()}) for one in files]
    transform = torchio.ZNormalization(masking_method=torchio.ZNormalization.mean)

    def feed(seed: int) -> Iterator[Any]:
        queue = torchio.Queue(
            torchio.SubjectsDataset(subjects * 1000, transform=transform),
            max_length=8 * args.queue,
            samples_per_volume=8,
            sampler=torchio.UniformSampler(args.patch),
            num_workers=args.workers,
        )
        return iter(torchio.SubjectsLoader(queue, batch_size=args.batch, num_workers=0))

    return feed


def rate(feed: Feed, batches: int, args: argparse.Namespace) -> float:
    """Return patches a second over ``batches``, after the first of them."""
    torch.manual_seed(0)
    source = feed(batches)
    for _ in range(args.first):
        next(source)
    return batches * args.batch / timed(lambda: [next(source) for _ in range(batches)])


def measure(args: argparse.Namespace) -> list[Result]:
    with tempfile.TemporaryDirectory() as base:
        os.environ["MMSSL_HOME"] = str(Path(base) / "home")
        cohort = args.cohort or repeated_case(Path(base) / "cohort", args.cases)
        files = [
            {name: str(scan.path) for name, scan in sorted(case.modalities.items())}
            for case in find_cohort(cohort).cases
        ]
        ours = our_feed(cohort, args)
        # One batch of MONAI's reads as many volumes as it has patches; TorchIO cuts eight patches of a volume, so that
        # its rate is seen only over whole fillings of the queue.
        filling = 8 * args.queue // args.batch
        peers = {
            "": ("MONAI PersistentDataset and RandSpatialCrop", monai_feed(files, Path(base) / "monai", args), 6),
            "_torchio": ("TorchIO Queue, 8 samples a volume", torchio_feed(files, args), filling),
        }
        results = []
        for suffix, (peer_name, peer, batches) in peers.items():
            rates = [(rate(ours, args.batches, args), rate(peer, batches, args)) for _ in range(args.runs)]
            told = {"cases": len(files), "modalities": len(files[0]), "patch": args.patch, "workers": args.workers}
            results.append(
                compared(
                    f"patch_feed{suffix}",
                    *zip(*rates, strict=True),
                    peer_name=peer_name,
                    unit="patches/s",
                    better="higher",
                    **told,
                )
            )
    return results


def repeated_case(folder: Path, cases: int) -> Path:
    """Return a cohort of ``cases`` copies of a made-up case with other noise, at 240 x 240 x 155 voxels."""
    first = made_case(folder.with_name("one"))
    for number in range(cases):
        for path in first.glob("[!s]*.nii.gz"):
            image = nib.load(path)
            voxels = np.asanyarray(image.dataobj)
            noisy = voxels + (voxels > 0) * np.random.default_rng(number).integers(0, 9, voxels.shape, dtype=np.int16)
            (folder / f"case-{number}").mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(noisy, image.affine), folder / f"case-{number}" / path.name)
    return folder


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cohort", type=Path, help="a folder of cases that all have the same modalities")
    options.add_argument("--cases", type=int, default=2, help="made-up ones, without --cohort")
    options.add_argument("--patch", type=int, default=64)
    options.add_argument("--batch", type=int, default=2)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--queue", type=int, default=2, help="volumes that TorchIO's queue holds")
    options.add_argument("--first", type=int, default=2, help="batches before the clock starts")
    options.add_argument("--batches", type=int, default=64, help="of ours; a peer gets fewer, being slower")
    options.add_argument("--runs", type=int, default=2)
    run(measure, options)
