"""The bundles at hand, shipped and the user's: find, list, import, export, remove."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BundleError, UsageError, system_reason
from .bundle import Bundle, Role, description_problem, open_bundle
from .files import DESCRIPTION, WEIGHTS
from .locations import USER_FOLDER_VARIABLE, shipped_folders, user_folder

#: Names of devices on Windows: no file may be called so there, whatever its ending.
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class Inventory:
    """The usable bundles by name, and what is wrong with the folders that hold none: (path, reason)."""

    bundles: dict[str, Bundle]
    problems: list[tuple[Path, str]]


def inventory() -> Inventory:
    """Return what the shipped and the user's folders hold. A name that is taken twice means the shipped bundle."""
    bundles: dict[str, Bundle] = {}
    problems: list[tuple[Path, str]] = []
    for path in _candidates():
        try:
            bundle = open_bundle(path)
        except BundleError as error:
            problems.append((path, str(error)))
            continue
        if bundle.name in bundles:
            problems.append((path, f"The name {bundle.name} is already that of {bundles[bundle.name].path}."))
        else:
            bundles[bundle.name] = bundle
    return Inventory(bundles, problems)


def list_bundles() -> list[Bundle]:
    """Return the usable bundles, sorted by role and name; their weights are not read."""
    return sorted(inventory().bundles.values(), key=lambda bundle: (bundle.role, bundle.name))


def is_shipped(bundle: Bundle) -> bool:
    """Return whether a bundle came with OsteoScreen."""
    return any(folder in bundle.path.resolve().parents for folder in shipped_folders())


def load_bundle(name_or_path: str | os.PathLike[str], role: Role | None = None) -> Bundle:
    """Return a bundle by its name, or by the path of its folder or zip, with its weights' hash checked.

    A name goes before a path; write ``./name`` for a folder that is called like a bundle.

    Raises BundleError when there is no such bundle, it is damaged, or it is for another role.
    """
    bundle = inventory().bundles.get(str(name_or_path)) or _by_path(name_or_path)
    if role is not None and bundle.role != role:
        raise BundleError(f"The bundle {bundle.name} is for {bundle.role}, not for {role}.")
    bundle.weights()
    return bundle


def default_bundle(role: Role, levels: Sequence[str] | None = None) -> Bundle | None:
    """Return the shipped bundle of `role` that is marked as the default, or None when none ships.

    A classification has one default for each set of `levels` that it sees: ("L1", "L2") is the study's Model 1, and
    ("L1",) its Model 2. Without `levels`, the first default by name is returned.

    Raises BundleError when a shipped bundle is damaged and no other is the default.
    """
    found = inventory()
    shipped = [bundle for bundle in found.bundles.values() if bundle.role == role and is_shipped(bundle)]
    for bundle in sorted(shipped, key=lambda bundle: bundle.name):
        fits = levels is None or bundle.preprocessing.get("levels") == list(levels)
        if fits and bundle.description.get("default", False):
            bundle.weights()
            return bundle
    damaged = [reason for path, reason in found.problems if path.parent in shipped_folders()]
    if damaged:
        raise BundleError(f"{damaged[0]} Install OsteoScreen again.")
    return None


def verify(bundle: Bundle) -> None:
    """Check a bundle to the end: description, hash, architecture, and the names and shapes of the weights.

    Raises BundleError with the reason.
    """
    from .weights import load_network

    problem = description_problem(bundle.description)
    if problem:
        raise BundleError(f"{DESCRIPTION} of the bundle {bundle.path} is not valid: {problem}.")
    load_network(bundle.architecture, bundle.weights(), bundle.name)


def import_bundle(path: str | os.PathLike[str], name: str | None = None, replace: bool = False) -> Bundle:
    """Copy a bundle from a folder or zip to the user's folder, once it is verified; return the copy.

    `name` gives it another name. A bundle of the user's with that name is only replaced with `replace`; one that is
    shipped, never.

    Raises BundleError when the bundle fails its check or the name is taken, UsageError when the name is no name.
    """
    bundle = open_bundle(Path(path))
    verify(bundle)
    description = {**bundle.description, "name": bundle.name if name is None else name}
    # Which bundle is used when none is named is for OsteoScreen to say, not for a file from elsewhere.
    description.pop("default", None)
    problem = description_problem(description)
    if problem or description["name"] in _RESERVED:
        raise UsageError(
            f"{description['name']!r} cannot name a bundle: use small letters, digits, dots, dashes and underscores."
        )
    present = inventory().bundles.get(description["name"])
    if present is not None and is_shipped(present):
        raise BundleError(f"{present.name} is a shipped bundle; import yours under another name.")
    if present is not None and not replace:
        raise BundleError(
            f"There is a bundle {present.name} already ({present.path}); remove it, or import under another name."
        )
    target = user_folder() / description["name"]
    write_bundle(target, description, bundle.weights(), replace=replace)
    return open_bundle(target)


def export_bundle(name_or_path: str | os.PathLike[str], path: str | os.PathLike[str]) -> Path:
    """Write a bundle as one zip file at `path`, for another machine; return the path.

    Raises BundleError when the bundle is missing or damaged, UsageError when `path` exists or cannot be written.
    """
    bundle = load_bundle(name_or_path)
    target = Path(path)
    if target.is_dir():
        target = target / f"{bundle.name}-{bundle.version}.zip"
    if target.exists():
        raise UsageError(f"{target} exists already; name another file.")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(temporary, "x") as archive:
            _add(archive, f"{bundle.name}/{DESCRIPTION}", _encoded(bundle.description))
            _add(archive, f"{bundle.name}/{WEIGHTS}", bundle.weights())
        os.replace(temporary, target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {system_reason(error)}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def remove_bundle(name: str) -> Path:
    """Delete a bundle of the user's, and return where it was.  Raises BundleError when there is none, or it ships."""
    bundle = inventory().bundles.get(name)
    if bundle is None:
        raise _unknown(name)
    if is_shipped(bundle):
        raise BundleError(f"{name} is shipped with OsteoScreen and cannot be removed.")
    try:
        if bundle.path.is_dir() and not bundle.path.is_symlink():
            shutil.rmtree(bundle.path)
        else:
            bundle.path.unlink()
    except OSError as error:
        raise BundleError(f"The bundle {bundle.path} cannot be removed: {system_reason(error)}.") from error
    return bundle.path


def write_bundle(folder: Path, description: dict[str, Any], weights: bytes, replace: bool = False) -> None:
    """Write a bundle's folder whole or not at all.

    Raises BundleError when the folder exists (unless `replace`) or cannot be written.
    """
    if folder.exists() and not replace:
        raise BundleError(f"{folder} exists already; remove it, or choose another name.")
    staging = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # The name begins with a dot, so that what a crash leaves behind is not taken for a bundle.
        staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        fresh, old = staging / "new", staging / "old"
        fresh.mkdir()
        (fresh / DESCRIPTION).write_bytes(_encoded(description))
        (fresh / WEIGHTS).write_bytes(weights)
        if folder.exists():
            os.replace(folder, old)
        os.replace(fresh, folder)
    except OSError as error:
        raise BundleError(f"The bundle {folder} cannot be written: {system_reason(error)}.") from error
    finally:
        if staging is not None:
            if (staging / "old").exists() and not folder.exists():
                os.replace(staging / "old", folder)
            shutil.rmtree(staging, ignore_errors=True)


def _candidates() -> list[Path]:
    """Return the folders and zips that look like bundles, the shipped ones first, in a fixed order."""
    found: list[Path] = []
    shipped = next((folder for folder in shipped_folders() if folder.is_dir()), None)
    for folder in (shipped, user_folder()):
        if folder is None or not folder.is_dir():
            continue
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            raise BundleError(
                f"The folder of model bundles {folder} cannot be read: {system_reason(error)}; "
                f"{USER_FOLDER_VARIABLE} can name another."
            ) from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.suffix == ".zip" or (entry / DESCRIPTION).exists() or (entry / WEIGHTS).exists():
                found.append(entry)
    return found


def _by_path(name_or_path: str | os.PathLike[str]) -> Bundle:
    path = Path(name_or_path)
    if path.exists():
        return open_bundle(path)
    if len(path.parts) > 1 or path.suffix == ".zip":
        raise BundleError(f"There is no bundle at {path}; check the path.")
    raise _unknown(str(name_or_path))


def _unknown(name: str) -> BundleError:
    known = ", ".join(sorted(inventory().bundles)) or "none"
    return BundleError(f"There is no model bundle called {name!r}; available: {known}.")


def _encoded(description: dict[str, Any]) -> bytes:
    return (json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # A fixed time, so that the same bundle always makes the same file.
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    member.external_attr = 0o644 << 16
    archive.writestr(member, content)
