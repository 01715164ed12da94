"""What the worker does with a message: warm up, open, suggest, outline, screen, report, write, forget, talk.

`handle` needs no process of its own: a program that has PyTorch may call it directly.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cores import on_one_core
from ..errors import UsageError
from ..memory_limits import is_out_of_memory
from ..outlines import Outlines
from ..progress import Progress
from ..request import LEVEL_NAMES, ScreeningRequest
from . import exchange, keeping, opening, talking
from .suggested import UsedSuggestion, describe_suggested, read_used

if TYPE_CHECKING:
    from ..ct import CT
    from ..results import ScreeningResult

Reply = Callable[[dict[str, Any]], None]

_log = logging.getLogger("osteoscreen.worker")

#: What the networks need, by the name it is imported by, and as users know it.
_PACKAGES = {"torch": "PyTorch", "safetensors": "safetensors", "jsonschema": "jsonschema"}
#: What the page needs as well.
_PAGE_PACKAGES = {"jinja2": "Jinja2", "PIL": "Pillow", "jsonschema": "jsonschema"}
#: What talking to a server needs.
_PACS_PACKAGES = {"requests": "requests", "dicomweb_client": "dicomweb-client", "keyring": "keyring"}
#: What the first screening would import otherwise, half a second of it.
_USED_BY_SCREENING = ("..ct.eligibility", "..densitometry", "..levels", "..results_io", "..screening")
_OPTIONS = {"segmentation_model", "classification_model", "calibration", "age_years", "sex", "device", "force"}


def handle(message: Any, reply: Reply) -> None:
    """Work on one message of the protocol in :mod:`OsteoScreenLib.worker`, and give each answer to ``reply``.

    Every error is an answer; only what ``reply`` itself raises passes through, so that it can cancel the work.
    """
    answers = _Answers(message, reply)
    try:
        done = _operation(message)(message, answers.progress)
    except Exception as error:
        if error is answers.raised:
            raise
        answers.give("error", error_document(error))
        return
    answers.give("done", done)


class _Answers:
    """Gives answers with the message's id; ``raised`` is what the caller's ``reply`` raised."""

    def __init__(self, message: Any, reply: Reply) -> None:
        identifier = message.get("id") if isinstance(message, Mapping) else None
        self._id = identifier if isinstance(identifier, (int, str)) else None
        self._reply = reply
        self.raised: BaseException | None = None

    def give(self, kind: str, content: Any) -> None:
        self._reply({"id": self._id, kind: content})

    def progress(self, step: str, done: int, total: int) -> None:
        try:
            self.give("progress", [step, int(done), int(total)])
        except BaseException as error:
            self.raised = error
            raise


class _LastCT:
    """The CT of the last message, so that the next one about it finds its slices decoded and its hash known."""

    def __init__(self) -> None:
        self._key: tuple[str, int, int] | None = None
        self._ct: CT | None = None

    def get(self, described: Any) -> CT:
        """The CT of a message's "ct"; the one of before where neither it nor its file has changed."""
        if not isinstance(described, Mapping):
            raise UsageError("The message lacks ct, the description of the CT.")
        path = described.get("array")
        try:
            status = os.stat(path) if isinstance(path, str) else None
        except (OSError, ValueError):
            status = None
        key = (json.dumps(described, sort_keys=True), *((status.st_mtime_ns, status.st_size) if status else (0, 0)))
        if self._ct is None or self._key != key:
            self.forget()
            self._ct, self._key = exchange.open_described_ct(described), key
            # The result needs it, and a reader looks at the outlines first.
            threading.Thread(target=self._ct.sha256, name="hash", daemon=True).start()
        return self._ct

    def forget(self) -> None:
        """Let go of it."""
        self._ct = self._key = None


_LAST = _LastCT()


def _operation(message: Any) -> Callable[[Mapping[str, Any], Progress], dict[str, Any]]:
    if not isinstance(message, Mapping):
        raise UsageError("A message is a JSON object on one line, with id and do.")
    name = message.get("do")
    if not isinstance(name, str) or name not in _OPERATIONS:
        raise UsageError(f"The worker can do {', '.join(_OPERATIONS)}, and was asked to do {name!r:.40}.")
    return _OPERATIONS[name]


def _warm_up(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    _require(_PACKAGES)
    import torch

    from .. import loaded
    from ..chosen_bundles import classification_bundle, segmentation_bundle

    for module in _USED_BY_SCREENING:
        importlib.import_module(module, __package__)
    options = _options(message, {"segmentation_model", "classification_model", "levels", "device"})
    device = str(options.get("device") or "auto")
    levels = [str(name) for name in options.get("levels") or LEVEL_NAMES]
    opinion = classification_bundle(options.get("classification_model"), levels)
    segmenter = loaded.SEGMENTERS.get(segmentation_bundle(options.get("segmentation_model")), device)
    on_one_core(segmenter.warm_up)
    if opinion is not None:
        on_one_core(loaded.CLASSIFIERS.get(opinion, device).warm_up)
    return {"device": str(segmenter.device), "torch": str(torch.__version__)}


def _suggest(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    _require(_PACKAGES)
    from ..chosen_bundles import localisation_bundle
    from ..suggesting import suggest

    options = _options(message, {"localisation_model", "device"})
    # Before the scan is read, so that a bundle that is not there costs no waiting.
    bundle = localisation_bundle(options.get("localisation_model"))
    ct = _LAST.get(message.get("ct"))
    names = message.get("levels")
    if not isinstance(names, list) or not names or not set(map(str, names)) <= set(LEVEL_NAMES):
        raise UsageError("The message's levels is no list of the levels to suggest, L1 and L2.")
    return describe_suggested(suggest(ct, bundle, names, str(options.get("device") or "auto"), progress))


def _outline(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    _require(_PACKAGES)
    from ..outlining import outline

    folder = _folder(message)
    return _done(outline(_request(message), progress), folder)


def _screen(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    _require(_PACKAGES)
    from ..results_io import to_dict
    from ..screening import screen

    folder = _folder(message)
    suggested = read_used(message.get("suggested"))
    screening = screen(_request(message), progress)
    result = screening.result
    if suggested is not None:
        _tell_suggested(result, suggested)
    used = next((bundle for bundle in result.bundles if bundle.role == "segmentation"), None)
    done = _done(Outlines(screening.outlines, used, result.software["device"]), folder)
    return {"result": to_dict(result), "precision_mg_cm3": _precision(message), **done}


def _precision(message: Mapping[str, Any]) -> float | None:
    """The facility's own precision error, where its calibration file has one: a later comparison needs it."""
    from ..densitometry import load_calibration

    calibration = (message.get("options") or {}).get("calibration")
    return None if calibration is None else load_calibration(calibration).precision_mg_cm3


def _tell_suggested(result: ScreeningResult, suggested: UsedSuggestion) -> None:
    """Put down what the levels rest on, as a screening that suggests them itself does."""
    from ..suggesting import askew_checks

    result.numbering = suggested.numbering
    result.bundles.insert(0, suggested.bundle)
    result.eligibility[:0] = askew_checks(suggested.numbering)


def _report(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    _require(_PAGE_PACKAGES)
    return keeping.keep_page(message, _LAST.get(message.get("ct")), progress)


def _write(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    from ..reports.kinds import OUTPUT_KINDS

    needed = [name for kind in keeping.wanted_kinds(message) for name in OUTPUT_KINDS[kind].packages]
    _require({**{name: name for name in needed}, **_PAGE_PACKAGES})
    return keeping.keep_kinds(message, _LAST.get(message.get("ct")), progress)


def _talk(talk: talking.Talk) -> Callable[[Mapping[str, Any], Progress], dict[str, Any]]:
    def operation(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        _require(_PACS_PACKAGES)
        return talk(message, progress)

    return operation


def _forget(message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    _LAST.forget()
    return {}


_OPERATIONS: dict[str, Callable[[Mapping[str, Any], Progress], dict[str, Any]]] = {
    "warm_up": _warm_up,
    "open": opening.open_scan,
    "suggest": _suggest,
    "outline": _outline,
    "screen": _screen,
    "report": _report,
    "write": _write,
    **{name: _talk(talk) for name, talk in talking.TALKS.items()},
    "forget": _forget,
}


def _request(message: Mapping[str, Any]) -> ScreeningRequest:
    options = _options(message, _OPTIONS)
    ct = _LAST.get(message.get("ct"))
    levels = exchange.read_levels(message.get("levels"), ct)
    strange = [name for name in levels if name not in LEVEL_NAMES]
    if strange:
        raise UsageError(f"The levels are L1 and L2, and the message has {strange[0]!r:.40}.")
    given = {key: value for key, value in options.items() if value is not None}
    return ScreeningRequest(
        ct=ct,
        l1=levels.get("L1"),
        l2=levels.get("L2"),
        masks=exchange.read_masks(message.get("masks")) or None,
        **given,
    )


def _options(message: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    options = message.get("options") or {}
    if not isinstance(options, Mapping):
        raise UsageError("The message's options are no object.")
    strange = [key for key in options if key not in known]
    if strange:
        raise UsageError(f"There is no option {strange[0]!r:.40}; there are {', '.join(sorted(known))}.")
    return dict(options)


def _folder(message: Mapping[str, Any]) -> Path:
    folder = message.get("folder")
    if not isinstance(folder, str) or not os.path.isdir(folder):
        raise UsageError("The message lacks folder, an existing folder to write the outlines to.")
    return Path(folder)


def _done(outlined: Outlines, folder: Path) -> dict[str, Any]:
    return {
        "outlines": exchange.write_outlines(outlined.levels, folder),
        "device": outlined.device,
        "bundle": None if outlined.bundle is None else asdict(outlined.bundle),
    }


# -- errors


class _PackageMissing(Exception):
    """A package that the work needs is not installed, or does not load; its text is for the user."""


def _require(packages: Mapping[str, str]) -> None:
    """Import ``packages``; raises _PackageMissing, naming the first that cannot be."""
    for module, name in packages.items():
        try:
            importlib.import_module(module)
        # On Windows a library that torch lacks is an OSError, and one built for another numpy may be anything.
        except Exception as error:
            raise _PackageMissing(_why_missing(module, name, error)) from error


def _why_missing(module: str, name: str, error: Exception) -> str:
    try:
        there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        there = False
    except ValueError:  # half of it is loaded
        there = True
    if not there:
        return f"{name} is not installed; install it in the module's panel, and try again."
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    if module == "torch":
        return (
            f"PyTorch is installed but does not load ({reason}): uninstall it in the PyTorch Utils module, restart "
            "Slicer and install it again."
        )
    return f"{name} is installed but does not load ({reason}): uninstall it, restart Slicer and install it again."


def error_document(error: Exception) -> dict[str, str]:
    """Return the "error" of an answer. What nobody expected is logged without its text, which may name a patient."""
    for kind in exchange.ENGINE_ERRORS:
        if isinstance(error, kind):
            return {"kind": kind.__name__, "message": str(error)}
    if isinstance(error, _PackageMissing):
        return {"kind": "MissingPackage", "message": str(error)}
    if isinstance(error, ImportError) and error.name:
        module = error.name.partition(".")[0]
        known = {**_PACKAGES, **_PAGE_PACKAGES, **_PACS_PACKAGES}
        name = known.get(module, module)
        return {"kind": "MissingPackage", "message": _why_missing(module, name, error)}
    if is_out_of_memory(error):
        message = "The computer's memory did not suffice; close other programs or volumes, and try again."
        return {"kind": "OutOfMemory", "message": message}
    frames = traceback.extract_tb(error.__traceback__)
    _log.error("Unexpected %s\n%s", type(error).__name__, "".join(traceback.format_list(frames)))
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    message = (
        f"Something unexpected went wrong ({type(error).__name__}{where}). Try again; if it stays so, report it with "
        "what the log says."
    )
    return {"kind": "Unexpected", "message": message}
