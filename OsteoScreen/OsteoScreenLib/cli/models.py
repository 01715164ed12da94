"""``osteoscreen models``: the model bundles on this computer."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import BundleError
from .console import print_lines

if TYPE_CHECKING:
    from ..models import Bundle

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
    bring.add_argument("--replace", action="store_true", help="replace a bundle of yours that has this name")
    export = actions.add_parser("export", help="write a bundle to a zip, to give to others")
    export.add_argument("name", metavar="NAME", help="an installed bundle's name")
    export.add_argument("path", metavar="PATH", help="the zip to write")
    remove = actions.add_parser("remove", help="remove a bundle that you imported")
    remove.add_argument("name", metavar="NAME", help="an installed bundle's name")


def run(arguments: argparse.Namespace) -> int:
    """Run one action; returns 0. Raises BundleError or UsageError with the reason."""
    return _ACTIONS[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    from .. import models

    found = models.inventory()
    bundles = models.list_bundles()
    if arguments.json:
        print_lines([json.dumps([_summary(bundle) for bundle in bundles], indent=2)])
        return 0
    lines = [_line(_summary(bundle)) for bundle in bundles]
    lines += [f"unusable: {path}: {reason}" for path, reason in found.problems]
    if not bundles:
        folder = models.user_folder()
        lines.append(f"No model bundle is installed; `osteoscreen models import PATH` puts one into {folder}.")
    print_lines(lines)
    return 0


def _line(entry: dict[str, Any]) -> str:
    default = ", the default" if entry["default"] else ""
    return f"{entry['name']}  {entry['version']}  {entry['role']}  ({entry['origin']}{default})"


def _summary(bundle: Bundle) -> dict[str, Any]:
    from .. import models

    shipped = models.is_shipped(bundle)
    return {
        "name": bundle.name,
        "version": bundle.version,
        "role": bundle.role,
        "origin": "shipped" if shipped else "yours",
        "default": shipped and bool(bundle.description.get("default", False)),
        "path": str(bundle.path),
        "sha256": bundle.sha256,
    }


def _show(arguments: argparse.Namespace) -> int:
    from .. import models

    bundle = models.load_bundle(arguments.name)
    print_lines([json.dumps(bundle.description, indent=2, ensure_ascii=False) if arguments.json else bundle.card()])
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    """Check each bundle and say what is wrong; raises BundleError after the last when any failed."""
    from .. import models

    found = models.inventory()
    names = arguments.name or [bundle.name for bundle in models.list_bundles()]
    failures = [] if arguments.name else [reason for _, reason in found.problems]
    for name in names:
        try:
            bundle = models.load_bundle(name)
            models.verify(bundle)
        except BundleError as error:
            failures.append(str(error))
        else:
            described = "hash, architecture and shapes are as described"
            print_lines([f"{bundle.name} {bundle.version} ({bundle.role}): {described}"])
    if failures:
        raise BundleError(" ".join(failures))
    if not names:
        print_lines(["There is no model bundle to check."])
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from .. import models

    bundle = models.import_bundle(arguments.path, arguments.name, replace=arguments.replace)
    print_lines([f"Imported {bundle.name} {bundle.version} ({bundle.role}) to {bundle.path}"])
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from .. import models

    print_lines([f"Wrote {models.export_bundle(arguments.name, arguments.path)}"])
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    from .. import models

    print_lines([f"Removed {models.remove_bundle(arguments.name)}"])
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "verify": _verify,
    "import": _import,
    "export": _export,
    "remove": _remove,
}
