"""The scripts that run the modules in a real Slicer: they pass where all is well, and believe no exit code."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

TESTING = Path(__file__).resolve().parent
CI = TESTING / "ci"
sys.path[:0] = [str(TESTING), str(CI)]
import get_slicer  # noqa: E402 (found on the path above)
import slicer_host  # noqa: E402

WORKFLOWS = sorted((TESTING.parent / ".github" / "workflows").glob("*.yml"))
posix = pytest.mark.skipif(os.name != "posix", reason="stands for Slicer with a script that has to be executable")

#: Stands for Slicer where no module matters: runs the script, in which ``slicer`` knows only how to end.
SMALL = """#!{python}
import runpy, sys, types
app = types.SimpleNamespace(applicationVersion="5.12", os="here", arch="this")
sys.modules["slicer"] = types.SimpleNamespace(app=app, util=types.SimpleNamespace(exit=lambda code: sys.exit(0)))
runpy.run_path(sys.argv[sys.argv.index("--python-script") + 1], run_name="__main__")
"""


@pytest.fixture
def slicer(tmp_path: Path) -> Callable[[str], Path]:
    """Give a function that makes a program of a script and returns it."""

    def make(text: str) -> Path:
        path = tmp_path / "Slicer"
        path.write_text(text.format(python=sys.executable), encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


def run(program: Path, script: Path, *words: str, scripts: Path = CI) -> subprocess.CompletedProcess[str]:
    # With a DISPLAY no virtual one is started; the stand-ins show nothing.
    environment = {**os.environ, "DISPLAY": ":0", "SLICER": str(program), "SLICER_MODULE_PATHS": ""}
    command = [sys.executable, str(scripts / "run_in_slicer.py"), str(script), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


# -- a module that Slicer drops


@pytest.fixture
def host(slicer: Callable[[str], Path]) -> Path:
    """A Slicer made of the host."""
    if slicer_host.missing():
        pytest.skip(slicer_host.missing())
    return slicer(f'#!/bin/sh\nexec {sys.executable} {CI / "host_as_slicer.py"} "$@"\n')


@posix
def test_both_modules_load(host: Path) -> None:
    done = run(host, CI / "load_modules.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sample data: ['OsteoScreenSimulatedCT']" in done.stdout


@posix
def test_a_module_that_slicer_drops_fails_the_step(host: Path, repository: Path, tmp_path: Path) -> None:
    for module in ("OsteoScreen", "OsteoScreenTraining"):
        (tmp_path / module).mkdir()
        for path in (repository / module).iterdir():
            (tmp_path / module / path.name).symlink_to(path)
    broken = tmp_path / "OsteoScreenTraining" / "OsteoScreenTraining.py"
    broken.unlink()
    broken.write_text((repository / "OsteoScreenTraining" / broken.name).read_text() + "\ndef broken(:\n")
    done = run(host, CI / "load_modules.py", "--modules", str(tmp_path))
    assert done.returncode == 1
    assert "Slicer dropped the module OsteoScreenTraining" in done.stdout
    assert "SyntaxError" in done.stderr


# -- a Slicer that says nothing, or something else


@posix
def test_a_script_that_comes_to_its_end_passes_whatever_slicer_ends_with(slicer, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(CI)!r})\nimport reporting\nreporting.finish(lambda: None)\n"
    )
    assert run(slicer(SMALL.replace("sys.exit(0)", "sys.exit(7)")), script).returncode == 0


@posix
@pytest.mark.parametrize(
    "program",
    [
        "#!/bin/sh\nexit 0\n",
        '#!/bin/sh\necho "OSTEOSCREEN-CI passed"\necho "OSTEOSCREEN-CI 0123 passed" > "$OSTEOSCREEN_CI_LOG"\n',
        '#!/bin/sh\necho "OSTEOSCREEN-CI $OSTEOSCREEN_CI_WORD" > "$OSTEOSCREEN_CI_LOG"\n',
    ],
    ids=["nothing was run", "another start's marker", "half a marker"],
)
def test_a_slicer_that_ends_with_0_but_without_the_marker_fails_the_step(slicer, program: str) -> None:
    done = run(slicer(program), CI / "load_modules.py")
    assert done.returncode == 1 and "Slicer ended with 0." in done.stdout


@posix
def test_a_slicer_that_hangs_is_killed_with_what_it_started(slicer, tmp_path: Path) -> None:
    program = slicer(f"#!/bin/sh\nsleep 3600 &\necho $! > {tmp_path}/pid\nwait\n")
    for seconds in ("1", "10", "60"):  # on a busy machine it may be killed before it has started anything
        done = run(program, CI / "load_modules.py", "--timeout", seconds)
        assert done.returncode == 1 and "was killed" in done.stdout
        if (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text().endswith("\n"):
            break
    child = int((tmp_path / "pid").read_text())
    for _ in range(600):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("what Slicer started goes on")


@posix
@pytest.mark.parametrize(("body", "code"), [("pass", 0), ("self.fail('no')", 1), ("import no_such_package", 1)])
def test_the_modules_tests_are_found_and_believed(slicer, tmp_path: Path, body: str, code: int) -> None:
    shutil.copytree(CI, tmp_path / "Testing" / "ci")
    tests = tmp_path / "Module" / "Testing" / "Slicer"
    tests.mkdir(parents=True)
    case = f"import unittest\nclass SomeTest(unittest.TestCase):\n    def test_it(self):\n        {body}\n"
    (tests / "SomeTest.py").write_text(case, encoding="utf-8")
    scripts = tmp_path / "Testing" / "ci"
    done = run(slicer(SMALL), scripts / "run_tests.py", scripts=scripts)
    assert done.returncode == code, done.stdout + done.stderr
    assert "test_it (SomeTest.SomeTest" in done.stdout
    assert run(slicer(SMALL), scripts / "run_tests.py", "OtherTest.py", scripts=scripts).returncode == 1, "none ran"


@posix
def test_one_of_several_files_that_fails_fails_the_step_and_is_named(slicer, tmp_path: Path) -> None:
    shutil.copytree(CI, tmp_path / "Testing" / "ci")
    tests = tmp_path / "Module" / "Testing" / "Slicer"
    tests.mkdir(parents=True)
    for name, body in (("First", "pass"), ("Second", "import os; os._exit(0)"), ("Third", "pass")):
        case = f"import unittest\nclass {name}Test(unittest.TestCase):\n    def test_it(self):\n        {body}\n"
        (tests / f"{name}Test.py").write_text(case, encoding="utf-8")
    scripts = tmp_path / "Testing" / "ci"
    files = [f"Module/Testing/Slicer/{name}Test.py" for name in ("First", "Second", "Third")]
    done = run(slicer(SMALL), scripts / "run_tests.py", "--each", *files, scripts=scripts)
    assert done.returncode == 1
    assert "SecondTest.py did not come to its end" in done.stderr
    assert "FirstTest.py" not in done.stderr and "ThirdTest.py" not in done.stderr
    assert done.stdout.count("passed") == 2, "the files after it were run all the same"


# -- the download


def package() -> bytes:
    """Return a package of Slicer for Linux, as the server has them: one folder with the program in it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        program = b"#!/bin/sh\nexit 0\n"
        entry = tarfile.TarInfo("Slicer-5.12.0-linux-amd64/Slicer")
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
    return content.getvalue()


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as download.slicer.org does."""

    def __init__(self, content: bytes, announced: dict[str, object], *rest: object) -> None:
        self.content, self.announced = content, announced
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.path == "/find?os=linux&stability=release":
            self._answer(json.dumps(self.announced).encode())
        elif self.path == "/bitstream/1":
            self.send_response(302)
            self.send_header("Location", "/package")
            self.end_headers()
        elif self.path == "/package":
            self._answer(self.content)
        else:
            self.send_error(404)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Callable[..., str]]:
    """Give a function that starts a server with a package and what it says of it, and returns its address."""
    started: list[http.server.ThreadingHTTPServer] = []

    def start(content: bytes, **announced: object) -> str:
        said = {"download_url": "/bitstream/1", "sha512": hashlib.sha512(content).hexdigest(), "version": "5.12.0"}
        handler = partial(Server, content, said | announced)
        started.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=started[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{started[-1].server_port}"

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


@pytest.mark.skipif(sys.platform != "linux", reason="the package is Linux's")
def test_slicer_is_found_downloaded_and_unpacked(server, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("GITHUB_ENV", str(tmp_path / "env"))
    folder = tmp_path / "slicer"
    assert get_slicer.main(["release", "-o", str(folder), "--server", server(package())]) == 0
    program = folder / "Slicer-5.12.0-linux-amd64" / "Slicer"
    assert capsys.readouterr().out.splitlines()[-1] == str(program)
    assert (tmp_path / "env").read_text() == f"SLICER={program}\n"
    assert subprocess.run([program], check=False).returncode == 0
    assert not list(folder.glob("*.gz"))


@pytest.mark.skipif(sys.platform != "linux", reason="the package is Linux's")
@pytest.mark.parametrize(
    ("content", "announced", "sentence"),
    [
        (package(), {"sha512": "0" * 128}, "is not what the server announced"),
        (package(), {"sha512": None}, "without an address or a SHA-512"),
        (package(), {"download_url": "/bitstream/2"}, "cannot be downloaded"),
    ],
    ids=["another hash", "no hash", "no such package"],
)
def test_a_download_that_is_not_as_announced_leaves_nothing(
    server, tmp_path: Path, capsys, content: bytes, announced: dict[str, object], sentence: str
) -> None:
    folder = tmp_path / "slicer"
    assert get_slicer.main(["release", "-o", str(folder), "--server", server(content, **announced)]) == 1
    assert sentence in capsys.readouterr().err
    assert not folder.exists()


# -- the workflows


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_there_are_the_two_workflows() -> None:
    assert [path.stem for path in WORKFLOWS] == ["engine", "slicer"]


def test_a_workflow_names_scripts_that_are_there_and_pins_its_actions(workflow: Path, repository: Path) -> None:
    document = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    for job in document["jobs"].values():
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])
            for name in re.findall(r"\S+\.(?:py|sh)\b|\.ci/run", step.get("run", "")):
                assert list(repository.glob(name)), name


def test_the_workflow_for_slicer_believes_only_markers(repository: Path) -> None:
    document = yaml.safe_load((repository / ".github/workflows/slicer.yml").read_text(encoding="utf-8"))
    job = document["jobs"]["modules"]
    matrix = job["strategy"]["matrix"]
    assert matrix["stability"] == ["release", "nightly"] and len(matrix["os"]) == 3
    steps = [step["run"] for step in job["steps"] if "run" in step]
    in_slicer = [re.findall(r"Testing/ci/(\w+)\.py", run) for run in steps if "run_in_slicer.py" in run]
    assert [names[-1] for names in in_slicer] == [
        "load_modules", "install_extension", "install_packages", "load_modules", "run_tests"
    ]  # fmt: skip
    # A module that a preview drops fails the workflow; its tests alone may fail there.
    assert "continue-on-error" not in job
    lenient = [step["run"] for step in job["steps"] if "continue-on-error" in step]
    assert len(lenient) == 1 and "run_tests.py" in lenient[0]


def test_actionlint_finds_nothing(workflow: Path) -> None:
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("actionlint is not on this machine")
    done = subprocess.run([actionlint, "-no-color", str(workflow)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
