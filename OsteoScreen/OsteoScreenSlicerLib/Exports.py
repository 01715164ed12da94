"""What is kept of a result outside the scene: page, PDF, table, result.json and DICOM objects.

DICOM objects are made once for a result and go, as they are, wherever they are wanted: so the database, a folder and a
server never hold two versions of the same report.
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
from .Volumes import dicomFiles
from .Worker import InProcessWorker


class ExportLogic:
    """Keeps results, for the panel and for scripts.

    :param tasks: Tasks.
    :param classification: Networks.ClassificationLogic, which knows the outlines that were measured.
    """

    def __init__(self, tasks, classification):
        self._tasks = tasks
        self._classification = classification
        self.packages = ExtraPackages(EXPORT_REQUIREMENTS)
        # The DICOM objects that were made, by their folder, which is that of one result.
        self._objects = {}

    # -- scripts: these return when the work is done

    def savePage(self, volumeNode, path):
        """Write the page of a CT's result; returns its path. Raises ModuleError or OsteoScreenError."""
        return self._run(self._kept(volumeNode, "report", path))

    def savePdf(self, volumeNode, path):
        """Write the result as a PDF of one sheet; otherwise as ``savePage``."""
        self.packages.require()
        return self._run(self._kept(volumeNode, "pdf", path))

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
        self.packages.require()
        return copyInto(self._makeDicom(volumeNode), folder)

    def addToDatabase(self, volumeNode):
        """Add the result's DICOM objects to Slicer's DICOM database; returns their paths. Otherwise as ``savePage``."""
        self.packages.require()
        Database.checkOpen()
        written = self._makeDicom(volumeNode)
        Database.add(written)
        return written

    # -- the panel: these return at once, and call back

    def startPage(self, worker, volumeNode, path, onDone, onError, onProgress=None):
        """Write the page in the worker process; ``onDone(path)`` or ``onError(kind, text)`` is called later."""
        message = self._kept(volumeNode, "report", path)
        send(worker, message, lambda done: done["written"], onDone, onError, onProgress)

    def startPdf(self, worker, volumeNode, path, onDone, onError, onProgress=None):
        """Write the PDF in the worker process; otherwise as ``startPage``."""
        message = self._kept(volumeNode, "pdf", path)
        send(worker, message, lambda done: done["written"], onDone, onError, onProgress)

    def startDicom(self, worker, volumeNode, accept, onDone, onError, onProgress=None):
        """Make the DICOM objects in the worker process, unless they are made; ``accept(paths)`` goes to ``onDone``."""
        made = self._made(volumeNode)
        if made:
            onDone(accept(made))
            return
        message = self._dicom(volumeNode)
        send(worker, message, lambda done: accept(self._remember(message, done)), onDone, onError, onProgress)

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

    def _result(self, volumeNode):
        from OsteoScreenLib.results_io import assemble

        return assemble(self._requireResult(volumeNode))

    @staticmethod
    def _requireResult(volumeNode):
        document = StudyResult(volumeNode).document() if volumeNode is not None else None
        if document is None:
            raise ModuleError(_("There is no result to save yet; press Screen first."))
        return document

    def _kept(self, volumeNode, what, path):
        self._requireResult(volumeNode)
        return self._tasks.keep(volumeNode, what, path)

    def _dicom(self, volumeNode):
        reason = self.whyNoDicom(volumeNode)
        if reason:
            raise ModuleError(reason)
        message = self._kept(volumeNode, "dicom", self._folder(volumeNode))
        return {**message, "files": dicomFiles(volumeNode)}

    def _folder(self, volumeNode):
        """Return the folder of the DICOM objects of the result as it is now."""
        text = StudyResult(volumeNode).nodes.result.GetText()
        return os.path.join(self._tasks.folder, "dicom-" + hashlib.sha256(text.encode("utf-8")).hexdigest()[:16])

    def _made(self, volumeNode):
        """Return the paths of the DICOM objects that were made of the result as it is now; empty without them."""
        if self.whyNoDicom(volumeNode):
            return []
        paths = self._objects.get(self._folder(volumeNode), [])
        return paths if all(os.path.isfile(path) for path in paths) else []

    def _makeDicom(self, volumeNode):
        made = self._made(volumeNode)
        if made:
            return made
        message = self._dicom(volumeNode)
        return self._remember(message, {"written": self._run(message)})

    def _remember(self, message, done):
        self._objects[message["to"]] = done["written"]
        return done["written"]

    @staticmethod
    def _run(message):
        return InProcessWorker().run(message)["written"]


def copyInto(paths, folder):
    """Copy files into a folder, whole; returns the copies' paths. What is there already is never written over.

    :raises ModuleError: a file of that name is there, or the folder cannot be written to.
    """
    targets = [os.path.join(folder, os.path.basename(path)) for path in paths]
    there = [os.path.basename(target) for target in targets if os.path.exists(target)]
    if there:
        told = _("The folder holds {names} already; choose another one.")
        raise ModuleError(told.format(names=", ".join(there)))
    try:
        for path, target in zip(paths, targets, strict=True):
            shutil.copyfile(path, f"{target}.part")
            os.replace(f"{target}.part", target)
    except OSError as error:
        told = _("The DICOM objects cannot be written to {folder}: {reason}.")
        raise ModuleError(told.format(folder=folder, reason=error.strerror or error)) from error
    return targets
