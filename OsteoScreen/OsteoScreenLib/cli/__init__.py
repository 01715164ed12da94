"""The command line. ``main`` runs one command and returns its exit code.

A command is a module with

* ``NAME`` and ``HELP`` (one line each),
* ``add_arguments(parser)``, which adds its options to an ``argparse`` parser,
* ``run(arguments) -> int``, which returns the exit code, or raises an :class:`~OsteoScreenLib.errors.OsteoScreenError`.

Its top level imports nothing heavy (no numpy, torch or SimpleITK), so that help is instant; ``run`` does.
``COMMANDS`` names the modules of this library, ``OsteoScreenTrainingLib.cli.COMMANDS`` those of the training library:
full module names as strings, the last part being ``NAME`` (with ``_`` for ``-``).
"""

from __future__ import annotations

from .application import main

COMMANDS = (
    "OsteoScreenLib.cli.screen",
    "OsteoScreenLib.cli.batch",
    "OsteoScreenLib.cli.batch_pages",
    "OsteoScreenLib.cli.decide",
    "OsteoScreenLib.cli.pacs",
    "OsteoScreenLib.cli.models",
    "OsteoScreenLib.cli.benchmark",
)

__all__ = ["COMMANDS", "main"]
