"""Checks of the files: CT and outlines as they are now, the slices cut from them, and predictions on those."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from OsteoScreenLib.models import default_bundle

from ..folder import LEVELS, SLICES
from ..prediction_files import DONE, MASKS
from ..prediction_files import FOLDER as PREDICTIONS
from ..sources import FILE
from .evidence import Evidence
from .registry import Finding, check

_AGAIN = f"Remove the folder {SLICES} and run 'osteoscreen dataset build' again."


@check("files")
def files(evidence: Evidence) -> Iterator[Finding]:
    """CT and outlines can be read, and lie on each other."""
    for seen in evidence.inspections.values():
        yield from seen.findings
    for subject in evidence.subjects:
        if subject.subject not in evidence.inspections and evidence.changed.get(subject.subject) == "":
            message = "The CT or the outlines that the slices were cut from are no longer where the manifest says."
            advice = "Training goes on without them; put them back before the slices are built again."
            yield Finding("warning", message, advice, subject.subject, "ct")
    bare = [subject.subject for subject in evidence.subjects if subject.masks and not subject.ct]
    for name in bare:
        yield Finding("error", "There are outlines without a CT.", "Name the CT in the column ct.", name, "ct")


@check("slices")
def slices(evidence: Evidence) -> Iterator[Finding]:
    """The slices are there, whole, and those of the manifest as it is now."""
    if evidence.damage is not None:
        yield Finding("error", f"The slices cannot be used: {evidence.damage}", _AGAIN)
    elif evidence.data is None:
        yield Finding("note", "The slices have not been built yet.", "Run 'osteoscreen dataset build' when no error is "
                      "left.")  # fmt: skip
    else:
        yield from _built(evidence)


def _built(evidence: Evidence) -> Iterator[Finding]:
    data = evidence.data
    assert data is not None
    for name, reason in evidence.changed.items():
        if reason:
            message = f"The slices were cut before {reason} changed."
            yield Finding("error", message, _AGAIN, name, "masks" if reason == "the outlines" else "ct")
    if evidence.sources is None and data.header.kind == "real":
        message = "What the slices were cut from was not kept, so that later changes cannot be noticed."
        yield Finding("note", message, _AGAIN)
    for subject in evidence.subjects:
        there = [level for level in LEVELS if data.has_slice(subject.subject, level)]
        complete = subject.ct and subject.masks and None not in (subject.l1_z_mm, subject.l2_z_mm)
        if complete and len(there) < len(LEVELS):
            yield Finding("warning", "There are no slices of a subject who has CT, outlines and levels.", _AGAIN,
                          subject.subject, "ct")  # fmt: skip
    for record in data.slices.records:
        level = record.values.get("level", "")
        if (record.subject, level) not in evidence.measures:
            message = f"The outline of {level} in the slices is empty."
            yield Finding("error", message, _AGAIN, record.subject, "masks")


@check("predictions")
def predictions(evidence: Evidence) -> Iterator[Finding]:
    """Outlines that a bundle drew are of these slices, and of the bundle in use."""
    if evidence.data is None:
        return
    default = default_bundle("segmentation")
    for path in sorted((evidence.folder / PREDICTIONS).glob(f"*/{DONE}")):
        where = f"{PREDICTIONS}/{path.parent.name}"
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            mask = np.load(path.with_name(MASKS), mmap_mode="r", allow_pickle=False)
            name, sha256 = str(found["bundle"]), str(found["sha256"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            yield Finding("warning", f"{where} is damaged ({error}).", "Remove it; it is drawn again when needed.")
            continue
        data = evidence.data.slices
        if found.get("slices") != data.fingerprint() or mask.shape != (len(data), data.rows, data.columns):
            message = f"{where} was drawn by {name} on other slices than these."
            yield Finding("warning", message, "It is drawn again when a training needs it; remove it to save room.")
        if path.parent.name != sha256[:16]:
            message = f"{where} says that another bundle drew it ({name}, {sha256[:16]})."
            yield Finding("error", message, "Remove it: a training would take it for its own bundle's.")
        elif default is not None and sha256 != default.sha256:
            message = f"{where} was drawn by {name}, and {default.name} is the bundle that screening uses."
            yield Finding("note", message, "Nothing, if a training names that bundle; else remove it to save room.")
        if found.get("not_found"):
            message = f"{name} found no body on {found['not_found']} slices."
            yield Finding("warning", message, "Their subjects are left out of a training on its outlines.")


@check("sources")
def sources(evidence: Evidence) -> Iterator[Finding]:
    """Everyone whose slices are there is known by where they come from."""
    if evidence.data is None or evidence.sources is None:
        return
    without = {record.subject for record in evidence.data.slices.records} - set(evidence.sources)
    if without:
        message = f"{FILE} does not name {len(without)} subjects who have slices."
        yield Finding("warning", message, _AGAIN, sorted(without)[0])
