import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from napari_mmssl.cli import doctor as command
from napari_mmssl.workflows import doctor
from napari_mmssl.workflows.doctor import Check, Diagnosis, ProbeError


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_packages_that_are_there_are_listed_with_their_versions():
    versions, check = doctor.check_packages(["numpy>=1.0", 'nothing-at-all; extra == "all"'])
    assert check.state == "ok"
    assert versions["numpy"] == __import__("numpy").__version__
    assert "nothing-at-all" not in versions


def test_a_missing_and_an_old_package_are_named_with_the_line_that_installs_them():
    versions, check = doctor.check_packages(["numpy>=999", "no-such-distribution-here>=1.5", "pytest"])
    assert check.state == "problem"
    assert "no-such-distribution-here (missing)" in check.text
    assert check.remedy == 'pip install "numpy>=999" "no-such-distribution-here>=1.5"'
    assert versions["no-such-distribution-here"] is None


def test_a_missing_viewer_is_no_obstacle_to_training():
    _, check = doctor.check_packages(["napari>=999"])
    assert check.state == "warning"


@pytest.mark.parametrize(
    ("versions", "state", "words"),
    [
        ({}, "warning", "none is installed"),
        ({"PyQt6": "6.8", "PySide6": None}, "ok", "PyQt6 6.8"),
        ({"PyQt6": "6.8", "PySide6": "6.7"}, "ok", "pip uninstall PySide6"),
    ],
)
def test_qt_bindings_are_counted(versions, state, words):
    check = doctor.check_binding(versions)
    assert check.state == state
    assert words in check.text
    assert (check.remedy == 'pip install "napari-mmssl[all]"') == (not versions)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
@pytest.mark.parametrize(
    ("environment", "xvfb_run", "state", "can_open"),
    [
        ({"DISPLAY": ":1"}, None, "ok", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "/usr/bin/xvfb-run", "ok", True),
        ({}, "/usr/bin/xvfb-run", "ok", True),
        ({}, None, "warning", False),
    ],
)
def test_a_display_is_looked_for(environment, xvfb_run, state, can_open):
    check, prefix = doctor.check_display(environment, xvfb_run)
    assert check.state == state
    assert (prefix is not None) == can_open
    assert (xvfb_run in (prefix or [])) == (xvfb_run is not None and not environment.get("WAYLAND_DISPLAY"))


def test_a_crashing_driver_is_survived():
    check = doctor.check_opengl(lambda: doctor.run_probe(python("import os; os.abort()")))
    assert check.state == "warning"
    assert "SIGABRT" in check.text


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise RuntimeError('no driver')", "RuntimeError: no driver"),
        ("print('no json')", "ended with code 0"),
        ("import sys; sys.exit(3)", "ended with code 3"),
    ],
)
def test_a_probe_that_gives_no_answer_says_why(code, words):
    with pytest.raises(ProbeError, match=words):
        doctor.run_probe(python(code))


def test_a_probe_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(doctor, "_PROBE_TIMEOUT_S", 0.5)
    with pytest.raises(ProbeError, match="no answer"):
        doctor.run_probe(python("import time; time.sleep(60)"))


def test_a_program_that_is_not_there_is_reported(tmp_path):
    with pytest.raises(ProbeError, match="No such file"):
        doctor.run_probe([str(tmp_path / "nothing")])


def test_the_processor_computes_here():
    *_, device = doctor.check_torch()
    assert (device.name, device.state) == ("device cpu", "ok")


@pytest.mark.gl
def test_opengl_works_where_the_viewer_is_tested():
    check = doctor.check_opengl(lambda: doctor.run_probe(doctor._python("viewer.opengl_probe")))
    assert check.state == "ok", check.text
    assert "OpenGL" in check.text


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it borrows the real one")
def test_the_offscreen_platform_has_no_opengl_and_says_so():
    offscreen = ["env", "-u", "DISPLAY", "QT_QPA_PLATFORM=offscreen", *doctor._python("viewer.opengl_probe")]
    check = doctor.check_opengl(lambda: doctor.run_probe(offscreen))
    assert check.state == "warning"
    assert "'offscreen' gives no OpenGL" in check.text


def test_a_broken_torch_stops_training(monkeypatch):
    monkeypatch.setattr(doctor, "_python", lambda module: python("raise ImportError('libtorch.so')"))
    (check,) = doctor.check_torch()
    assert check.state == "problem"
    assert "libtorch.so" in check.text
    assert check.remedy == "pip install --force-reinstall torch"


def test_a_gpu_that_torch_cannot_see_is_noticed(monkeypatch):
    answer = {"torch": "2.13", "cuda_build": None, "devices": []}
    monkeypatch.setattr(doctor, "run_probe", lambda line: answer)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert doctor.check_torch()[-1].state == "warning"
    assert "sees no GPU" in doctor.check_torch()[-1].text


def test_a_broken_gpu_is_a_problem_since_auto_falls_on_it(monkeypatch):
    broken = {"device": "cuda:0", "name": "card", "memory_gib": 8.0, "problem": "no kernel image"}
    answer = {"torch": "2.13", "cuda_build": "12.8", "devices": [broken]}
    monkeypatch.setattr(doctor, "run_probe", lambda line: answer)
    check = doctor.check_torch()[1]
    assert (check.state, check.text) == ("problem", "card, 8.0 GiB: no kernel image")


def test_threads_are_told_with_who_wants_them(monkeypatch):
    monkeypatch.delenv("MMSSL_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert doctor.check_threads().text.startswith("3, as $OMP_NUM_THREADS says; ")
    monkeypatch.setenv("MMSSL_THREADS", "all")
    check = doctor.check_threads()
    assert (check.state, check.remedy) == ("problem", "unset MMSSL_THREADS OMP_NUM_THREADS")


def test_folders_need_not_exist_yet_but_must_be_possible(tmp_path: Path):
    assert doctor.check_folder("cache folder", tmp_path / "a" / "b").state == "ok"
    (tmp_path / "file").touch()
    blocked = doctor.check_folder("cache folder", tmp_path / "file" / "b")
    assert blocked.state == "problem"
    assert "MMSSL_HOME" in (blocked.remedy or "")
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="Debian and Ubuntu")
def test_the_install_line_names_only_what_is_missing():
    line = doctor.install_line(["dpkg", "no-such-package-here"])
    assert line is not None
    assert line.endswith("apt-get install --no-install-recommends no-such-package-here")
    assert line.startswith("sudo ") == (os.geteuid() != 0)
    assert doctor.install_line(["dpkg"]) is None


def test_the_exit_code_tells_whether_training_works(monkeypatch, capsys):
    well, unwell = Check("a", "ok", "fine"), Check("b", "warning", "no window", "apt-get install xvfb")
    broken = Check("c", "problem", "no torch", "pip install torch")
    for checks, code in (((well, unwell), 0), ((well, broken), 1)):
        monkeypatch.setattr(doctor, "diagnose", lambda checks=checks: Diagnosis({"python": "3.11"}, checks))
        assert command.run(type("Args", (), {"json": True})) == code
        assert json.loads(capsys.readouterr().out)["usable"] == (code == 0)
        assert command.run(type("Args", (), {"json": False})) == code
        lines = capsys.readouterr().out.splitlines()
        assert all(any(line.strip() == check.remedy for line in lines) for check in checks if check.remedy)


def test_the_whole_diagnosis_of_this_machine_names_every_part():
    ran = subprocess.run(
        python(
            "import json; from napari_mmssl.workflows.doctor import diagnose; print(json.dumps(diagnose().to_json()))"
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(ran.stdout)
    names = [check["name"] for check in found["checks"]]
    assert {"packages", "imports", "plugin", "Qt binding", "display", "OpenGL", "torch", "device cpu"} <= set(names)
    assert found["usable"] is True
    assert found["versions"]["napari-mmssl"]


@pytest.mark.parametrize(
    ("python", "binding", "state"),
    [("3.11.7", "6.12.0", "warning"), ("3.11.7", "6.10.2", "ok"), ("3.12.1", "6.12.0", "ok")],
)
def test_a_binding_that_ends_napari_after_a_while_is_named_with_the_way_out(python, binding, state):
    check = doctor.check_binding({"python": python, "PySide6": binding})
    assert check.state == state
    assert (check.remedy == 'pip install "PySide6<6.11"') == (state == "warning")
