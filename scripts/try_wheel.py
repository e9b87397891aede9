"""Use an installed package as a person would: a small demo through, then every widget in a real window.

``scripts/with_display.sh python scripts/try_wheel.py``, run from outside the sources; ``scripts/dist.sh`` does.
"""

import tempfile
from pathlib import Path

import napari
from npe2 import PluginManager

import napari_mmssl
from napari_mmssl.workflows.demo import DemoSize, demo

PLUGIN = "napari-mmssl"


def small_demo(folder: Path) -> None:
    """Run the whole path on a few people, in the time of a coffee."""
    size = DemoSize(cases=8, pretrain_steps=8, finetune_steps=8)
    summary = demo(folder, window=False, size=size, say=print)
    print({key: summary[key] for key in ("dice_scratch", "dice_pretrained", "seconds")})


def open_widgets() -> None:
    """Open each widget of the manifest in one viewer window."""
    viewer = napari.Viewer()
    manifest = PluginManager.instance().get_manifest(PLUGIN)
    for widget in manifest.contributions.widgets or []:
        dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, widget.display_name)
        print("opened:", dock.name)
    viewer.close()


if __name__ == "__main__":
    print("from", Path(napari_mmssl.__file__).parent)
    with tempfile.TemporaryDirectory() as folder:
        small_demo(Path(folder) / "demo")
    open_widgets()
