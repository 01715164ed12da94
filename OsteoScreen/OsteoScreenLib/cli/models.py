"""``osteoscreen models``: the model bundles on this computer."""

from __future__ import annotations

import argparse

NAME = "models"
HELP = "List, show, check, add, copy out and remove model bundles."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options to ``parser``."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    listing = actions.add_parser("list", help="list the installed bundles")
    listing.add_argument("--json", action="store_true", help="print JSON")
    show = actions.add_parser("show", help="show one bundle's card")
    show.add_argument("name", metavar="NAME|DIR", help="an installed bundle's name, or a bundle's folder or zip")
    show.add_argument("--json", action="store_true", help="print bundle.json")
    verify = actions.add_parser("verify", help="check the hash, architecture and shapes of bundles")
    verify.add_argument("name", metavar="NAME|DIR", nargs="*", help="the bundles to check; all when none is named")
    bring = actions.add_parser("import", help="add a bundle (a folder or a zip of it) to your own")
    bring.add_argument("path", metavar="PATH", help="the bundle's folder or zip")
    bring.add_argument("--name", help="install it under this name")
    export = actions.add_parser("export", help="write a bundle to a zip, to give to others")
    export.add_argument("name", metavar="NAME", help="an installed bundle's name")
    export.add_argument("path", metavar="PATH", help="the zip to write")
    remove = actions.add_parser("remove", help="remove a bundle that you imported")
    remove.add_argument("name", metavar="NAME", help="an installed bundle's name")


def run(arguments: argparse.Namespace) -> int:
    """Run one action; returns 0."""
    raise NotImplementedError(arguments.action)
