"""The DICOM objects, which are made together, since they refer to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import InputError, UsageError
from .registry import Output, OutputKind, writes

if TYPE_CHECKING:
    from ...screening import Screening

_PACKAGES = ("highdicom",)
_KINDS = {
    "seg": OutputKind(("seg.dcm",), "DICOM SEG of the outlines", packages=_PACKAGES),
    "probability": OutputKind(
        ("seg-probability.dcm",),
        "seg, and the network's probability map as a fractional SEG",
        needs=("seg",),
        on_request=True,
        packages=_PACKAGES,
    ),
    "sr": OutputKind(("sr.dcm",), "DICOM SR (TID 1500) of the measurements", packages=_PACKAGES),
    # One for each level of `request.LEVEL_NAMES`, which imports numpy.
    "capture": OutputKind(
        ("capture-L1.dcm", "capture-L2.dcm"), "DICOM Secondary Capture of each outlined slice", packages=_PACKAGES
    ),
    "dicom-pdf": OutputKind(("report.dcm",), "the sheet as DICOM Encapsulated PDF", packages=(*_PACKAGES, "reportlab")),
}
#: What `write_dicom_objects` calls a kind, where it is called otherwise there.
_IN_DICOM = {"dicom-pdf": "pdf"}
_REFUSED = "The study was refused, so there is no outline to write."
_NO_MAP = "There is no probability map, because a level's outline is not, or no longer, the network's own."


@writes(_KINDS)
def write_objects(output: Output) -> dict[str, str]:
    """Write the objects that were asked for; returns why some were not: a scan without valid UIDs gives none."""
    from ..dicom import NoDicomOutput, write_dicom_objects

    kinds = [kind for kind in output.kinds if kind in _KINDS]
    missing: dict[str, str] = {}
    with_map = "probability" in kinds
    if with_map and output.screening.result.status != "refused" and not _has_map(output.screening):
        with_map, missing["probability"] = False, _NO_MAP
    try:
        paths = write_dicom_objects(
            output.screening,
            output.folder,
            source=output.source,
            kinds=[_IN_DICOM.get(kind, kind) for kind in kinds if kind != "probability"],
            fractional=with_map,
            pdf=output.sheet if "dicom-pdf" in kinds else None,
            now=output.written,
        )
    except (NoDicomOutput, InputError, UsageError) as reason:
        return dict.fromkeys(kinds, str(reason))
    names = {path.name for path in paths}
    return {kind: _REFUSED for kind in kinds if not names.intersection(_KINDS[kind].files)} | missing


def _has_map(screening: Screening) -> bool:
    outlines = [screening.outlines.get(name) for name in screening.result.roi]
    return all(outline is not None and outline.probability is not None for outline in outlines)
