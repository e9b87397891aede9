"""The rules of docs/decisions that a reader cannot see in one file, held by reading all of them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = "napari_mmssl"
ROOT = Path(__file__).parents[1]
#: From the bottom up: a module imports from its own layer and from those before it.
LAYERS = (
    ("", "errors", "atomic", "registry", "config", "randomness", "pictures", "processors"),
    ("ops", "volumes"),
    ("cohorts", "networks", "metrics"),
    ("sampling",),
    ("objectives", "tasks", "synthesis"),
    ("training", "inference"),
    ("workflows",),
    ("cli", "viewer", "__main__"),
)
GUI = {"napari", "qtpy", "superqt", "magicgui", "pyqtgraph", "vispy", "PyQt5", "PyQt6", "PySide2", "PySide6"}
HEAVY = {"torch", "monai", "torchvision", "safetensors.torch"}
#: Plain data and files that lower layers need, although they stand beside what makes them.
LOWER = {
    "tasks.conventions": "cohorts",
    "tasks.label_convention": "cohorts",
    "tasks.region_table": "cohorts",
    "tasks.convention_choice": "cohorts",
    "tasks.partial_labels": "cohorts",
    "training.weights_archives": "networks",
    "training.weights_cards": "networks",
    "training.weights_files": "networks",
    "training.template_files": "networks",
}
#: What the viewer process and the command line's parser load; those never pay for torch.
LIGHT = (
    *LAYERS[0],
    "ops",
    "volumes",
    "cohorts",
    "metrics",
    "workflows",
    "cli",
    "viewer",
    "__main__",
    "tasks",
    "training.run_folder",
    "training.settings",
    "training.weights_archives",
    "training.weights_cards",
)
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / PACKAGE).rglob("*.py"))
}
FILES = sorted(path for folder in (PACKAGE, "tests", "benchmarks", "scripts") for path in (ROOT / folder).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def import_nodes(node: ast.AST, at_import_time: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield imports under ``node``; with ``at_import_time`` only those that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif at_import_time and (
            isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_type_checking(child)
        ):
            continue
        else:
            yield from import_nodes(child, at_import_time)


def imported_names(module: str, at_import_time: bool = False) -> set[str]:
    """Return dotted names that ``module`` imports: modules, or names out of modules."""
    names = set()
    for node in import_nodes(parsed(MODULES[module]), at_import_time):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"{module} imports relatively; write the whole name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own_modules(module: str, at_import_time: bool = False) -> set[str]:
    """Return modules of this package that ``module`` imports, with the packages they lie in."""
    found = set()
    for name in imported_names(module, at_import_time):
        parts = name.split(".")
        found |= {".".join(parts[:n]) for n in range(1, len(parts) + 1)} & set(MODULES)
    return found - {module}


def part(module: str) -> str:
    """Return which part of the package ``module`` is in: ``volumes``, ``errors``; '' for the package itself."""
    inside = module.removeprefix(f"{PACKAGE}.")
    if inside in LOWER:
        return LOWER[inside]
    return module.split(".")[1] if "." in module else ""


def layer(module: str) -> int:
    found = [number for number, parts in enumerate(LAYERS) if part(module) in parts]
    assert found, f"{module} is in no layer; say in tests/test_architecture.py where it belongs"
    return found[0]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    packages = {name.rpartition(".")[0] for name in own_modules(module)}
    upwards = {other for other in own_modules(module) - packages if layer(other) > layer(module)}
    assert not upwards


def test_parts_of_one_layer_do_not_import_each_other_in_a_circle():
    needs = {part(module): set() for module in MODULES}
    for module in MODULES:
        packages = {name.rpartition(".")[0] for name in own_modules(module)}
        needs[part(module)] |= {part(other) for other in own_modules(module) - packages} - {part(module), ""}
    done: set[str] = set()
    while ready := {name for name, others in needs.items() if name not in done and others <= done}:
        done |= ready
    circle = {name: sorted(others - done) for name, others in needs.items() if name not in done}
    assert not circle


@pytest.mark.parametrize(("door", "other"), [("cli", "viewer"), ("viewer", "cli")])
def test_the_two_doors_know_nothing_of_each_other(door, other):
    crossing = {
        (module, target)
        for module in MODULES
        if part(module) == door
        for target in own_modules(module)
        if part(target) == other
    }
    assert not crossing


def test_only_the_viewer_imports_a_gui():
    offenders = {
        (module, name)
        for module in MODULES
        if part(module) != "viewer"
        for name in imported_names(module)
        if name.split(".")[0] in GUI
    }
    assert not offenders


def is_light(module: str) -> bool:
    inside = module.removeprefix(PACKAGE).removeprefix(".")
    return any(inside == name or (name and inside.startswith(name + ".")) for name in LIGHT)


def loaded_by(module: str) -> set[str]:
    """Return all modules of this package that importing ``module`` loads."""
    loaded: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        parents = {name.rsplit(".", n)[0] for n in range(1, name.count(".") + 1)}
        loaded.add(name)
        waiting |= (own_modules(name, at_import_time=True) | parents) - loaded
    return loaded


@pytest.mark.parametrize("module", [module for module in MODULES if is_light(module)])
def test_light_modules_load_no_torch_however_far_it_is(module):
    heavy = {
        (loaded, name)
        for loaded in loaded_by(module)
        for name in imported_names(loaded, at_import_time=True)
        if any(name == one or name.startswith(one + ".") for one in HEAVY)
    }
    assert not heavy


def test_files_are_short():
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {path: n for path, n in lengths.items() if n > 400}


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of ``function`` without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short():
    lengths = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": body_lines(node)
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: n for name, n in lengths.items() if n > 60}


def test_no_module_is_named_after_nothing():
    empty_words = {"util", "utils", "helper", "helpers", "manager", "common", "misc", "tools", "core"}
    assert not {name for name in MODULES if empty_words & set(name.replace("_", ".").split("."))}


def test_the_package_holds_no_path_of_anybodys_machine():
    marks = ("/home/", "/root/", "/work/", "/Users/", "C:\\")
    assert not {
        (name, mark) for name, path in MODULES.items() for mark in marks if mark in path.read_text(encoding="utf-8")
    }
