"""What is kept of a result outside the scene: its page, result.json, and every kind of output that the engine knows.

The kinds, with their names and descriptions, are those of OsteoScreenLib.reports.kinds, as on the command line. DICOM
objects are made once for a result and go, as they are, wherever they are wanted: so the database, a folder and a server
never hold two versions of the same report.
"""

import hashlib
import os
import shutil

from slicer.i18n import tr as _

from . import Database
from .Errors import ModuleError
from .Networks import send
from .Packages import EXPORT_REQUIREMENTS, ExtraPackages
from .Results import StudyResult, levelsNow
from .Tasks import removeQuietly
from .Volumes import dicomFiles
from .Worker import InProcessWorker

# The engine's name for the DICOM objects that are written where none is named.
_DICOM = "dicom"


class ExportLogic:
    """Keeps results, for the panel and for scripts.

    :param tasks: Tasks.
    :param classification: Networks.ClassificationLogic, which knows the outlines that were measured.
    """

    def __init__(self, tasks, classification):
        self._tasks = tasks
        self._classification = classification
        self.packages = ExtraPackages(EXPORT_REQUIREMENTS)
        # What the worker answered when it made DICOM objects, by their folder, which is that of one result.
        self._objects = {}

    @staticmethod
    def kinds():
        """Return {name: OsteoScreenLib.reports.kinds.registry.OutputKind} of what a result can be saved as."""
        from OsteoScreenLib.reports.kinds import OUTPUT_KINDS

        return dict(OUTPUT_KINDS)

    def files(self, kind):
        """Return the names of the files of a kind, those of the kinds that it needs first. Raises ModuleError."""
        kinds = self.kinds()
        if kind not in kinds:
            told = _("A result cannot be saved as {kind}; choose among {kinds}.")
            raise ModuleError(told.format(kind=kind, kinds=", ".join(kinds)))
        return [name for each in (*kinds[kind].needs, kind) for name in kinds[each].files]

    # -- scripts: these return when the work is done

    def savePage(self, volumeNode, path):
        """Write the page of a CT's result; returns its path. Raises ModuleError or OsteoScreenError."""
        return InProcessWorker().run(self._kept(volumeNode, path))["written"]

    def save(self, volumeNode, kind, path):
        """Write the result as a kind of output, such as "fhir"; returns the paths of its files.

        :param path: of the file; of the folder for a kind that has several, where nothing is written over.
        :raises ModuleError: as ``savePage``, and where the study cannot give this kind, with the reason.
        """
        names = self.files(kind)
        self._require(kind)
        return place(self._filesIn(self._make(volumeNode, kind), kind), path, len(names) > 1)

    def savePdf(self, volumeNode, path):
        """Write the result as a PDF of one sheet; returns its path. Otherwise as ``save``."""
        return self.save(volumeNode, "pdf", path)[0]

    def saveTable(self, volumeNode, path):
        """Write the result as a CSV table of one row; otherwise as ``savePage``."""
        from OsteoScreenLib.reports.table import write_table

        return os.fspath(write_table([self._result(volumeNode)], path))

    def saveResult(self, volumeNode, path):
        """Write the result as result.json, to compare a later one with; otherwise as ``savePage``."""
        from OsteoScreenLib.results_io import write_result

        return os.fspath(write_result(self._result(volumeNode), path))

    def saveDicom(self, volumeNode, folder):
        """Write the result's DICOM objects into a folder; returns their paths. Otherwise as ``savePage``."""
        return copyInto(self._dicomObjects(volumeNode), folder)

    def addToDatabase(self, volumeNode):
        """Add the result's DICOM objects to Slicer's DICOM database; returns their paths. Otherwise as ``savePage``."""
        self.packages.require()
        Database.checkOpen()
        written = self._dicomObjects(volumeNode)
        Database.add(written)
        return written

    # -- the panel: these return at once, and call back

    def startPage(self, worker, volumeNode, path, onDone, onError, onProgress=None):
        """Write the page in the worker process; ``onDone(path)`` or ``onError(kind, text)`` is called later."""
        send(worker, self._kept(volumeNode, path), lambda done: done["written"], onDone, onError, onProgress)

    def start(self, worker, volumeNode, kind, path, onDone, onError, onProgress=None):
        """Do what ``save`` does in the worker process; ``onDone(paths)`` or ``onError(kind, text)`` is called later."""
        several = len(self.files(kind)) > 1

        def accept(done):
            return place(self._filesIn(done, kind), path, several)

        self._startMaking(worker, volumeNode, kind, accept, onDone, onError, onProgress)

    def startDicom(self, worker, volumeNode, accept, onDone, onError, onProgress=None):
        """Make the DICOM objects in the worker process, unless they are made; ``accept(paths)`` goes to ``onDone``."""

        def acceptAll(done):
            return accept(self._filesIn(done, _DICOM))

        self._startMaking(worker, volumeNode, _DICOM, acceptAll, onDone, onError, onProgress)

    # -- what can be done

    def whyNoDicom(self, volumeNode):
        """Return why no DICOM object can be made of a CT's result, in words; empty where one can."""
        document = StudyResult(volumeNode).document() if volumeNode is not None else None
        if document is None:
            return _("There is no result to save yet; press Screen first.")
        if not volumeNode.GetAttribute("DICOM.instanceUIDs"):
            return _(
                "This CT did not come from Slicer's DICOM database, so there are no DICOM headers that an object could "
                "refer to; load the series from the DICOM module and screen that."
            )
        if not dicomFiles(volumeNode):
            return _(
                "The DICOM files of this CT are no longer in Slicer's DICOM database; import the series again in the "
                "DICOM module."
            )
        edited = self._classification.editedSince(volumeNode, document)
        now = levelsNow(volumeNode, list(document["levels"]))
        old = StudyResult(volumeNode).remeasure(now, edited)
        if old:
            told = _("{reasons} Press Measure and classify first, so that what is written is what was measured.")
            return told.format(reasons=" ".join(old))
        return ""

    def _startMaking(self, worker, volumeNode, kind, accept, onDone, onError, onProgress):
        made = self._made(volumeNode, kind)
        if made is not None:
            onDone(accept(made))
            return
        message = self._message(volumeNode, kind)
        send(worker, message, lambda done: accept(self._remember(message, done)), onDone, onError, onProgress)

    def _make(self, volumeNode, kind):
        """Return the worker's answer to a kind, or to the DICOM objects that it is one of."""
        made = self._made(volumeNode, kind)
        if made is not None:
            return made
        message = self._message(volumeNode, kind)
        return self._remember(message, InProcessWorker().run(message))

    def _dicomObjects(self, volumeNode):
        self.packages.require()
        return self._filesIn(self._make(volumeNode, _DICOM), _DICOM)

    def _require(self, kind):
        if self.kinds()[kind].packages:
            self.packages.require()

    def _result(self, volumeNode):
        from OsteoScreenLib.results_io import assemble

        return assemble(self._requireResult(volumeNode))

    @staticmethod
    def _requireResult(volumeNode):
        document = StudyResult(volumeNode).document() if volumeNode is not None else None
        if document is None:
            raise ModuleError(_("There is no result to save yet; press Screen first."))
        return document

    def _kept(self, volumeNode, path, kinds=()):
        self._requireResult(volumeNode)
        return self._tasks.keep(volumeNode, path, kinds)

    def _message(self, volumeNode, kind):
        """Return the worker's message that makes a kind; of a DICOM object, all of them, since they refer to another.

        :raises ModuleError: there is no result, or no DICOM object can be made of it.
        """
        if not _isDicom(kind):
            self._requireResult(volumeNode)  # the folder is named after it
            return self._kept(volumeNode, self._folder(volumeNode, kind), [kind])
        reason = self.whyNoDicom(volumeNode)
        if reason:
            raise ModuleError(reason)
        message = self._kept(volumeNode, self._folder(volumeNode, _DICOM), [_DICOM, *_dicomOnRequest()])
        return {**message, "files": dicomFiles(volumeNode)}

    def _folder(self, volumeNode, what):
        """Return the folder, in the exchange folder, of what is made of the result as it is now."""
        text = StudyResult(volumeNode).nodes.result.GetText()
        return os.path.join(self._tasks.folder, f"{what}-" + hashlib.sha256(text.encode("utf-8")).hexdigest()[:16])

    def _made(self, volumeNode, kind):
        """Return the answer to the DICOM objects of the result as it is now; None where they are not made."""
        if not _isDicom(kind) or self.whyNoDicom(volumeNode):
            return None
        done = self._objects.get(self._folder(volumeNode, _DICOM))
        there = done is not None and all(os.path.isfile(path) for paths in done["written"].values() for path in paths)
        return done if there else None

    def _remember(self, message, done):
        """Keep an answer of DICOM objects. Slicer's database takes folders: what it is not to take goes elsewhere."""
        if _DICOM in message["kinds"]:
            for kind in _dicomOnRequest():
                paths = done["written"].get(kind, [])
                done["written"][kind] = [_moved(path, f"{message['to']}-on-request") for path in paths]
            self._objects[message["to"]] = done
        return done

    def _filesIn(self, done, kind):
        """Return the paths of a kind's files in a worker's answer; ModuleError says why there are none."""
        from OsteoScreenLib.reports.kinds import groups

        if kind in done["unwritten"]:
            raise ModuleError(done["unwritten"][kind])
        kinds = groups()[_DICOM] if kind == _DICOM else (*self.kinds()[kind].needs, kind)
        paths = [path for each in kinds for path in done["written"].get(each, [])]
        if not paths:
            told = _("The engine wrote no file of the kind {kind}; tell whoever added it.")
            raise ModuleError(told.format(kind=kind))
        return paths


def place(paths, to, several):
    """Copy files to where the user wants them: into the folder ``to`` where there are several, else as the file ``to``.

    :return: the copies' paths.
    :raises ModuleError: as copyInto.
    """
    if several:
        return copyInto(paths, to)
    return _copyAll(paths, [os.fspath(to)])


def copyInto(paths, folder):
    """Copy files into a folder, all or none; returns the copies' paths. What is there already is never written over.

    :raises ModuleError: a file of that name is there, or the folder cannot be written to.
    """
    targets = [os.path.join(folder, os.path.basename(path)) for path in paths]
    there = [os.path.basename(target) for target in targets if os.path.exists(target)]
    if there:
        told = _("The folder holds {names} already; choose another one.")
        raise ModuleError(told.format(names=", ".join(there)))
    return _copyAll(paths, targets)


def _copyAll(paths, targets):
    """Copy files under other names first, so that what cannot be copied as a whole leaves nothing behind."""
    begun = []
    try:
        for path, target in zip(paths, targets, strict=True):
            begun.append(f"{target}.part")
            shutil.copyfile(path, begun[-1])
        for target in targets:
            os.replace(f"{target}.part", target)
            begun.append(target)
    except OSError as error:
        for path in begun:
            removeQuietly(path)
        told = _("{name} cannot be written to {folder}: {reason}.")
        folder, name = os.path.split(targets[0])
        raise ModuleError(told.format(name=name, folder=folder, reason=error.strerror or error)) from error
    return targets


def _moved(path, folder):
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, os.path.basename(path))
    os.replace(path, target)
    return target


def _isDicom(kind):
    from OsteoScreenLib.reports.kinds import dicom_kinds

    return kind == _DICOM or kind in dicom_kinds()


def _dicomOnRequest():
    from OsteoScreenLib.reports.kinds import dicom_kinds, groups

    return sorted(dicom_kinds().difference(groups()[_DICOM]))
