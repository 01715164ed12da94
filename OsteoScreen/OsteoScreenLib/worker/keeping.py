"""What the worker writes of a screening that was made before: its page, and every further kind of output."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OsteoScreenError, UsageError, system_reason
from ..progress import Progress
from . import exchange

if TYPE_CHECKING:
    from ..ct import CT
    from ..screening import Screening


def keep_page(message: Mapping[str, Any], ct: CT, progress: Progress) -> dict[str, Any]:
    """Write the page of the message's result to its "to"."""
    from ..reports import write_html

    target = _target(message, "the file to write the page to")
    screening = _screening(message, ct, progress)
    write_html(screening.result, screening.pictures, target)
    return {"written": str(target)}


def wanted_kinds(message: Mapping[str, Any]) -> list[str]:
    """Return the kinds of output that the message's "kinds" name.  Raises UsageError where there is no such kind."""
    from ..reports.kinds import chosen_kinds

    kinds = message.get("kinds")
    if not isinstance(kinds, list) or not kinds or not all(isinstance(kind, str) for kind in kinds):
        raise UsageError("The message lacks kinds, a list of what to write.")
    return chosen_kinds(kinds)


def keep_kinds(message: Mapping[str, Any], ct: CT, progress: Progress) -> dict[str, Any]:
    """Write the message's result as its "kinds" into its folder "to": all files of what can be written, or none.

    Raises OsteoScreenError where nothing of it can be written, with the reason, and where the folder cannot be.
    """
    from ..reports.outputs import write_outputs

    target = _target(message, "the folder to write to")
    kinds, files = wanted_kinds(message), _texts(message.get("files"), "files")
    screening = _screening(message, ct, progress)
    try:
        with tempfile.TemporaryDirectory(prefix=".osteoscreen-", dir=target.parent) as staging:
            unwritten = write_outputs(screening, staging, kinds, progress, ct_files=files)
            if len(unwritten) == len(kinds):
                raise OsteoScreenError(" ".join(dict.fromkeys(unwritten.values())))
            target.mkdir(exist_ok=True)
            for path in Path(staging).iterdir():
                os.replace(path, target / path.name)
    except OSError as error:
        raise OsteoScreenError(f"{target} cannot be written: {system_reason(error)}.") from error
    return {"written": _by_kind(target, kinds, unwritten), "unwritten": unwritten}


def _by_kind(folder: Path, kinds: list[str], unwritten: Mapping[str, str]) -> dict[str, list[str]]:
    """The files that were written, by their kind."""
    from ..reports.kinds import OUTPUT_KINDS

    files = {kind: [folder / name for name in OUTPUT_KINDS[kind].files] for kind in kinds if kind not in unwritten}
    return {kind: [str(path) for path in paths if path.exists()] for kind, paths in files.items()}


def _screening(message: Mapping[str, Any], ct: CT, progress: Progress) -> Screening:
    """The screening of a message, with every picture of it."""
    from ..localisation.resample import read_trunk
    from ..results_io import from_dict
    from ..sagittal import SAGITTAL_SLICES
    from ..screening import Screening, pictures_of

    result = from_dict(message.get("result"))  # type: ignore[arg-type]
    outlines = exchange.read_outlines(message.get("outlines"))
    screening = Screening(result, ct, pictures_of(ct, result, outlines), outlines)
    screening.add_sagittal(SAGITTAL_SLICES, progress)
    if result.numbering is not None and result.numbering.vertebrae:
        screening.trunk = read_trunk(ct, progress=progress)
        screening.add_spine_view()
    return screening


def _target(message: Mapping[str, Any], what: str) -> Path:
    target = message.get("to")
    if not isinstance(target, str) or not target:
        raise UsageError(f"The message lacks to, {what}.")
    return Path(os.fspath(target))


def _texts(value: Any, name: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"The message's {name} is no list of texts.")
    return value
