"""Open the real viewer on finished runs and leave pictures of it.

``python -m napari_mmssl.viewer.screenshots --demo DIR``: the demo calls it, and so does the documentation. It drives
the widgets as a person would.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUMMARY = "Open the real viewer on finished runs and leave pictures of it."
_LIMIT_S = 60.0
_SETTLE_S = 0.6


@dataclass(frozen=True)
class Material:
    """What is shown, and where the pictures go."""

    cohort: Path
    pretrain: Path
    finetune: Path
    predictions: Path
    case: str
    out: Path


def main(argv: Sequence[str] | None = None) -> int:
    """Take the pictures; return 0, or 1 if something did not show in time."""
    args = _parser().parse_args(argv)
    if not args.keep_open:
        # Pictures must not depend on, or change, the settings of whoever runs this.
        os.environ.setdefault("NAPARI_CONFIG", "")
    import napari

    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(*_size(args.size))
    viewer.theme = args.theme
    try:
        take_pictures(viewer, _material(args), save=not args.keep_open, every=args.every)
    except TimeoutError as error:
        print(f"mmssl screenshots: {error}", file=sys.stderr)  # noqa: T201
        return 1
    if args.keep_open:
        napari.run()
    else:
        viewer.close()
    return 0


def take_pictures(viewer: Any, material: Material, *, save: bool = True, every: bool = False) -> list[Path]:
    """Show the widgets in ``viewer`` one after the other; return the pictures that were saved.

    Parameters
    ----------
    viewer, material
        Where, and what.
    save
        Whether to save pictures, or to leave the window as it is in the end.
    every
        Cases, planes and runs too, and not only puzzle, training and overlay.

    Raises
    ------
    TimeoutError
        If something does not show within a minute.
    """
    from napari_mmssl.viewer.workspace import PLUGIN, WIDGETS, open_workspace

    open_workspace(viewer)
    widgets = {name: viewer.window.dock_widgets[f"{name} ({PLUGIN})"] for name in WIDGETS}
    _open_case(widgets["Cases"], material)
    pictures = []
    scenes = (
        ("cases", "Cases", _show_planes),
        ("puzzle", "Pretext", _show_puzzle),
        ("training", "Train", _show_training),
        ("runs", "Runs", _show_runs),
        ("overlay", "Segment", _show_overlay),
    )
    for name, tab, show in scenes if every else (scenes[1], scenes[2], scenes[4]):
        show(viewer, widgets, material)
        dock = widgets[tab].parent()
        dock.show()
        dock.raise_()
        _settle()
        if save:
            material.out.mkdir(parents=True, exist_ok=True)
            pictures.append(material.out / f"{name}.png")
            viewer.screenshot(str(pictures[-1]), canvas_only=False, flash=False)
    return pictures


def _open_case(cases: Any, material: Material) -> None:
    session = cases.session
    cases.open_cohort(material.cohort)
    _wait(lambda: session.cohort is not None, f"the cohort '{material.cohort}'")
    case = session.cohort.case(material.case)
    cases.open_case(case)
    _wait(lambda: session.case is case, f"the case '{material.case}'")


def _show_planes(viewer: Any, widgets: dict[str, Any], material: Material) -> None:
    from napari_mmssl.viewer.workspace import open_planes

    open_planes(viewer)
    _settle()


def _show_runs(viewer: Any, widgets: dict[str, Any], material: Material) -> None:
    runs = widgets["Runs"]
    runs.parent().show()
    runs.parent().raise_()
    runs.set_folder(material.pretrain.parent)
    _wait(lambda: bool(runs.table.rows), "the runs")
    runs.select([row.path for row in runs.table.rows if row.kind == "finetune"])
    _settle()


def _show_puzzle(viewer: Any, widgets: dict[str, Any], material: Material) -> None:
    from napari_mmssl.viewer.workspace import PLANES

    if PLANES in viewer.window.dock_widgets:
        viewer.window.remove_dock_widget(viewer.window.dock_widgets[PLANES].parent())
    pretext = widgets["Pretext"]
    pretext.set_run(material.pretrain)
    pretext.show_last_picture()
    _wait(lambda: pretext.controls.shows_puzzle, "the puzzle")


def _show_training(viewer: Any, widgets: dict[str, Any], material: Material) -> None:
    widgets["Pretext"].controls.clear()
    train = widgets["Train"]
    train.open_run(material.pretrain)
    _wait(lambda: train.monitor.last is not None and train.monitor.last.ended, "the curves")


def _show_overlay(viewer: Any, widgets: dict[str, Any], material: Material) -> None:
    segment = widgets["Segment"]
    segment.set_weights(material.finetune)
    segment.show_prediction(material.predictions, segment.session.case)
    _wait(lambda: segment.layer is not None, "the prediction")


def _wait(condition: Callable[[], bool], what: str) -> None:
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + _LIMIT_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not show within {_LIMIT_S:.0f} s")
        QApplication.processEvents()
        time.sleep(0.01)


def _settle() -> None:
    """Let layouts, drawing and sliding notifications come to rest."""
    end = time.monotonic() + _SETTLE_S
    _wait(lambda: time.monotonic() > end, "nothing")


def _material(args: argparse.Namespace) -> Material:
    demo = args.demo or Path()
    predictions = args.predictions or demo / "predictions_pretrained"
    predicted = sorted(predictions.glob("*.nii.gz"))
    if args.case is None and not predicted:
        raise SystemExit(f"there is no prediction in '{predictions}'; run mmssl demo first, or name a --case")
    return Material(
        cohort=args.cohort or demo / "cohort",
        pretrain=args.pretrain or demo / "pretrain",
        finetune=args.finetune or demo / "finetune_pretrained",
        predictions=predictions,
        case=args.case or predicted[0].name.removesuffix(".nii.gz"),
        out=args.out or demo,
    )


def _size(words: str) -> tuple[int, int]:
    width, _, height = words.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise SystemExit(f"'{words}' is no size of a window; write it like 1280x800")
    return int(width), int(height)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m napari_mmssl.viewer.screenshots", description=SUMMARY)
    parser.add_argument("--demo", type=Path, metavar="DIR", help="what mmssl demo left; the rest is then found in it")
    for name in ("cohort", "pretrain", "finetune", "predictions", "out"):
        parser.add_argument(f"--{name}", type=Path, metavar="DIR")
    parser.add_argument("--case", metavar="ID", help="which case to show; by default the first that was predicted")
    parser.add_argument("--theme", default="dark", metavar="NAME", help="of napari, such as dark (default) or light")
    parser.add_argument("--size", default="1500x950", metavar="WxH", help="of the window, 1500x950 by default")
    parser.add_argument("--every", action="store_true", help="cases, planes and runs too")
    parser.add_argument("--keep-open", action="store_true", help="take no pictures and leave the window to the person")
    return parser


if __name__ == "__main__":
    sys.exit(main())
