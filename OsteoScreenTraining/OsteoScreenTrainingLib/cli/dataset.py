"""``osteoscreen dataset``: what is done to a data set before a network is trained on it.

Its subcommands come from the modules that ``SUBCOMMANDS`` names. Each of those offers ``add_subcommands(kinds)``, which
adds parsers to an ``argparse`` subparsers object and sets each one's default ``do`` to a function that takes the parsed
arguments and returns the exit code. Like all of the command line, their top level imports nothing heavy.
"""

from __future__ import annotations

import argparse
import importlib

NAME = "dataset"
HELP = "Make a data set of subjects from CT and outlines, check it, and split it."

SUBCOMMANDS = (
    "OsteoScreenTrainingLib.cli.dataset_making",
    "OsteoScreenTrainingLib.cli.dataset_checking",
    "OsteoScreenTrainingLib.cli.dataset_drawing",
    "OsteoScreenTrainingLib.cli.dataset_import",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be done, each with its options."""
    kinds = parser.add_subparsers(title="what to do", metavar="WHAT", dest="what", required=True)
    for name in SUBCOMMANDS:
        importlib.import_module(name).add_subcommands(kinds)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked for; return the exit code."""
    return int(arguments.do(arguments))
