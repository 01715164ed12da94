"""Make the checks of Slicer's extension index here: check_extension.py [FOLDER]. Ends with 1 where one fails."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TESTING = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTING))

from extension_index import CHECKS, Extension, NotChecked, run_checks  # noqa: E402 (found on the path above)


def main(arguments: list[str]) -> int:
    """Print a table of the checks, and what is wrong; returns 1 where something is, else 0."""
    parser = argparse.ArgumentParser(description="Make the checks of Slicer's extension index here.")
    parser.add_argument("folder", nargs="?", type=Path, default=TESTING.parent, help="default: this repository")
    found = run_checks(Extension(parser.parse_args(arguments).folder.resolve()))
    for name, problems in found.items():
        asked = (CHECKS[name].__doc__ or "").partition("\n")[0]
        if isinstance(problems, NotChecked):
            print(f"{name:13} {'-':7} not checked: {problems}")
        else:
            print(f"{name:13} {'FAILED' if problems else 'ok':7} {asked}")
            for problem in problems:
                print(f"{'':13} {'':7} * {problem}")
    return 1 if any(isinstance(problems, list) and problems for problems in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
