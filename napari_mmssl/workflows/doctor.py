"""Look at this installation: what is there, what works, and the line that mends what does not.

Only the standard library is imported at the top, so that a broken dependency is reported and not met.
"""

import importlib.metadata
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from napari_mmssl import __version__
from napari_mmssl.errors import ConfigError
from napari_mmssl.processors import THREADS_ASKED, thread_count, usable_cores
from napari_mmssl.workflows.system_packages import OPENGL, VIRTUAL_DISPLAY

#: ``problem``: training or prediction cannot work. ``warning``: they can, but the viewer or some comfort cannot.
State = Literal["ok", "warning", "problem"]
DISTRIBUTION = "napari-mmssl"
BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")
#: Only the viewer needs these of our dependencies.
VIEWER_ONLY = {"napari", "magicgui", "qtpy", "superqt", "pyqtgraph"}
LOW_SPACE_GIB = 2
_READERS = ("numpy", "scipy", "nibabel", "SimpleITK", "pydantic", "safetensors")
_PROBE_TIMEOUT_S = 120
_REINSTALL = f"pip install --force-reinstall {DISTRIBUTION}"
_INSTALL_ALL = f'pip install "{DISTRIBUTION}[all]"'


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, and the exact line that mends it if it is not well."""

    name: str
    state: State
    text: str
    remedy: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """Versions by distribution name, and every check in the order in which they depend on each other."""

    versions: dict[str, str | None]
    checks: tuple[Check, ...]

    @property
    def usable(self) -> bool:
        """Whether training and prediction work here; a missing viewer is no obstacle to them."""
        return all(check.state != "problem" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return the form that ``mmssl doctor --json`` prints."""
        return {"usable": self.usable, "versions": self.versions, "checks": [asdict(check) for check in self.checks]}


def diagnose() -> Diagnosis:
    """Examine this installation; takes some seconds and raises nothing, whatever is broken."""
    versions, packages = check_packages(importlib.metadata.requires(DISTRIBUTION) or [])
    binding = check_binding(versions)
    checks = [packages, check_imports(), check_manifest(), binding, *check_window(any(map(versions.get, BINDINGS)))]
    checks += [*check_torch(), check_threads(), *check_folders()]
    return Diagnosis(versions, tuple(checks))


def check_packages(requirements: Sequence[str]) -> tuple[dict[str, str | None], Check]:
    """Compare what is installed with ``requirements`` (as in the package's metadata; extras do not count)."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return {}, Check("packages", "problem", "the package 'packaging' is missing", _REINSTALL)
    versions: dict[str, str | None] = {"python": platform.python_version(), DISTRIBUTION: __version__}
    unmet, n_needed = [], 0
    for line in requirements:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        n_needed += 1
        versions[requirement.name] = _version(requirement.name)
        if not requirement.specifier.contains(versions[requirement.name] or "0", prereleases=True):
            unmet.append(requirement)
    for binding in BINDINGS:
        if _version(binding):
            versions[binding] = _version(binding)
    if not unmet:
        return versions, Check("packages", "ok", f"all {n_needed} that are needed, each new enough")
    state: State = "warning" if {one.name for one in unmet} <= VIEWER_ONLY else "problem"
    text = "missing or too old: " + ", ".join(f"{one.name} ({versions[one.name] or 'missing'})" for one in unmet)
    remedy = "pip install " + " ".join(f'"{one.name}{one.specifier}"' for one in unmet)
    return versions, Check("packages", state, text, remedy)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_imports() -> Check:
    """Import what reads and computes, in a process of its own: a package can be there and be broken."""
    code = f"import {', '.join(_READERS)}; print('{{}}')"
    try:
        run_probe([sys.executable, "-c", code])
    except ProbeError as error:
        return Check("imports", "problem", f"a package is installed and cannot be used: {error}", _REINSTALL)
    return Check("imports", "ok", f"{', '.join(_READERS)} can be used")


def check_manifest() -> Check:
    """Look whether napari will find the plugin."""
    registered = [point.name for point in importlib.metadata.entry_points(group="napari.manifest")]
    if DISTRIBUTION in registered:
        return Check("plugin", "ok", "registered with napari")
    remedy = f"pip install --force-reinstall --no-deps {DISTRIBUTION}"
    return Check("plugin", "warning", "napari does not know the plugin: its entry point is missing", remedy)


def check_binding(versions: dict[str, str | None]) -> Check:
    """Look which Qt binding the viewer would use."""
    found = [f"{name} {versions[name]}" for name in BINDINGS if versions.get(name)]
    if not found:
        return Check("Qt binding", "warning", "none is installed, so there is no viewer", _INSTALL_ALL)
    if len(found) > 1:
        extra = " ".join(name.split()[0] for name in found[1:])
        return Check("Qt binding", "ok", f"{' and '.join(found)}; one is enough: pip uninstall {extra}")
    version = versions.get("PySide6")
    if version and _parts(version) >= (6, 11) and _parts(str(versions.get("python"))) < (3, 12):
        text = f"{found[0]} ends napari on Python 3.11 after some thousand slices: it drops references to None"
        return Check("Qt binding", "warning", text, 'pip install "PySide6<6.11"')
    return Check("Qt binding", "ok", found[0])


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


def check_window(has_binding: bool) -> list[Check]:
    """Look for a display and, where there is one and a Qt binding, open an OpenGL window on it."""
    display, prefix = check_display(os.environ, shutil.which("xvfb-run"))
    if not has_binding or prefix is None:
        why = "not tried for want of a display" if has_binding else "not tried for want of a Qt binding"
        return [display, Check("OpenGL", "warning", why, display.remedy if has_binding else _INSTALL_ALL)]
    return [display, check_opengl(lambda: run_probe([*prefix, *_python("viewer.opengl_probe")]))]


def check_display(environment: Any, xvfb_run: str | None) -> tuple[Check, list[str] | None]:
    """Look for a display; also return what to put before a command so that it has one, ``None`` if nothing does."""
    for name in ("WAYLAND_DISPLAY", "DISPLAY"):
        if environment.get(name):
            return Check("display", "ok", f"{name}={environment[name]}"), []
    if sys.platform != "linux":
        return Check("display", "ok", platform.system()), []
    if xvfb_run:
        # Qt takes the offscreen platform, which has no OpenGL, before any display.
        prefix = ["env", "-u", "QT_QPA_PLATFORM", xvfb_run, "-a", "-s", "-screen 0 1280x1024x24 +extension GLX"]
        return Check("display", "ok", "none, but a virtual one can be had (xvfb-run)"), prefix
    remedy = install_line(VIRTUAL_DISPLAY)
    return Check("display", "warning", "none, neither real nor virtual, so no window can open", remedy), None


def check_opengl(probe: Callable[[], dict[str, Any]]) -> Check:
    """Say what draws the viewer's window."""
    try:
        found = probe()
    except ProbeError as error:
        remedy = install_line(OPENGL) or "update the driver of the graphics card"
        return Check("OpenGL", "warning", f"no OpenGL window can be opened: {error}", remedy)
    text = f"{found['renderer']}, OpenGL {found['opengl']}, textures up to {found['texture']}, drawn through "
    text += f"{found['qt']} on '{found['platform']}'"
    in_software = any(word in found["renderer"].lower() for word in ("llvmpipe", "softpipe", "swiftshader"))
    return Check("OpenGL", "ok", f"{text}; in software, so 3-D views are slow" if in_software else text)


def check_torch() -> list[Check]:
    """Try torch on every device that it sees."""
    try:
        found = run_probe(_python("training.device_probe"))
    except ProbeError as error:
        remedy = "pip install --force-reinstall torch"
        return [Check("torch", "problem", f"torch cannot be used: {error}", remedy)]
    build = f"for CUDA {found['cuda_build']}" if found["cuda_build"] else "without CUDA"
    checks = [Check("torch", "ok", f"{found['torch']}, built {build}")]
    checks += [_check_device(one) for one in found["devices"]]
    if shutil.which("nvidia-smi") and not any(one["device"].startswith("cuda") for one in found["devices"]):
        text = "there is an NVIDIA driver, but torch sees no GPU"
        if found["cuda_build"]:
            checks.append(Check("GPU", "warning", text, "nvidia-smi  # is the driver new enough for this CUDA?"))
        else:
            remedy = "pip install --force-reinstall torch  # with the index from pytorch.org/get-started"
            checks.append(Check("GPU", "warning", text, remedy))
    return checks


def _check_device(found: dict[str, Any]) -> Check:
    name = f"device {found['device']}"
    memory = f", {found['memory_gib']} GiB" if "memory_gib" in found else ""
    if found["problem"] is None:
        return Check(name, "ok", f"{found['name']}{memory}: tested, computes as it should")
    # --device auto falls on a GPU, so a broken one stops training unless another device is asked for.
    state: State = "warning" if found["device"] == "mps" else "problem"
    remedy = "pip install --force-reinstall torch" if found["device"] == "cpu" else "mmssl pretrain ... --device cpu"
    return Check(name, state, f"{found['name']}{memory}: {found['problem']}", remedy)


def check_threads() -> Check:
    """Say in how many threads is computed, and who wants it so."""
    try:
        count = thread_count()
    except ConfigError as error:
        return Check("threads", "problem", str(error), f"unset {' '.join(THREADS_ASKED)}")
    asked = next((f"as ${name} says" for name in THREADS_ASKED if os.environ.get(name)), "all that may be used")
    return Check("threads", "ok", f"{count}, {asked}; {usable_cores()} of {os.cpu_count()} cores may be used")


def check_folders() -> list[Check]:
    """Look at the folders that are written without being asked for."""
    try:
        from napari_mmssl.cohorts.prepare import cache_folder
    except ImportError:
        return []  # Already reported by check_imports.
    return [check_folder("cache folder", cache_folder()), check_folder("working folder", Path.cwd())]


def check_folder(name: str, folder: Path) -> Check:
    """Look whether ``folder``, or the nearest one above it that exists, can be written and has room."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        remedy = "export MMSSL_HOME=FOLDER  # one that can be written" if name == "cache folder" else None
        return Check(name, "problem" if remedy else "warning", f"'{folder}' cannot be written", remedy)
    free_gib = shutil.disk_usage(existing).free / 2**30
    text = f"'{folder}', {free_gib:.0f} GiB free"
    return Check(name, "warning" if free_gib < LOW_SPACE_GIB else "ok", text)


class ProbeError(Exception):
    """A probing process did not give an answer; the text says how it ended."""


def run_probe(command: Sequence[str]) -> dict[str, Any]:
    """Run a probing process and return the JSON on its last line.

    Raises
    ------
    ProbeError
        If it ends badly, by a signal, or not at all.
    """
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ProbeError(f"no answer in {_PROBE_TIMEOUT_S} s") from error
    except OSError as error:
        raise ProbeError(str(error)) from error
    if ran.returncode < 0:
        raise ProbeError(f"the process crashed ({signal.Signals(-ran.returncode).name})")
    try:
        return dict(json.loads(ran.stdout.splitlines()[-1]))
    except (IndexError, ValueError) as error:
        said = ran.stderr.strip().splitlines()
        raise ProbeError(said[-1] if said else f"the process ended with code {ran.returncode}") from error


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", f"napari_mmssl.{module}"]


def install_line(packages: Sequence[str]) -> str | None:
    """Return the line that installs those of ``packages`` that Debian or Ubuntu lacks; ``None`` elsewhere."""
    if shutil.which("apt-get") is None:
        return None
    missing = [name for name in packages if not _is_installed(name)]
    if not missing:
        return None
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install --no-install-recommends {' '.join(missing)}"


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}\n", package, f"{package}t64"]
    return "installed" in subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
