"""Hand a trained network on: weights with a full card, and on demand a predictor that torch runs alone."""

import datetime
import json
import os
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from napari_mmssl.atomic import write_text
from napari_mmssl.errors import CheckpointError, RunError, WriteError
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.weights_archives import digest, pack
from napari_mmssl.training.weights_cards import read_card, weights_folder, write_card
from napari_mmssl.workflows.export_card import card_text
from napari_mmssl.workflows.leaks import hand_people_on

#: What stands on the card unless another licence is named.
LICENCE = (
    "not stated: weights are made from the scans they were learned from, and the terms of those decide what may be "
    "done with them; the program is under Apache-2.0"
)


def export(weights: Path, out: Path, *, portable: bool = False, licence: str = LICENCE, people: bool = True) -> Path:
    """Write the weights in ``weights`` as ``out``, for others, and return ``out``.

    That is every safetensors file; of a fine-tuned network the encoder alone too; ``card.json``, to which is added what
    the run folder knows: data, metrics, pretraining, and what each file is (SHA-256); the same in words, ``README.md``.
    No path, no host and no name of a person or case goes along. Everything here that takes a run folder for weights
    takes ``out`` too.

    Parameters
    ----------
    weights
        A run folder, a weights folder, or a file that this wrote.
    out
        Written as one file if it ends in ``.zip``, else as a folder. Must not exist.
    portable
        Write ``predictor.pt2`` too, which needs torch and nothing of this package.
    licence
        Under what terms the weights may be used.
    people
        Write ``people.json`` too: by what scans of the people learned from can be known again, without their names.

    Raises
    ------
    CheckpointError
        If there are no weights in ``weights``, or torch cannot follow the network.
    RunError
        If ``out`` is taken.
    WriteError
        If ``out`` cannot be written.
    """
    card = read_card(weights)
    out = out if out.name else out.absolute()  # "." has no name beside which to write
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise RunError(f"'{out}' is there already; choose another --out")
    aside = out.with_name(f".{os.getpid()}-{out.stem}")
    try:
        aside.mkdir(parents=True)
        _copy_weights(weights, card, aside)
        more = facts(weights, card) | {"licence": licence}
        if portable:
            from napari_mmssl.inference.portable import write_portable

            more["portable"] = write_portable(weights, aside / "predictor.pt2")
        more["people"] = hand_people_on(weights, aside) if people else 0
        more["files"] = {file.name: digest(file) for file in sorted(aside.iterdir())}
        card = _without_paths(card) | {"export": more}
        write_card(aside, card)
        write_text(aside / "README.md", card_text(card))
        _put(aside, out)
    except OSError as error:
        raise WriteError(f"cannot write '{out}': {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return out


def facts(weights: Path, card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a card cannot know while a training runs: data, metrics, pretraining and versions; no names."""
    run = RunFolder(weights_folder(weights).parent)
    known = dict(card.get("export", {}))  # exported again
    if not RunFolder.is_run(run.path):
        return known
    told = run.provenance()
    parents = told.get("parents", [])
    used = told.get("used", {})
    data = {name: told.get("data", {}).get(name) for name in ("layout", "cases", "fingerprint")}
    return {
        "date": datetime.date.today().isoformat(),
        "napari_mmssl": metadata.version("napari-mmssl"),
        "versions": told.get("versions", {}),
        "data": data | {f"{group}_cases": len(cases) for group, cases in used.items()},
        "seed": run.config().get("seed"),
        "steps": run.status().get("step"),
        "metrics": _metrics(run, card),
        "pretraining": _pretraining(Path(parents[0]["path"])) if parents else None,
    }


def _copy_weights(weights: Path, card: Mapping[str, Any], folder: Path) -> None:
    for file in sorted(weights_folder(weights).glob("*.safetensors")):
        shutil.copyfile(file, folder / file.name)
    if card.get("kind") != "finetune" or (folder / "encoder.safetensors").exists():
        return
    from napari_mmssl.training.weights_files import read_weights, write_tensors

    network = read_weights(weights, "network")
    # A task that reads volumes has the encoder of its segmentation.
    parts = {name.removeprefix("segmentation."): one for name, one in network.items()}
    encoder = {name.removeprefix("encoder."): one for name, one in parts.items() if name.startswith("encoder.")}
    write_tensors(folder / "encoder.safetensors", encoder)


def _metrics(run: RunFolder, card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the validation of the weights that were exported: the best of a fine-tuning, the last of others."""
    looks = [event for event in run.events()[0] if event["kind"] == "validation"]
    if not looks:
        return {}
    last = looks[-1]
    best = _best_step(run) if card.get("kind") == "finetune" else None
    chosen = next((event for event in reversed(looks) if event["step"] == best), last)
    return {"on": "validation cases", "step": chosen["step"], **chosen["metrics"]}


def _best_step(run: RunFolder) -> int | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(run.path / "checkpoints" / "best.safetensors"), framework="numpy") as file:
            return int(json.loads((file.metadata() or {})["mmssl"])["step"])
    except (SafetensorError, OSError, ValueError, KeyError):
        return None


def _pretraining(weights: Path) -> dict[str, Any] | None:
    """Return recipe and data of the pretraining, if its run folder is still there."""
    try:
        card = read_card(weights)
    except CheckpointError:
        return None
    return {"recipe": card.get("recipe"), "objectives": card.get("objectives"), **_data_of(weights)}


def _data_of(weights: Path) -> dict[str, Any]:
    told = facts(weights, {})
    return {name: told[name] for name in ("data", "steps") if name in told}


def _without_paths(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card without the folder that the weights began with; its last name stays."""
    began = card.get("weights")
    return dict(card) | ({"weights": Path(str(began)).name} if began else {})


def _put(folder: Path, out: Path) -> None:
    if out.suffix == ".zip":
        pack(folder, out)
    else:
        if out.is_dir():
            out.rmdir()
        os.replace(folder, out)
