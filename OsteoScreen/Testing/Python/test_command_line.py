"""The command line itself: help, exit codes, one sentence for every mistake, and what goes where."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from OsteoScreenLib import __version__
from OsteoScreenLib.cli import application, console, main
from OsteoScreenLib.errors import BundleError, InputError, OsteoScreenError, StudyRefused, UsageError

ENGINE = Path(application.__file__).resolve().parents[2]


class FakeCommand:
    """A command that does what a test says; the real ones are tested beside what they do."""

    NAME = "fake"
    HELP = "Do what the test says."

    def __init__(self, action):
        self.action = action

    def add_arguments(self, parser):
        parser.add_argument("words", nargs="*")

    def run(self, arguments):
        return self.action()


@pytest.fixture
def fake(monkeypatch):
    def install(action):
        monkeypatch.setattr(application, "_commands", lambda words: [FakeCommand(action)])

    return install


def raiser(error):
    def action():
        raise error

    return action


def run_engine(*words, **options):
    environment = {**os.environ, "PYTHONPATH": str(ENGINE), **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=environment, check=False, **options
    )


def test_help_imports_nothing_heavy():
    """The first help is that of all commands, so that the modules of all are imported."""
    script = (
        "import sys; from OsteoScreenLib.cli import main; codes = [main(['--help']), main(['screen', '--help'])];"
        "heavy = {'torch', 'numpy', 'SimpleITK', 'pydicom', 'scipy', 'jinja2', 'dask'} & set(sys.modules);"
        "print('HEAVY', sorted(heavy)); sys.exit(max(codes))"
    )
    answer = run_engine("-c", script)
    assert answer.returncode == 0, answer.stderr
    assert "--levels-from SEG" in answer.stdout
    assert "HEAVY []" in answer.stdout


def test_top_level_help_lists_the_commands(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("screen", "models"):
        assert f"    {name} " in shown


def test_version_and_module_are_the_same_program():
    answer = run_engine("-m", "OsteoScreenLib", "--version")
    assert (answer.returncode, answer.stdout.strip()) == (0, f"osteoscreen {__version__}")


def test_no_command_shows_the_help_and_counts_as_wrong_usage(capsys):
    assert main([]) == 2
    assert "screen" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["nonsense"], "nonsense"),
        (["screen"], "CT"),
        (["screen", "ct", "-o"], "Argument -o/--output: expected one argument. See `osteoscreen screen --help`."),
        (["screen", "ct", "-o", "out", "--l1", "--l2=#3"], "expected one argument. See"),
        (["screen", "ct", "-o", "out", "--write", "-pdf"], "is written with an equals sign, as in --l1=-812.5. See"),
        (["screen", "ct", "-o", "out", "more"], "Unrecognized arguments: more. See `osteoscreen screen --help`."),
        (["--bogus"], "Unrecognized arguments: --bogus. See `osteoscreen --help`."),
        (["screen", "ct", "-o", "out", "--sex", "X"], "--sex"),
        (["screen", "ct", "-o", "out", "--age", "old"], "--age"),
        (["screen", "ct", "-o", "out", "--device", "toaster"], "--device"),
        (["screen", "ct", "-o", "out", "--bogus"], "--bogus"),
        (["screen", "ct", "-o", "out", "--forc"], "--forc"),
        (["models"], "ACTION"),
        (["models", "nonsense"], "nonsense"),
    ],
)
def test_wrong_words_end_in_one_sentence(words, part, capsys):
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("osteoscreen: ")
    assert shown.err.count("\n") == 1
    assert part in shown.err
    assert "--help" in shown.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("Say it otherwise."), 2),
        (StudyRefused("Not this one."), 3),
        (InputError("No CT\nin here."), 4),
        (BundleError("No such bundle."), 5),
        (OsteoScreenError("The disk is full."), 1),
    ],
)
def test_each_error_has_its_exit_code(fake, capsys, error, code):
    fake(raiser(error))
    assert main(["fake"]) == code
    assert capsys.readouterr().err == f"osteoscreen: {' '.join(str(error).split())}\n"


def test_an_unexpected_error_is_logged_without_paths(fake, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(console.tempfile, "tempdir", str(tmp_path))

    patient = "^".join(("Doe", "Jane"))  # so that it is not in this file's lines, which a traceback shows

    def action():
        try:
            raise KeyError(f"/data/{patient}/ct.dcm")
        except KeyError as cause:
            raise RuntimeError(f"cannot add {patient}_1960 to '/data/{patient}/ct.dcm'") from cause

    fake(action)
    assert main(["fake", f"{patient}_1960"]) == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "Traceback" not in shown
    assert "RuntimeError" in shown
    (log,) = tmp_path.glob("osteoscreen-*.log")
    assert str(log) in shown
    text = log.read_text(encoding="utf-8")
    assert patient not in text
    assert "Traceback" in text
    assert "KeyError" in text
    assert "RuntimeError: cannot add <argument> to" in text


def test_running_out_of_memory_and_ctrl_c_are_sentences(fake, capsys):
    fake(raiser(MemoryError()))
    assert main(["fake"]) == 1
    fake(raiser(KeyboardInterrupt()))
    assert main(["fake"]) == 130
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 2
    assert "memory" in shown[0]
    assert "Interrupted" in shown[1]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            PermissionError(13, "Permission denied", "here/ct"),
            "here/ct may not be opened (permission denied); ask for the right to, or name another one.",
        ),
        (
            OSError(28, "No space left on device", "here/out"),
            "The disk is full; make room on it, then give the same command again.",
        ),
    ],
)
def test_what_the_system_refuses_is_no_mistake_of_ours(fake, capsys, error, told):
    fake(raiser(error))
    assert main(["fake"]) == 1
    assert capsys.readouterr().err == f"osteoscreen: {told}\n"


def test_warnings_of_libraries_stay_off_the_console(fake, capsys):
    import logging
    import warnings

    def action():
        warnings.warn("an odd tag", stacklevel=1)
        logging.getLogger("pydicom").warning("an odd tag")
        return 0

    fake(action)
    assert main(["fake"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_who_leaves_early_changes_nothing():
    process = subprocess.Popen(
        [sys.executable, "-m", "OsteoScreenLib", "screen", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ENGINE)},
    )
    process.stdout.close()
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, b"")


def test_a_console_that_cannot_show_a_character_ends_nothing():
    script = (
        "import sys; from OsteoScreenLib.cli import application, main; from OsteoScreenLib.errors import InputError\n"
        f"def fail(words): raise InputError({'Größe µ ≥ 2'!a})\n"
        "application._parse = fail; sys.exit(main(['x']))"
    )
    answer = run_engine("-c", script, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert answer.returncode == 4
    assert "Gr\\xf6\\xdfe" in answer.stderr


def test_progress_says_what_takes_long_and_nothing_else():
    stream = io.StringIO()
    with console.ConsoleProgress(stream) as progress:
        progress("Quick", 0, 2)
        progress("Quick", 2, 2)
        progress("Slow", 0, 100)
        progress._began -= 2 * console.QUIET_S
        progress("Slow", 60, 100)
        progress("Slow", 90, 100)
    assert stream.getvalue() == "Slow … (60 of 100)\n"


def test_progress_is_a_bar_on_a_terminal():
    stream = io.StringIO()
    stream.isatty = lambda: True
    with console.ConsoleProgress(stream) as progress:
        progress("Reading", 0, 10)
        progress._began -= console.QUIET_S
        progress("Reading", 5, 10)
    assert "Reading" in stream.getvalue()
    assert "5/10" in stream.getvalue()


def test_models_without_any_say_where_they_go(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("OSTEOSCREEN_MODELS", str(tmp_path / "models"))
    assert main(["models", "list"]) == 0
    assert main(["models", "list", "--json"]) == 0
    assert "[" in capsys.readouterr().out
    assert main(["models", "show", "no-such-bundle"]) == 5
    assert main(["models", "remove", "no-such-bundle"]) == 5
    assert main(["models", "verify", "no-such-bundle"]) == 5
    assert main(["models", "export", "no-such-bundle", str(tmp_path / "x.zip")]) == 5
    assert main(["models", "import", str(tmp_path / "nowhere")]) == 5
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 5
    assert all("osteoscreen: " in line for line in errors)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_goes_through_all_its_actions(capsys, tmp_path, monkeypatch):
    from tiny_bundle import write_tiny_bundle

    monkeypatch.setenv("OSTEOSCREEN_MODELS", str(tmp_path / "models"))
    bundle = write_tiny_bundle(tmp_path / "tiny")
    assert main(["models", "import", str(bundle), "--name", "mine"]) == 0
    assert main(["models", "import", str(bundle), "--name", "mine"]) == 5
    assert main(["models", "import", str(bundle), "--name", "mine", "--replace"]) == 0
    assert main(["models", "verify", "mine"]) == 0
    assert main(["models", "show", "mine"]) == 0
    assert main(["models", "export", "mine", str(tmp_path / "mine.zip")]) == 0
    capsys.readouterr()
    assert main(["models", "list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["mine"]["origin"] == "yours"
    assert listed["mine"]["default"] is False
    assert main(["models", "remove", "mine"]) == 0
    assert main(["models", "show", "mine"]) == 5
    assert main(["models", "verify", str(tmp_path / "mine.zip")]) == 0


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_in_the_middle_leaves_nothing_behind(tmp_path):
    script = (
        "import signal, sys, time; from OsteoScreenLib.cli import application, main\n"
        # Whoever runs the tests in the background hands down that the signal is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from OsteoScreenLib.cli.output import staged_output\n"
        "def wait(words):\n"
        f"    with staged_output({str(tmp_path / 'out')!r}, ('result.json',)) as folder:\n"
        "        (folder / 'result.json').write_text('half'); print('ready', flush=True); time.sleep(900)\n"
        "application._parse = wait; sys.exit(main(['x']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ENGINE)},
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert errors == "osteoscreen: Interrupted; nothing was written.\n"
    assert list(tmp_path.iterdir()) == []
