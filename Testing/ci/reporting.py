"""What the scripts that run in Slicer share: the log, and the marker at its end. See run_in_slicer.py."""

import os
import traceback

import slicer

log = open(os.environ["OSTEOSCREEN_CI_LOG"], "a", encoding="utf-8", buffering=1)  # noqa: SIM115 (open to the end)


def say(text):
    """Write a line to the log."""
    log.write(f"{text}\n")


def words():
    """Return the words that the script was given."""
    return os.environ["OSTEOSCREEN_CI_WORDS"].split("\n") if os.environ["OSTEOSCREEN_CI_WORDS"] else []


def finish(work):
    """Do ``work()``, write the marker where it raised nothing, and end Slicer."""
    say(f"Slicer {slicer.app.applicationVersion}, {slicer.app.os}-{slicer.app.arch}")
    code = 1
    try:
        work()
        say(f"OSTEOSCREEN-CI {os.environ['OSTEOSCREEN_CI_WORD']} passed")
        code = 0
    except BaseException:
        say(traceback.format_exc())
    slicer.util.exit(code)
