"""Start Slicer with a script and fail unless its marker comes: run_in_slicer.py SCRIPT [WORD ...] --slicer PROGRAM.

Slicer drops a module that cannot be imported, goes on, and ends with 0. So its exit code says nothing: a step passes
when the script has written ``OSTEOSCREEN-CI <word> passed`` to the log, which it does at its very end (reporting.py).
Folders with further modules, such as an extension's, stand in SLICER_MODULE_PATHS.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = ("OsteoScreen", "OsteoScreenTraining")
#: What the scripts in Slicer read: where the log is, the word of the marker, and the words given to the script.
LOG, WORD, WORDS = "OSTEOSCREEN_CI_LOG", "OSTEOSCREEN_CI_WORD", "OSTEOSCREEN_CI_WORDS"


def command(slicer: str, script: Path, module_paths: list[str], settings: bool) -> list[str]:
    """Return the command that starts Slicer.

    ``--testing`` answers questions without a person and leaves the settings alone, extensions among them: so what
    installs an extension runs without it.
    """
    start = ["xvfb-run", "-a", slicer] if sys.platform == "linux" and "DISPLAY" not in os.environ else [slicer]
    if shutil.which(start[0]) is None:
        raise SystemExit(f"run_in_slicer.py: there is no {start[0]}; install it, or name another Slicer.")
    options = ["--no-splash", "--ignore-slicerrc"] if settings else ["--no-splash", "--testing"]
    return [*start, *options, "--additional-module-paths", *module_paths, "--python-script", str(script)]


def run(words: list[str], environment: dict[str, str], timeout_s: float) -> str:
    """Run Slicer to its end, or kill it with all that it started; returns how it ended, in words."""
    # Slicer starts its program through a launcher: a session of its own lets both be ended.
    process = subprocess.Popen(words, env={**os.environ, **environment}, start_new_session=os.name == "posix")
    try:
        return f"Slicer ended with {process.wait(timeout_s)}."
    except subprocess.TimeoutExpired:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], check=False)
        process.wait()
        return f"Slicer did not end in {timeout_s:.0f} s and was killed."


def passes(given: argparse.Namespace, words: list[str]) -> bool:
    """Run the script with ``words`` in a Slicer of its own, show its log, and tell whether its marker is there."""
    word = secrets.token_hex(8)
    further = [path for path in os.environ.get("SLICER_MODULE_PATHS", "").split(os.pathsep) if path]
    paths = [str(given.modules.resolve() / module) for module in MODULES] + further
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        environment = {LOG: str(log), WORD: word, WORDS: "\n".join(words)}
        ended = run(command(given.slicer, given.script.resolve(), paths, given.settings), environment, given.timeout)
        said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    # On Windows nothing of what Slicer prints comes here, so the script's own log is shown.
    print(said, end="")
    print(ended, flush=True)
    return f"OSTEOSCREEN-CI {word} passed" in said.splitlines()


def main(arguments: list[str]) -> int:
    """Run a script in Slicer; returns 0 where its marker is in the log, else 1."""
    parser = argparse.ArgumentParser(description="Start Slicer with a script and fail unless its marker comes.")
    parser.add_argument("script", type=Path)
    parser.add_argument("words", nargs="*", help="for the script")
    parser.add_argument(
        "--each", action="store_true", help="a Slicer of its own for each word, as CTest does for tests"
    )
    parser.add_argument("--slicer", default=os.environ.get("SLICER"), help="the program (default: $SLICER)")
    parser.add_argument("--modules", type=Path, default=REPOSITORY, help="the folder of the modules")
    parser.add_argument("--settings", action="store_true", help="with settings and extensions, without --testing")
    parser.add_argument("--timeout", type=float, default=1800, metavar="S", help="of one start (default: %(default)s)")
    given = parser.parse_intermixed_args(arguments)
    if not given.slicer:
        parser.error("name the program with --slicer, or in SLICER.")
    if given.each and not given.words:
        parser.error("--each takes words.")
    starts = [[word] for word in given.words] if given.each else [given.words]
    failed = [words for words in starts if not passes(given, words)]
    for words in failed:
        told = f"{given.script.name} {' '.join(words)}".strip()
        print(f"run_in_slicer.py: {told} did not come to its end with all well.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
