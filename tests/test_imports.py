"""What is loaded, seen from outside: the statement of test_architecture.py, run instead of read."""

import os
import pkgutil
import subprocess
import sys

import napari_mmssl.viewer

HEAVY = ("torch", "monai", "torchvision")
GUI = ("napari", "qtpy", "PyQt6", "PySide6", "superqt", "magicgui", "pyqtgraph", "vispy")


def loaded_after(code: str) -> set[str]:
    """Return names of the top-level modules in a new process after ``code``."""
    listing = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\n{listing}"],
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_that_counts():
    loaded = loaded_after("import napari_mmssl")
    assert not loaded & {*HEAVY, *GUI, "numpy", "scipy", "pydantic", "nibabel", "SimpleITK", "nilearn"}


def test_parsing_a_command_loads_no_torch_and_no_gui():
    loaded = loaded_after("from napari_mmssl.cli.main import build_parser; build_parser()")
    assert not loaded & {*HEAVY, *GUI}


def test_the_viewer_loads_no_torch():
    modules = [m.name for m in pkgutil.walk_packages(napari_mmssl.viewer.__path__, "napari_mmssl.viewer.")]
    assert not loaded_after("\n".join(f"import {module}" for module in modules)) & set(HEAVY)
