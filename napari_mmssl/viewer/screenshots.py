"""Open the real viewer on finished runs and leave pictures of it.

``python -m napari_mmssl.viewer.screenshots --demo DIR``: the demo calls it, and so does the documentation. It drives
the widgets as a person would.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mmssl.viewer.screenshot_scenes import SCENES, Material, open_case, settle

if TYPE_CHECKING:
    import numpy as np

SUMMARY = "Open the real viewer on finished runs and leave pictures of it."


def main(argv: Sequence[str] | None = None) -> int:
    """Take the pictures; return 0, or 1 if something did not show in time."""
    args = _parser().parse_args(argv)
    if args.keep_open:
        return _show(args)
    # Pictures must not depend on, or change, the settings and runs of whoever takes them.
    os.environ.setdefault("NAPARI_CONFIG", "")
    with tempfile.TemporaryDirectory(prefix="mmssl-") as home:
        os.environ["MMSSL_HOME"] = home
        return _show(args)


def _show(args: argparse.Namespace) -> int:
    import napari

    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(*_size(args.size))
    viewer.theme = args.theme
    try:
        take_pictures(viewer, _material(args), save=not args.keep_open, every=args.every)
    except TimeoutError as error:
        print(f"mmssl screenshots: {error}", file=sys.stderr)  # noqa: T201
        viewer.close()
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
        Every widget, and not only puzzle, training and overlay.

    Raises
    ------
    TimeoutError
        If something does not show in time.
    """
    from napari_mmssl.viewer.workspace import open_dock, open_workspace

    open_workspace(viewer)
    open_case(open_dock(viewer, "Cases"), material)
    pictures = []
    for scene in (scene for scene in SCENES if (every or scene.demo) and scene.possible(material)):
        widget = open_dock(viewer, scene.widget)
        scene.show(viewer, widget, material)
        settle()
        if save:
            material.out.mkdir(parents=True, exist_ok=True)
            pictures.append(material.out / f"{scene.name}.png")
            # The last word on what the mouse is over would stay from the scene before.
            viewer.status, viewer.help = "", ""
            _save(viewer.screenshot(canvas_only=False, flash=False), pictures[-1])
        scene.leave(viewer, widget)
    return pictures


def _save(picture: "np.ndarray", path: Path) -> None:
    """Write a picture in as few bytes as it takes; fewer colours would change those of legends."""
    from PIL import Image

    Image.fromarray(picture[..., :3]).save(path, optimize=True)


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
        synthesis=args.synthesis or demo / "synthesis",
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
    for name in ("cohort", "pretrain", "finetune", "predictions", "synthesis", "out"):
        parser.add_argument(f"--{name}", type=Path, metavar="DIR")
    parser.add_argument("--case", metavar="ID", help="which case to show; by default the first that was predicted")
    parser.add_argument("--theme", default="dark", metavar="NAME", help="of napari, such as dark (default) or light")
    parser.add_argument("--size", default="1500x950", metavar="WxH", help="of the window, 1500x950 by default")
    parser.add_argument("--every", action="store_true", help="every widget")
    parser.add_argument("--keep-open", action="store_true", help="take no pictures and leave the window to the person")
    return parser


if __name__ == "__main__":
    sys.exit(main())
