"""The cases of a queue of levels in the scene: one at a time, the next one read and suggested ahead.

Reading a scan and finding its vertebrae takes seconds. Both happen in a process of the queue's own, while the reader
looks at the case before, so that the next one is there at the press of a key.
"""

from dataclasses import dataclass

import numpy as np

import slicer
from slicer.i18n import tr as _

from .Diagnostics import LOGGER
from .Errors import ModuleError
from .Levels import StudyLevels
from .StudyNodes import StudyNodes, removeStudy
from .Tasks import removeQuietly

# Marks the volume of a case; holds the study's id.
CASE_ATTRIBUTE = "OsteoScreen.queueCase"


@dataclass(frozen=True)
class LoadedCase:
    """A case in the scene.

    :param volumeNode: the CT.
    :param found: what the worker answered to "suggest", None where it was not asked.
    :param trouble: why nothing could be suggested, in words; empty where nothing went wrong.
    """

    volumeNode: object
    found: object
    trouble: str


@dataclass
class _Preparation:
    """How far a case is: ``waiting`` are the callbacks of whoever waits for it."""

    key: tuple
    described: object = None
    found: object = None
    trouble: str = ""
    error: object = None
    ready: bool = False
    waiting: object = None
    dropped: bool = False


class QueueLogic:
    """Brings cases into the scene, and takes them away again.

    :param worker: a Worker.WorkerProcess of its own.
    :param tasks: Tasks.
    :param ctReader: Volumes.CtReader.
    :param localisation: Networks.LocalisationLogic, which puts suggested levels into the scene.
    """

    def __init__(self, worker, tasks, ctReader, localisation):
        self._worker = worker
        self._tasks = tasks
        self._ctReader = ctReader
        self._localisation = localisation
        self._preparations = {}

    def startLoading(self, case, names, options, onDone, onError, onProgress=None):
        """Bring a case into the scene; ``onDone(LoadedCase)`` or ``onError(kind, text)`` is called, now or later.

        :param case: Queue.QueueCase.
        :param names: the levels that are wanted.
        :param options: those of "suggest" (Networks.SUGGEST_OPTIONS), None where nothing is to be suggested.
        :raises ModuleError: the case lies on a server, or the process cannot be started.
        """

        def done(preparation):
            try:
                loaded = self._show(case, names, preparation)
            except Exception as error:  # shown like an error of the worker's; the trace is for the log
                LOGGER.exception("The case could not be shown")
                onError(type(error).__name__, str(error))
                return
            onDone(loaded)

        preparation = self._prepare(case, names, options)
        preparation.waiting = (done, onError, onProgress)
        self._dropOthers(preparation)
        if preparation.ready:
            self._finish(preparation)

    def prepareAhead(self, case, names, options):
        """Read a case (and have its levels suggested) while another one is looked at; faults are told when it comes."""
        try:
            self._prepare(case, names, options)
        except Exception as error:  # told when the case is loaded
            LOGGER.warning("The next case was not read ahead: %s", type(error).__name__)

    def cancel(self):
        """Stop what somebody waits for."""
        if any(preparation.waiting for preparation in self._preparations.values()):
            self.stop()

    def stop(self):
        """Stop everything, and forget what was prepared."""
        self._worker.stop()
        for preparation in self._preparations.values():
            self._drop(preparation)
        self._preparations.clear()

    def volumes(self):
        """Return the volumes of the scene that are cases of a queue."""
        nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        return [node for node in nodes if node.GetAttribute(CASE_ATTRIBUTE)]

    def remove(self, volumeNode):
        """Take a case out of the scene, with all that hangs on it."""
        removeStudy(volumeNode)

    def unkept(self, volumeNode, taken):
        """Return in words what of a case would be lost with it.

        :param taken: whether its levels are in the filled-in list as they are now.
        """
        nodes, levels = StudyNodes(volumeNode), StudyLevels(volumeNode)
        told = []
        own = [name for name in levels.names() if levels.isConfirmed(name) or levels.setBy(name) in ("user", "snapped")]
        if own and not taken:
            told.append(_("the levels that you set or confirmed"))
        if nodes.result is not None:
            told.append(_("the result"))
        elif nodes.segmentation is not None:
            told.append(_("the outlines"))
        return told

    def _prepare(self, case, names, options):
        suggest = options is not None and not case.suggested and not case.kept
        key = (case.study, tuple(names), repr(options) if suggest else "")
        preparation = self._preparations.get(key)
        if preparation is not None and preparation.error is None:
            return preparation
        _checkNotOnServer(case)
        preparation = _Preparation(key)
        message = {"do": "open", "path": case.study.ct, "series": case.study.series, "folder": self._tasks.folder}

        def opened(done):
            described = preparation.described = _withoutPatient(done["ct"], case.study)
            if preparation.dropped or not suggest:
                self._finish(preparation)
                return
            message = {"do": "suggest", "ct": described, "levels": list(names), "options": options}
            self._worker.start(message, suggested, noSuggestion, self._telling(preparation))

        def suggested(done):
            preparation.found = done
            self._finish(preparation)

        def noSuggestion(kind, text):
            LOGGER.warning("suggest, for the queue: %s", kind)
            preparation.trouble = text
            self._finish(preparation)

        def failed(kind, text):
            LOGGER.warning("open: %s", kind)
            preparation.error = (kind, text)
            self._finish(preparation)

        self._worker.start(message, opened, failed, self._telling(preparation))
        self._preparations[key] = preparation
        return preparation

    @staticmethod
    def _telling(preparation):
        def tell(step, done, total):
            if preparation.waiting is not None and preparation.waiting[2] is not None:
                preparation.waiting[2](step, done, total)

        return tell

    def _finish(self, preparation):
        preparation.ready = True
        if preparation.dropped:
            self._drop(preparation)
            return
        if preparation.waiting is None:
            return
        done, failed, _onProgress = preparation.waiting
        self._preparations.pop(preparation.key, None)
        if preparation.error is not None:
            failed(*preparation.error)
        else:
            done(preparation)

    def _dropOthers(self, preparation):
        for other in [other for other in self._preparations.values() if other is not preparation]:
            del self._preparations[other.key]
            self._drop(other)

    @staticmethod
    def _drop(preparation):
        preparation.dropped, preparation.waiting = True, None
        if preparation.described is not None:
            removeQuietly(preparation.described["array"])

    def _show(self, case, names, preparation):
        from OsteoScreenLib.worker.exchange import read_array

        described = preparation.described
        scene = slicer.mrmlScene
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", case.id)
        try:
            slicer.util.updateVolumeFromArray(node, read_array(described["array"]))
            node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.array(described["ijk_to_ras"], dtype=float)))
            node.CreateDefaultDisplayNodes()
            node.SetAttribute(CASE_ATTRIBUTE, case.id)
            self._tasks.adopt(node, described["array"])
            self._ctReader.keepHeader(node, described)
            if preparation.found is not None:
                self._localisation.accept(node, preparation.found)
            _place(StudyLevels(node), case, names)
        except Exception:
            self.remove(node)
            raise
        return LoadedCase(node, preparation.found, preparation.trouble)


def _place(levels, case, names):
    """Put levels where the batch suggested them, or a reader had set them, not confirmed; none outside the scan."""
    for name, k in case.suggested.items():
        if name in names and k < levels.geometry.shape[0]:
            levels.setSlice(name, k, "suggested")
    for name, height in case.kept.items():
        levels.setSlice(name, levels.geometry.nearest_slice(height))


def _withoutPatient(described, study):
    """Return the CT's description with no more of the patient than the queue says."""
    acquisition = dict(described["acquisition"] or {})
    acquisition.update(age_years=study.age_years, sex=study.sex, study_date=None)
    return {**described, "acquisition": acquisition}


def _checkNotOnServer(case):
    from OsteoScreenLib.pacs.address import is_address

    if is_address(case.study.ct):
        raise ModuleError(
            _("The scan of {case} lies on a server; fetch it with `osteoscreen pacs fetch`, or skip it.").format(
                case=case.id
            )
        )
