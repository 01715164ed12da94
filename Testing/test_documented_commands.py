"""Every command, script and configuration of the documentation runs: each block in a folder of its own, in order.

How each is run, and what is made shorter, is declared in ``documented/entries.py``. A command without an entry fails,
and so does an entry without a command.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

TESTING = Path(__file__).resolve().parent
sys.path.append(str(TESTING))

from documented import inputs  # noqa: E402 (found on the path above)
from documented.blocks import REPOSITORY, Block, blocks, documents_in_text, pages  # noqa: E402
from documented.entries import COMMANDS, How  # noqa: E402

from OsteoScreenLib.cli import main  # noqa: E402
from OsteoScreenLib.cli.application import _parse  # noqa: E402
from OsteoScreenLib.densitometry.calibration import load_calibration  # noqa: E402

BLOCKS = blocks()
SHELL = [block for block in BLOCKS if block.is_shell]
#: Pages whose code is parts of the program, put in their places and tried by tests of their own.
ELSEWHERE = {REPOSITORY / "Docs" / "extending.md"}
#: What the last command of a block prints, where a block of text after it says so.
PRINTED = {before: after.text for before, after in pairwise(BLOCKS) if before.is_shell and after.language == "text"}
#: A block that stands on two pages is run once.
DIFFERENT = list({tuple(block.commands()): block for block in SHELL}.values())
OURS = ("python3 run.py ", "osteoscreen ")


def words_of(command: str) -> list[str]:
    """What comes after the program's name, for a command of ours."""
    for program in OURS:
        if command.startswith(program):
            return shlex.split(command.removeprefix(program))
    pytest.fail(f"no program of ours: {command}")


def check_words(command: str) -> None:
    """Let the command's own parser read its words; where they are wrong it raises the sentence that a user reads."""
    _, training, words = command.partition("torchrun ")[2].partition("-m OsteoScreenTrainingLib.cli.")
    if training:
        _parse(shlex.split(words))
    elif words_of(command)[0] != "test":
        _parse(words_of(command))


def shortened(command: str, how: How) -> str:
    for old, new in how.shorter.items():
        assert old in command, f"{old!r} is not in {command!r}: mend its entry"
        command = command.replace(old, new)
    return command


def test_every_documented_command_has_an_entry_and_the_reverse() -> None:
    documented = {command for block in SHELL for command in block.commands()}
    assert sorted(documented - COMMANDS.keys()) == [], "not run by any test: add to Testing/documented/entries.py"
    assert sorted(COMMANDS.keys() - documented) == [], "not documented any more: remove from entries.py"
    for command, how in COMMANDS.items():
        if how.elsewhere:
            assert said_in(REPOSITORY / how.elsewhere, command), (command, how.elsewhere)


def said_in(test: Path, command: str) -> bool:
    """Whether a test names the command that it is said to run, and the part of it (`train segmentation`)."""
    words = shlex.split(command.partition("-m OsteoScreenTrainingLib.cli.")[2]) or words_of(command)
    text = test.read_text(encoding="utf-8")
    named = [word for word in words[:2] if re.fullmatch("[a-z][a-z-]{3,}", word)]
    return all(f'"{word}"' in text or f"run.py {word}" in text for word in named)


def prepare(at: inputs.Desk, command: str, how: How) -> None:
    """Make what the command needs and no command before it made."""
    for make in how.before:
        make(at)
    words = [word for word in words_of(command) if not word.startswith("--")]
    outputs = {words[k + 1] for k, word in enumerate(words[:-1]) if word == "-o"}
    for name, make in inputs.INPUTS.items():
        meant = any(re.fullmatch(rf"{re.escape(name)}(/.*)?", word) for word in words if word not in outputs)
        if meant and not (at.path / name).exists():
            make(at)


@pytest.mark.parametrize("block", DIFFERENT, ids=lambda block: block.place)
def test_the_commands_of_a_block_run(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSTEOSCREEN_SETTINGS", str(tmp_path / "settings"))
    with inputs.desk(tmp_path, block.text) as at:
        monkeypatch.chdir(at.path)
        printed = ""
        for command in block.commands():
            how = COMMANDS.get(command)
            if how is not None:  # else it was told by the test above, once
                printed = run(at, command, how, capsys)
    missing = [line for line in PRINTED.get(block, "").splitlines() if line not in printed]
    assert missing == [], printed


def run(at: inputs.Desk, command: str, how: How, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command as its entry says; returns what it printed."""
    short = shortened(command, how)
    if how.elsewhere:
        check_words(short)
        return ""
    if "../shared/" in short and not (at.path.parent / "shared").exists():
        pytest.skip("the real CT is not on this machine")
    prepare(at, short, how)
    for old, new in at.words.items():
        short = short.replace(old, new)
    words = words_of(short)
    code, out, err = in_a_process(words) if how.process else (main(words), *capsys.readouterr())
    assert code == 0, f"{command}\n{out[-1500:]}{err[-3000:]}"
    for output in (words[k + 1] for k, word in enumerate(words[:-1]) if word == "-o"):
        assert (at.path / output).exists(), f"{command} left no {output}"
    return out


def in_a_process(words: list[str]) -> tuple[int, str, str]:
    """Run a command as a user's terminal does; returns its exit code and what it printed."""
    there = os.pathsep.join(str(REPOSITORY / name) for name in ("OsteoScreen", "OsteoScreenTraining"))
    done = subprocess.run(
        [sys.executable, "-m", "OsteoScreenLib", *words],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PYTHONPATH": there, "PYTHONIOENCODING": "utf-8"},
    )
    return done.returncode, done.stdout, done.stderr


CARDS = sorted((REPOSITORY / "OsteoScreen" / "Resources" / "Models").glob("*/bundle.json"))


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_a_shipped_card_says_what_for_on_what_and_how_to_repeat_it(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = json.loads(path.read_text(encoding="utf-8"))
    assert main(["models", "show", path.parent.name]) == 0
    card = capsys.readouterr().out
    for said in (description["intended_use"], description["training"]["data"], description["training"]["limits"]):
        assert said in card
    assert description["metrics"]
    for command in description["commands"]:
        assert command in card
        check_words(command)


# -- configurations, scripts and programs that stand in blocks of their own


DOCUMENTS = [(block.place, block.text) for block in BLOCKS if block.language == "json"]
DOCUMENTS += [
    (f"{page.name}:{line}", text) for page in pages() if page not in ELSEWHERE for line, text in documents_in_text(page)
]


@pytest.mark.parametrize("text", [text for _, text in DOCUMENTS], ids=[place for place, _ in DOCUMENTS])
def test_a_documented_configuration_is_valid(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_document(text, tmp_path / "document.json", capsys)


def check_document(text: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Give a calibration or a training's configuration to what reads it."""
    document = json.loads(text)
    path.write_text(text, encoding="utf-8")
    if "slope" in document:
        line = load_calibration(path)
        assert line.slope == document["slope"]
    elif "task" in document:
        words = ["train", document["task"], "-o", str(path.parent / "run"), "--config", str(path), "--print-config"]
        assert main(words) == 0, capsys.readouterr().err
        printed = json.loads(capsys.readouterr().out)
        assert printed["task"] == document["task"]
    else:
        pytest.fail(f"no test knows what this is: {text[:200]}")


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "bash"], ids=lambda block: block.place)
def test_a_documented_script_is_one_and_its_training_has_the_right_words(block: Block) -> None:
    if os.name != "nt":
        assert subprocess.run(["bash", "-n"], input=block.text, text=True, check=False).returncode == 0
    one_line = re.sub(r"\\\n\s*", "", block.text)
    words = re.findall(r"-m OsteoScreenTrainingLib\.cli\.(.+?) \$resume", one_line)
    assert words, "the script trains nothing"
    for each in words:
        _parse([*shlex.split(each), "--resume"])


PYTHON = [block for block in BLOCKS if block.language == "python" and block.file not in ELSEWHERE]


@pytest.mark.parametrize("block", [b for b in PYTHON if "slicer." not in b.text], ids=lambda block: block.place)
def test_a_documented_program_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with inputs.desk(tmp_path, block.text) as at:
        monkeypatch.chdir(at.path)
        if "scan/" in block.text:
            inputs.scan(at)
        exec(compile(block.text, block.place, "exec"), {"__name__": "__main__"})
        for written in at.path.glob("calibration*.json"):
            load_calibration(written)


@pytest.mark.parametrize("block", [b for b in PYTHON if "slicer." in b.text], ids=lambda block: block.place)
def test_a_documented_script_for_slicer_runs(
    block: Block, host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicer

    for name in ("OsteoScreen", "OsteoScreenTraining"):
        host.load_module(REPOSITORY / name / f"{name}.py")
    with inputs.desk(tmp_path, block.text) as at:
        monkeypatch.chdir(at.path)
        if "/data/" in block.text:
            inputs.volumes(at)
        text = block.text
        for old, new in at.words.items():
            text = text.replace(old, new)
        names: dict[str, Any] = {"__name__": "__main__", "slicer": slicer}
        exec(compile(text, block.place, "exec"), names)
        if "JOB" in text:
            host.wait_until(lambda: names["logic"].state("JOB").state != "running", timeout_s=600)
            assert names["logic"].state("JOB").state == "finished"
    assert host.records.exceptions == []
    assert host.records.errors == []
