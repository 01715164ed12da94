"""A Slicer made of the host, for the tests of these scripts: it takes the options that run_in_slicer.py gives.

As Slicer does, it drops a module that cannot be imported, says so, and goes on. A Slicer of its own takes no part.
"""

from __future__ import annotations

import argparse
import os
import re
import runpy
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.pop("DISPLAY", None)

import slicer_host


def main(arguments: list[str]) -> int:
    """Load the modules of some folders, run a script, and return the code that it ends the application with."""
    parser = argparse.ArgumentParser()
    for option in ("--no-splash", "--ignore-slicerrc", "--testing"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("--additional-module-paths", nargs="+", default=[])
    parser.add_argument("--python-script")
    given = parser.parse_args(arguments)
    slicer = slicer_host.start()
    slicer.app.commandOptions().testingEnabled = given.testing
    for folder in given.additional_module_paths:
        for path in sorted(Path(folder).glob("*.py")):
            try:
                slicer_host.load_module(path)
            except Exception:
                traceback.print_exc()
                print(f"Failed to load {path}", file=sys.stderr)
    try:
        runpy.run_path(given.python_script, run_name="__main__")
    except RuntimeError as error:
        asked = re.search(r"asked the application to exit \((\d+)\)", str(error))
        if asked is None:
            raise
        return int(asked[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
