"""run.py as a user meets it: a copy of it in a small project whose one package is a wheel made here (no network)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="starts and kills POSIX processes")

ECHO = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "folder": os.getcwd(), "version": __import__("OsteoScreenLib").VERSION}))
sys.exit(len(sys.argv) - 1)
"""


def write_wheel(folder: Path, version: str) -> None:
    name = f"osteoscreen-{version}-py3-none-any.whl"
    info = f"osteoscreen-{version}.dist-info"
    files = {
        "OsteoScreenLib/__init__.py": f"VERSION = {version!r}\n",
        "OsteoScreenLib/__main__.py": ECHO,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: osteoscreen\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / name, "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)
    (folder / "requirements-dev.txt").write_text(f"./{name}\n")


def project(folder: Path, repository: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(repository / "run.py", folder)
    for name in ("pyproject.toml", "setup.py"):
        (folder / name).write_text("")
    write_wheel(folder, "1.0")
    return folder


def gate(folder: Path) -> Path:
    """Let the installation wait until :func:`open_gate` gives the requirements to what is returned."""
    os.mkfifo(folder / "gate.txt")
    (folder / "requirements-dev.txt").write_text("-r gate.txt\n")
    return folder / "gate.txt"


def open_gate(closed: Path, requirements: str, waiting: subprocess.Popen[str]) -> None:
    """Wait until pip has come to read, and let it go on."""
    deadline = time.monotonic() + 300
    while True:
        with contextlib.suppress(OSError):  # nobody reads yet
            handle = os.open(closed, os.O_WRONLY | os.O_NONBLOCK)
            break
        assert waiting.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    with os.fdopen(handle, "w") as file:
        file.write(requirements)
    closed.unlink()
    closed.write_text(requirements)


def run(folder: Path, *arguments: str, python: str = sys.executable, **options) -> subprocess.CompletedProcess:
    # No index is asked for anything: what is not in the folder must not be needed.
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_NO_INPUT": "1"}
    return subprocess.run(
        [python, str(folder / "run.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        **options,
    )


Uses = tuple[Path, subprocess.CompletedProcess, subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def first_uses(tmp_path_factory, repository) -> Uses:
    """Return a project and its first two uses, of which the second began while the first made the environment."""
    folder = project(tmp_path_factory.mktemp("a clone"), repository)
    requirements = (folder / "requirements-dev.txt").read_text()
    closed = gate(folder)

    begun: list[subprocess.Popen[str]] = []

    def begin(awaited: str) -> str:
        process = subprocess.Popen(
            [sys.executable, str(folder / "run.py"), "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PIP_NO_INDEX": "1", "PIP_NO_INPUT": "1"},
            start_new_session=True,
        )
        begun.append(process)
        said = process.stderr.readline()
        assert awaited in said
        return said

    def end(process: subprocess.Popen[str], said: str) -> subprocess.CompletedProcess:
        out, more = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, said + more)

    try:
        said = [begin("Making the environment"), begin("waiting for it")]
        open_gate(closed, requirements, begun[0])
        first, second = map(end, begun, said)
    except BaseException:
        for process in begun:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        raise
    return folder, first, second


@pytest.fixture(scope="module")
def installed(first_uses: Uses) -> Path:
    return first_uses[0]


@pytest.fixture
def clone(installed, tmp_path) -> Path:
    """Return the installed project, moved; that alone asks for an update."""
    return Path(shutil.copytree(installed, tmp_path / "clone", symlinks=True))


def test_later_uses_hand_over_silently_with_arguments_folder_and_exit_status(installed, tmp_path):
    (tmp_path / "OsteoScreenLib.py").write_text("raise SystemExit('the caller\\'s folder got in the way')")
    answer = run(installed, "screen", "a folder", "--l1=-812.5", cwd=tmp_path)
    assert answer.stderr == ""
    assert answer.returncode == 3
    assert '["screen", "a folder", "--l1=-812.5"]' in answer.stdout
    assert str(tmp_path) in answer.stdout


def test_handing_over_costs_less_than_a_tenth_of_a_second_of_the_processor(installed):
    python = installed / ".venv" / "bin" / "python"

    def seconds(command: list[str]) -> float:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return used.ru_utime + used.ru_stime

    direct, through = [], []
    for _ in range(5):
        direct.append(seconds([str(python), "-I", "-m", "OsteoScreenLib", "demo"]))
        through.append(seconds([sys.executable, str(installed / "run.py"), "demo"]))
    assert min(through) - min(direct) < 0.1, (statistics.median(through), statistics.median(direct))


def test_changed_requirements_are_installed(clone):
    write_wheel(clone, "1.1")
    with (clone / "requirements-dev.txt").open("a") as requirements:
        requirements.write("pip\n")
    answer = run(clone, "demo")
    assert '"version": "1.1"' in answer.stdout, answer.stderr
    assert "bringing .venv up to date" in answer.stderr and "Successfully installed" in answer.stderr
    satisfied = "Requirement already satisfied: pip"
    assert satisfied not in answer.stderr
    assert satisfied in (clone / ".venv" / "osteoscreen-install.log").read_text()
    assert run(clone, "demo").stderr == ""


def test_an_install_that_pip_refuses_says_so_and_goes_on_when_it_can(clone):
    good = (clone / "requirements-dev.txt").read_text()
    (clone / "requirements-dev.txt").write_text("./absent-1.0-py3-none-any.whl\n")
    answer = run(clone, "demo")
    assert answer.returncode == 1
    assert "run.py: pip could not install the packages" in answer.stderr
    assert "absent-1.0" in answer.stderr, "pip's own reason stands above"
    assert not (clone / ".venv" / "osteoscreen-ready").exists()
    (clone / "requirements-dev.txt").write_text(good)
    answer = run(clone, "demo")
    assert '["demo"]' in answer.stdout, answer.stderr
    assert "Making the environment" not in answer.stderr


def test_an_index_out_of_reach_is_called_that(clone):
    (clone / "requirements-dev.txt").write_text("a-package-that-is-needed\n")
    no_index_here = "http://127.0.0.1:9/simple"
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PIP_") and not name.lower().endswith("_proxy")
    }
    environment.update(PIP_INDEX_URL=no_index_here, PIP_RETRIES="0", PIP_CONFIG_FILE=os.devnull)
    answer = subprocess.run(
        [sys.executable, str(clone / "run.py"), "demo"],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert answer.returncode == 1
    assert "The package index could not be reached" in answer.stderr


def test_a_killed_first_use_is_repaired(tmp_path, repository):
    folder = project(tmp_path, repository)
    requirements = (folder / "requirements-dev.txt").read_text()
    closed = gate(folder)
    process = subprocess.Popen(
        [sys.executable, str(folder / "run.py"), "demo"], stderr=subprocess.DEVNULL, start_new_session=True
    )
    python = folder / ".venv" / "bin" / "python"
    deadline = time.monotonic() + 300
    while not python.exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert python.exists()
    assert not (folder / ".venv" / "osteoscreen-ready").exists()
    closed.unlink()
    (folder / "requirements-dev.txt").write_text(requirements)
    answer = run(folder, "demo")
    assert "not whole: making it anew" in answer.stderr
    assert '["demo"]' in answer.stdout


def test_two_first_uses_at_once_make_one_environment(first_uses):
    _, first, second = first_uses
    assert (first.returncode, second.returncode) == (1, 1), (first, second)
    for one in (first, second):
        assert one.stdout.startswith('{"arguments": ["demo"]'), "the set-up must not write where the JSON goes"
        assert one.stdout.count("\n") == 1
    said = first.stderr + second.stderr
    assert said.count("Making the environment") == 1 and said.count("OsteoScreen is set up.") == 1, said
    assert said.count("waiting for it") == 1, said


def test_help_needs_no_environment(tmp_path, repository):
    folder = project(tmp_path, repository)
    for arguments in ([], ["--help"]):
        answer = run(folder, *arguments)
        assert answer.returncode == 0
        assert "usage: python3 run.py" in answer.stdout
    assert not (folder / ".venv").exists()


def old_pythons() -> list[str]:
    places = [Path.home() / ".pyenv" / "versions", Path("/usr/bin"), Path("/usr/local/bin")]
    names = [
        place / name
        for place in places
        if place.is_dir()
        for name in (
            ["python3.6", "python3.7", "python3.8", "python3.9"]
            if place.name == "bin"
            else [
                f"{version.name}/bin/python3"
                for version in place.iterdir()
                if version.name.startswith(("3.6", "3.7", "3.8", "3.9"))
            ]
        )
    ]
    return [str(name) for name in names if name.exists()]


def test_an_old_python_is_told_which_one_is_needed(tmp_path, repository):
    pythons = old_pythons()
    if not pythons:
        pytest.skip("no Python older than 3.10 on this machine")
    folder = project(tmp_path, repository)
    for python in pythons:
        answer = run(folder, "demo", python=python)
        assert answer.returncode == 1
        assert answer.stderr.startswith("run.py: OsteoScreen needs Python 3.10 or later; this is Python 3.")
        assert answer.stderr.count("\n") == 1


def test_a_python_without_venv_is_told_what_to_install(tmp_path, repository):
    folder = project(tmp_path, repository)
    # A Python whose venv cannot be found, as on systems that ship it as a package of its own.
    code = (
        "import importlib.util as u, runpy, sys; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'venv' else find(name, *rest)\n"
        f"sys.argv = ['run.py', 'demo']; runpy.run_path({str(folder / 'run.py')!r}, run_name='__main__')"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "no venv module" in answer.stderr
