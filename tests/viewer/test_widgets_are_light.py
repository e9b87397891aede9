"""The viewer process never pays for torch, whatever is opened in it; checked in a process of its own."""

import subprocess
import sys

SCRIPT = """
import sys
import napari
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
app = QApplication([])
viewer = ViewerModel()
from npe2 import PluginManager
manager = PluginManager.instance()
manager.discover()
import pyqtgraph
manifest = manager.get_manifest("napari-mmssl")
for contribution in manifest.contributions.widgets:
    widget = contribution.get_callable()(viewer)
for command in manifest.contributions.commands:
    manager.commands.get(command.id)
heavy = {"torch", "monai", "torchvision"} & set(sys.modules)
assert not heavy, heavy
print("light")
"""


def test_opening_every_widget_and_command_loads_neither_torch_nor_monai(tmp_path):
    environment = {"QT_QPA_PLATFORM": "offscreen", "NAPARI_CONFIG": "", "MMSSL_HOME": str(tmp_path)}
    import os

    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=os.environ | environment, capture_output=True, text=True, timeout=120
    )

    assert result.stdout.strip().endswith("light"), result.stderr[-2000:]


def test_the_manifest_is_valid():
    result = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", "napari-mmssl"], capture_output=True, text=True, timeout=120
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "valid" in result.stdout + result.stderr
