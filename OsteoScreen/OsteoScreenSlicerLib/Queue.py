"""A batch's queue of levels: the list of studies whose levels a reader has to set, and the same list filled in.

The batch writes the list anew whenever its results change. So what the reader sets goes into a file of its own beside
it, which is a manifest too: it has the rows of the studies that are done, and `osteoscreen batch` screens them by it.
"""

import datetime
import glob
import os
import re
from dataclasses import asdict, dataclass, field, replace

from slicer.i18n import tr as _

from .Errors import ModuleError
from .StudyNodes import LEVEL_NAMES

#: What the batch calls its list, in the folder of each set of results.
QUEUE_LIST = "levels-queue.csv"
#: Columns of the filled-in list beside those of the queue; a manifest's notes are not read by the batch.
READER, WHEN, SKIPPED = "note_reader", "note_set_at", "note_skipped"
_INDEX = re.compile(r"#(\d{1,9})\b", re.ASCII)
_MILLIMETRES = re.compile(r"-?\d{1,6}(\.\d*)?", re.ASCII)


@dataclass(frozen=True)
class QueueCase:
    """A study of the queue.

    :param study: the engine's BatchStudy.
    :param suggested: {level: slice of the canonical CT} as the batch suggested it.
    :param notes: the row's notes, by column.
    :param kept: {level: RAS S in mm} as a reader set it before, where the case is opened again.
    """

    study: object
    suggested: dict
    notes: dict
    kept: dict = field(default_factory=dict)

    @property
    def id(self):
        """The study's id, which says nothing of the patient."""
        return self.study.id


class LevelsQueue:
    """The list of a queue, and what of it is done.

    :param path: the list, or a folder that a batch wrote to.
    :raises ModuleError: there is no list. InputError where it cannot be read.
    """

    def __init__(self, path):
        self._given = os.path.expanduser(path)
        self.path = _listAt(self._given)
        self._listStamp = _stampOf(self.path)
        stem, ending = os.path.splitext(self.path)
        self.filledPath = f"{stem}-filled{ending}"
        # The rows that the reader has had before the eyes here, by id.
        self._seen = {}
        self.cases = _readCases(self.path)
        self._done = self._stamp = None
        self.done()

    def isCurrent(self):
        """Return whether the batch has written no other list since this one was read."""
        return _listAt(self._given) == self.path and _stampOf(self.path) == self._listStamp

    def done(self):
        """Return {id: row} of the studies that are set or skipped; another reader may have added some."""
        from OsteoScreenLib.batch.filled import FilledList

        stamp = _stampOf(self.filledPath)
        if self._done is None or stamp != self._stamp:
            self._done, self._stamp = FilledList(self.filledPath).rows(), stamp
        return self._done

    def case(self, caseID):
        """Return the case of an id, None where the queue has none."""
        return next((case for case in self.cases if case.id == caseID), None)

    def left(self):
        """Return the cases that are neither set nor skipped, in the queue's order."""
        done = self.done()
        return [case for case in self.cases if case.id not in done]

    def skipped(self):
        """Return how many cases of the queue were skipped."""
        done = self.done()
        return sum(bool(done[case.id].get(SKIPPED)) for case in self.cases if case.id in done)

    def nextAfter(self, caseID):
        """Return the next case that is left, from the beginning again after the last; None where none but it is."""
        ids = [case.id for case in self.cases]
        place = ids.index(caseID) + 1 if caseID in ids else 0
        left = {case.id: case for case in self.left() if case.id != caseID}
        return next((left[name] for name in ids[place:] + ids[:place] if name in left), None)

    def before(self, caseID):
        """Return the case that was taken down before another one (or last), with what was set; None where none was."""
        done = self.done()
        cases = {case.id: case for case in self.cases if case.id in done}
        ids = [name for name in done if name in cases]
        earlier = ids[: ids.index(caseID)] if caseID in ids else ids
        if not earlier:
            return None
        case, row = cases[earlier[-1]], done[earlier[-1]]
        self._seen[case.id] = row
        kept = {name: float(text) for name in LEVEL_NAMES if _MILLIMETRES.fullmatch(text := row.get(name.lower(), ""))}
        return replace(case, suggested={}, kept=kept) if kept else case

    def take(self, case, heights, reader):
        """Take down the levels of a case as a reader confirmed them.

        :param heights: {level: RAS S in mm of its slice}.
        :raises OsteoScreenError: the filled-in list cannot be written, or another reader took the case down meanwhile.
        """
        # The levels are the reader's now: a segmentation would add those that the reader left out.
        self._write(case, {**_texts(heights), "levels_from": ""}, reader, "")

    def isTaken(self, caseID, heights):
        """Return whether the levels of a case are taken down as they are."""
        row = self.done().get(caseID)
        texts = _texts(heights)
        return row is not None and not row.get(SKIPPED) and all(row.get(name, "") == texts[name] for name in texts)

    def skip(self, case, reason, reader):
        """Take down that a case is not to be set, and why; otherwise as ``take``."""
        self._write(case, {}, reader, reason)

    def _write(self, case, changes, reader, skipped):
        from OsteoScreenLib.batch.filled import FilledList

        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        known = {name: str(value) for name, value in asdict(case.study).items() if value is not None}
        row = {**case.notes, **known, **changes, READER: reader, WHEN: now, SKIPPED: skipped}
        FilledList(self.filledPath).put(row, self._seen.get(case.id))
        self._done = None


def _texts(heights):
    return {name.lower(): f"{heights[name]:.3f}" if name in heights else "" for name in LEVEL_NAMES}


def _listAt(path):
    """Return the list that a path means: itself, or the newest of the sets below a batch's folder."""
    if os.path.isfile(path):
        return path
    if not os.path.isdir(path):
        raise ModuleError(
            _("{path} is not there; choose the folder that the batch wrote to, or its {name}.").format(
                path=path, name=QUEUE_LIST
            )
        )
    below = os.path.join(glob.escape(path), "*", QUEUE_LIST)
    found = [os.path.join(path, QUEUE_LIST)] if os.path.isfile(os.path.join(path, QUEUE_LIST)) else glob.glob(below)
    if not found:
        raise ModuleError(
            _("The batch in {path} has no open levels ({name} is not there).").format(path=path, name=QUEUE_LIST)
        )
    return max(found, key=os.path.getmtime)


def _readCases(path):
    from OsteoScreenLib.batch.manifest import NOTES, read_manifest, read_rows

    studies = list(read_manifest(path))
    cases = []
    for study, row in zip(studies, read_rows(path), strict=True):
        notes = {name: text for name, text in row.items() if name.startswith(NOTES)}
        said = {level: _INDEX.match(notes.get(f"{NOTES}_suggested_{level.lower()}", "")) for level in LEVEL_NAMES}
        cases.append(QueueCase(study, {level: int(found[1]) for level, found in said.items() if found}, notes))
    return cases


def _stampOf(path):
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
