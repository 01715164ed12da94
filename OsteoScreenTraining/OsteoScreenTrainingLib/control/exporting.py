"""A trained network's bundle with a card that somebody has filled in, to give away or to use in OsteoScreen."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from OsteoScreenLib.errors import BundleError, UsageError, system_reason
from OsteoScreenLib.models import Bundle, export_bundle, import_bundle
from OsteoScreenLib.models.bundle import bundle_schema, description_problem, open_bundle
from OsteoScreenLib.models.files import DESCRIPTION
from OsteoScreenLib.models.store import write_bundle

PathLike = str | os.PathLike[str]
#: Of a run: where its bundle lies in the run's folder.
_BUNDLE = "bundle"
#: What a card may hold; "training" is what the network was trained on, in words.
FIELDS = ("name", "version", "description", "licence", "training")


def check_card(card: Mapping[str, str]) -> None:
    """Refuse a card that no bundle can have.

    Raises:
        UsageError: a field is not known, empty where it must not be, or of the wrong form; the sentence says which.
    """
    unknown = sorted(set(card) - set(FIELDS))
    if unknown:
        raise UsageError(f"A card has no field {unknown[0]!r}; it has {', '.join(FIELDS)}.")
    patterns = {name: bundle_schema()["properties"][name]["pattern"] for name in ("name", "version")}
    forms = {
        "name": "small letters, digits, dots, dashes and underscores, such as my-hospital-l1",
        "version": "three numbers with dots, such as 1.0.0",
    }
    for name, pattern in patterns.items():
        if name in card and not re.fullmatch(pattern, card[name]):
            raise UsageError(f"{card[name]!r} cannot be the {name} of a bundle; write {forms[name]}.")
    for name in ("licence", "training"):
        if name in card and not card[name].strip():
            raise UsageError(f"The card's field {name} is empty; fill it in.")


def export_with_card(run: PathLike, card: Mapping[str, str], target: PathLike) -> Path:
    """Write a run's bundle with the fields of ``card`` in the place of its own; return where it is.

    Args:
        run: a run's folder, or a bundle.
        card: text by some of :data:`FIELDS`; what is left out stays.
        target: a zip file, where the name ends with ``.zip``, or a folder; neither may exist.

    Raises:
        UsageError: the run has no bundle, the card is not valid, or ``target`` exists or cannot be written.
        BundleError: the run's bundle is damaged.
    """
    target = Path(target)
    bundle, description = _bundle(run), _described(run, card)
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists already; choose another name.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix.lower() != ".zip":
            write_bundle(target, description, bundle.weights())
            return target
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {system_reason(error)}.") from error
    with _changed(bundle, description) as changed:
        return export_bundle(changed, target)


def register(run_or_bundle: PathLike, card: Mapping[str, str] | None = None, *, replace: bool = False) -> Bundle:
    """Copy a run's (or any) bundle to the user's bundles, so that OsteoScreen offers it; return the copy.

    Args:
        card: as for :func:`export_with_card`.
        replace: in the place of a bundle of the user's with that name.

    Raises:
        UsageError: the run has no bundle, or the card is not valid.
        BundleError: the bundle fails its check, or the name is taken.
    """
    description = _described(run_or_bundle, card or {})
    with _changed(_bundle(run_or_bundle), description) as changed:
        return import_bundle(changed, replace=replace)


def apply_card(bundle: PathLike, card: Mapping[str, str]) -> None:
    """Give a bundle's folder the fields of ``card``; it is replaced as a whole. Raises as :func:`export_with_card`."""
    if card:
        write_bundle(Path(bundle), _described(bundle, card), _bundle(bundle).weights(), replace=True)


def _bundle(run: PathLike) -> Bundle:
    folder = Path(run)
    if (folder / _BUNDLE).is_dir():
        return open_bundle(folder / _BUNDLE)
    if folder.suffix == ".zip" or (folder / DESCRIPTION).is_file():
        return open_bundle(folder)
    raise UsageError(
        f"{folder} has no bundle yet; train it to the end, or make one of what it has learnt with 'osteoscreen train … "
        "--export'."
    )


def _described(run: PathLike, card: Mapping[str, str]) -> dict[str, Any]:
    check_card(card)
    description = dict(_bundle(run).description)
    description.update({name: card[name].strip() for name in FIELDS if name in card and name != "training"})
    if not description.get("description"):
        description.pop("description", None)
    if "training" in card:
        description["training"] = {**description["training"], "data": card["training"].strip()}
    problem = description_problem(description)
    if problem:
        raise BundleError(f"The bundle with this card would not be valid: {problem}.")
    return description


@contextmanager
def _changed(bundle: Bundle, description: dict[str, Any]) -> Iterator[Path]:
    """Lend a copy of a bundle with another description."""
    with tempfile.TemporaryDirectory(prefix="osteoscreen-") as folder:
        copy = Path(folder) / description["name"]
        write_bundle(copy, description, bundle.weights())
        yield copy
