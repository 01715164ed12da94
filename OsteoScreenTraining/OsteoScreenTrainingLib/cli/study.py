"""``osteoscreen study``: every table and figure of the paper, from a data set."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "study"
HELP = "Reproduce the study on a data set: train, evaluate, and write every table and figure of the paper."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--data", type=Path, required=True, metavar="DATASET", help="the data set of subjects")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT",
        help="the folder to write to; the same command again goes on where it was",
    )  # fmt: skip
    parser.add_argument(
        "--profile", default="quick", metavar="quick|full|FILE",
        help="quick: for a laptop; full: the paper's training, for a GPU; or a JSON file (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--split", choices=("temporal", "random"), default="temporal",
        help="temporal: the latest 40 %% test, as in the paper; random: 5:1:4 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same tables (default: 1)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where to compute")
    parser.add_argument("--workers", type=int, default=2, help="processes that score slices (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run the study, or what is left of it, and say where the page is; return the exit code."""
    from OsteoScreenLib.cli.console import ConsoleProgress
    from OsteoScreenLib.errors import UsageError

    from ..study.computing import StudyRequest
    from ..study.profiles import load_profile
    from ..study.running import run_study

    if arguments.seed < 0 or arguments.workers < 1:
        raise UsageError("--seed takes a whole number from 0 on, --workers one from 1 on.")
    request = StudyRequest(
        data=arguments.data,
        output=arguments.output,
        profile=load_profile(arguments.profile),
        seed=arguments.seed,
        split=arguments.split,
        device=arguments.device,
        workers=arguments.workers,
    )
    with ConsoleProgress() as progress:
        page = run_study(request, progress)
    print(f"The page: {page.resolve()}")
    return 0
