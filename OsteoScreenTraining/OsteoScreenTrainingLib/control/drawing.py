"""From case to case: the outlines of a data set, drawn or corrected one subject after another and saved as one goes.

What is saved is ``masks/SUBJECT.seg.nrrd``, the subject's cells in subjects.csv, and in ``drawing.json`` (schema
``osteoscreen-drawing/1``) who was accepted, who was rejected, and why.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from OsteoScreenLib.errors import InputError, UsageError, system_reason
from OsteoScreenLib.results_io import write_text_atomically

from ..datasets.folder import LEVELS
from ..datasets.manifest import Subject
from ..datasets.manifest_lock import alone_with_manifest
from ..datasets.manifest_text import ManifestText
from ..datasets.masks import mask_paths, write_masks

if TYPE_CHECKING:
    from OsteoScreenLib.ct import Geometry

PathLike = str | os.PathLike[str]
Standing = Literal["left", "accepted", "rejected"]
#: Reasons that the manifest's column ``findings`` knows; any other is kept in ``drawing.json`` alone.
FINDINGS = ("implant", "fracture", "degeneration")
NOTES, SCHEMA = "drawing.json", "osteoscreen-drawing/1"


@dataclass(frozen=True)
class WalkSubject:
    """A case of the walk: where its CT and the files of its outlines are (absolute; None and none where the manifest
    says nothing), its centre slices (RAS S in mm, or None), and how it stands; ``reason`` is why it was rejected."""

    subject: str
    ct: Path | None
    masks: tuple[Path, ...]
    series_uid: str | None
    l1_z_mm: float | None
    l2_z_mm: float | None
    standing: Standing
    reason: str = ""


class Walk:
    """The walk through the subjects of a data set that have a CT. Everything it knows is in the folder, so that it can
    be left and taken up again, and be killed between any two steps.

    Args:
        folder: the data set's; subjects.csv is all that has to be there.
        everyone: walk through all of them; otherwise those whose outlines are there already count as accepted.

    Raises:
        InputError: subjects.csv or ``drawing.json`` cannot be read.
    """

    def __init__(self, folder: PathLike, everyone: bool = False):
        self.folder, self.everyone = Path(folder).absolute(), everyone
        _ = self.subjects

    def __iter__(self) -> Iterator[WalkSubject]:
        """The subjects that are left, in the manifest's order, looked up anew at each step."""
        subject = self.next()
        while subject is not None:
            yield subject
            subject = self.next(after=subject.subject)

    @property
    def subjects(self) -> list[WalkSubject]:
        """All subjects of the walk, in the manifest's order, as the folder has them now."""
        notes = self._notes()
        every = ManifestText.read(self.folder).subjects()
        return [self._case(subject, notes) for subject in every if subject.ct is not None]

    @property
    def state(self) -> dict[Standing, int]:
        """How many are left, accepted and rejected."""
        standings = [subject.standing for subject in self.subjects]
        every: tuple[Standing, ...] = ("left", "accepted", "rejected")
        return {standing: standings.count(standing) for standing in every}

    def next(self, after: str | None = None) -> WalkSubject | None:
        """The first subject that is left, behind ``after`` where it is given, else from the beginning on; or None."""
        subjects = self.subjects
        names = [subject.subject for subject in subjects]
        start = names.index(after) + 1 if after in names else 0
        return next((subject for subject in subjects[start:] if subject.standing == "left"), None)

    def accept(
        self,
        subject: str,
        masks: Mapping[str, tuple[int, np.ndarray]],
        geometry: Geometry,
        levels: Mapping[str, float] | None = None,
    ) -> Path:
        """Save a subject's outlines as ``masks/SUBJECT.seg.nrrd`` and note them in subjects.csv; return the file.

        Of subjects.csv, this subject's cells masks, l1_z_mm and l2_z_mm change, and nothing else does, byte for byte
        (a column that is not there yet is added at the end). Both are written whole or not at all.

        Args:
            masks: by level ("L1", "L2"): the slice's index, and (rows, columns) bool, on the CT's canonical grid.
            geometry: the CT's.
            levels: by level, the centre slice's RAS S in mm; the slice's own where it is left out.

        Raises:
            UsageError: the subject is not there, a mask is empty or not of the CT's size, or a level lies on another
                slice than its mask.
            OsteoScreenError: a file cannot be written; subjects.csv is as it was.
        """
        _check_masks(masks, geometry)
        heights = _heights(masks, geometry, levels or {})
        with alone_with_manifest(self.folder):
            table = self._table_with(subject)
            path = write_masks(self.folder, subject, masks, geometry)
            # Relative and with slashes, so that the data set can be moved, to another system too.
            table.change(subject, {"masks": path.relative_to(self.folder).as_posix(), **heights})
            table.write()
            self._note(subject, "accepted")
        return path

    def reject(self, subject: str, reason: str = "") -> None:
        """Note that a subject is not outlined: ``reason`` is one of :data:`FINDINGS`, which goes into subjects.csv and
        excludes the subject, or any other sentence, which is kept in ``drawing.json``.

        Raises:
            UsageError: the subject is not there.
            OsteoScreenError: a file cannot be written.
        """
        with alone_with_manifest(self.folder):
            table = self._table_with(subject)
            if reason in FINDINGS:
                known = next(item.findings for item in table.subjects() if item.subject == subject)
                findings = known.split(";") if known else []
                if reason not in findings:
                    table.change(subject, {"findings": ";".join([*findings, reason])})
                    table.write()
            self._note(subject, "rejected", reason)

    def reopen(self, subject: str) -> None:
        """Put a subject back among those that are left; outlines and findings that are saved stay until it is
        accepted anew. Raises as :meth:`reject`."""
        with alone_with_manifest(self.folder):
            self._table_with(subject)
            self._note(subject, "left")

    # -- what is in the folder

    def _case(self, subject: Subject, notes: Mapping[str, Mapping[str, str]]) -> WalkSubject:
        masks = tuple(mask_paths(self.folder, subject.masks or ""))
        note = notes.get(subject.subject, {})
        standing = note.get("standing")
        drawn = bool(masks) and all(path.exists() for path in masks)
        if standing == "accepted" and not drawn:
            standing = None
        if standing not in ("left", "accepted", "rejected"):
            standing = "accepted" if drawn and not self.everyone else "left"
        return WalkSubject(
            subject=subject.subject,
            ct=None if subject.ct is None else self.folder / subject.ct,
            masks=masks,
            series_uid=subject.series_uid,
            l1_z_mm=subject.l1_z_mm,
            l2_z_mm=subject.l2_z_mm,
            standing=standing,  # type: ignore[arg-type]
            reason=note.get("reason", ""),
        )

    def _table_with(self, subject: str) -> ManifestText:
        table = ManifestText.read(self.folder)
        if subject not in {item.subject for item in table.subjects()}:
            raise UsageError(f"There is no subject {subject!r} in {table.path}.")
        return table

    def _notes(self) -> dict[str, dict[str, str]]:
        path = self.folder / NOTES
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["schema"] != SCHEMA:
                raise ValueError("it is of another schema")
            return {str(name): {str(k): str(v) for k, v in note.items()} for name, note in document["subjects"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"{path} cannot be read: {system_reason(error)}.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} is damaged ({error}); remove it, and only who was rejected without a finding is forgotten."
            ) from error

    def _note(self, subject: str, standing: Standing, reason: str = "") -> None:
        note = {"standing": standing, "reason": reason} if reason else {"standing": standing}
        document = {"schema": SCHEMA, "subjects": {**self._notes(), subject: note}}
        write_text_atomically(json.dumps(document, indent=1, ensure_ascii=False) + "\n", self.folder / NOTES)


def _check_masks(masks: Mapping[str, tuple[int, np.ndarray]], geometry: Geometry) -> None:
    if not masks or not set(masks) <= set(LEVELS):
        raise UsageError(f"The outlines are those of {' and '.join(LEVELS)}; there are {', '.join(masks) or 'none'}.")
    slices, rows, columns = geometry.shape
    for level, (k, mask) in masks.items():
        if mask.shape != (rows, columns) or not 0 <= k < slices:
            raise UsageError(f"The outline of {level} is not on a slice of this CT; draw it on the CT itself.")
        if not mask.any():
            raise UsageError(f"The outline of {level} is empty; draw it, or reject the subject.")


def _heights(
    masks: Mapping[str, tuple[int, np.ndarray]], geometry: Geometry, levels: Mapping[str, float]
) -> dict[str, str]:
    """Return the manifest's cells of the levels: RAS S in mm, to a thousandth."""
    cells = {}
    for level, (k, _) in masks.items():
        z = levels.get(level, geometry.slice_z(k))
        if geometry.nearest_slice(z) != k:
            raise UsageError(
                f"{level} is at S {z:.1f} mm and its outline on the slice at S {geometry.slice_z(k):.1f} mm; draw it "
                "on the centre slice."
            )
        cells[f"{level.lower()}_z_mm"] = repr(round(float(z), 3))
    return cells
