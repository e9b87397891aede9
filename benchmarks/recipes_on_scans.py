"""What one encoder learns from each recipe on a cohort, told of people it has not learned from.

    python benchmarks/recipes_on_scans.py [COHORT] [--recipes mae taleb2020] [--steps 160]

Without a COHORT sixteen glioma phantoms are made. Every recipe has the same encoder (the tiny residual U-Net), patches,
budget, learning rate and people; its objectives and their weights are its own. The table is made of what the runs
themselves report of unseen people, before the first step and after the last one. *Without learning* is chance, or an
answer that asks for no network; *learned* is the share of what was left to learn from there, or from before, whichever
is better: 0 is nothing, 1 is all. What it showed: docs/concepts/proofs.md.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.settings import PretrainSettings
from napari_mmssl.workflows.configure import pretrain_settings, recipe_names
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.sample import make_sample

BATCH, PATCH, SPACING_MM = 4, 24, 4.0


#: Metric of an objective -> its value without learning; ``None``: there is nothing to compare with.
UNLEARNED = {
    "tile_accuracy": 1 / 27,
    "permutation_accuracy": 1 / 100,
    "fixed_set_tile_accuracy": 1 / 27,
    # Beyond the mean of each patch.
    "masked_explained": 0.0,
    "cross_modal_explained": 0.0,
    "template_explained": 0.0,
    "multimodal_explained": 0.0,
    "auto_encoding_explained": 0.0,
    # Beyond what the hidden or distorted voxels show.
    "cross_modal_gain": 0.0,
    "template_gain": 0.0,
    "genesis_gain": 0.0,
    "inpainting_gain": 0.0,
    "rotation_accuracy": 1 / 4,
    "view_accuracy": 1 / (2 * BATCH - 1),
    "contrast_accuracy": 1 / BATCH,
    "intra_right_order": 1 / 2,
    "inter_right_order": 1 / 2,
    "intra_effective_rank": None,
}


def settings_of(recipe: str, cohort: Path, steps: int) -> PretrainSettings:
    """Return the recipe's own objectives, and for the rest what all recipes have."""
    flags = {
        "cohort": str(cohort),
        "recipe": recipe,
        "encoder": {"name": "residual_unet", "size": "tiny"},
        "data": {
            "patch": [PATCH] * 3,
            "spacing_mm": [SPACING_MM] * 3,
            "validation_share": 0.3,
            "test_share": 0.0,
        },
        "optimisation": {
            "steps": steps,
            "batch_size": BATCH,
            "learning_rate": 2e-3,
            "weight_decay": 1e-4,
            "warmup": 0.05,
        },
        "validate_every": steps,
        "checkpoint_every": steps,
        "device": "cpu",
    }
    return pretrain_settings(flags=flags)


def before_and_after(run: RunFolder) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return what the run reports of unseen people before its first step and after its last one."""
    seen = [event["metrics"] for event in run.events()[0] if event["kind"] == "validation"]
    return seen[0], seen[-1]


def rows(recipe: str, run: RunFolder, seconds: float) -> Iterator[str]:
    """Yield a line of the table for each metric that the recipe's objectives report."""
    before, after = before_and_after(run)
    for name, unlearned in UNLEARNED.items():
        if name not in after:
            continue
        known = learned = ""
        if unlearned is not None:
            start = max(unlearned, before[name])
            known, learned = f"{unlearned:.2f}", f"{(after[name] - start) / max(1 - start, 1e-6):.2f}"
        numbers = f"{known} | {before[name]:.2f} | {after[name]:.2f} | {learned}"
        yield f"| {recipe} | `{name}` | {numbers} | {seconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", nargs="?", type=Path)
    parser.add_argument("--recipes", nargs="+", default=recipe_names(), choices=recipe_names())
    parser.add_argument("--steps", type=int, default=160)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        cohort = args.cohort or make_sample("glioma", Path(scratch) / "phantoms", 16, 0, 3.0)
        print("| recipe | of unseen people | without learning | before | after | learned | s |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for recipe in args.recipes:
            began = time.process_time()
            run = pretrain(settings_of(recipe, cohort, args.steps), Path(scratch) / recipe)
            for row in rows(recipe, run, time.process_time() - began):
                print(row, flush=True)


if __name__ == "__main__":
    main()
