"""The networks' jobs, as logic classes that a script can use too: suggesting, outlining, measuring and classifying.

Each turns the scene into a message, and the worker's answer back into nodes. Where it runs (this process or another)
is the caller's; the device is chosen, the bundle loaded once and warmed up, and the fall from a full GPU to the CPU
made and told by the engine.
"""

import numpy as np

from slicer.i18n import tr as _

from .Decisions import keepBefore
from .Diagnostics import LOGGER, NetworksUsed
from .Errors import ModuleError
from .FollowUp import PRECISION_ATTRIBUTE
from .Levels import StudyLevels
from .Options import SCREEN_OPTIONS, SUGGEST_OPTIONS
from .Outlines import StudyOutlines, maskDigest
from .Results import StudyResult
from .StudyNodes import StudyNodes
from .Vertebrae import StudyVertebrae
from .Worker import InProcessWorker


class NetworkLogic:
    """What the jobs share: a message out, an answer back into the scene, in this process or in another.

    :param tasks: Tasks.
    """

    OPTIONS = SCREEN_OPTIONS

    def __init__(self, tasks):
        self._tasks = tasks

    def message(self, volumeNode, names, options):
        """Return the worker's message for the levels ``names``. Raises ModuleError where a level is missing."""
        raise NotImplementedError

    def accept(self, volumeNode, done):
        """Put what the worker found into the scene, and return it."""
        raise NotImplementedError

    def run(self, volumeNode, names=("L1", "L2"), onProgress=None, **options):
        """Do the job in this process and return what was found; for scripts.

        :param names: the levels; the scene has to have them for this CT where they are not to be found.
        :param onProgress: called with (step, done, total); what it raises cancels and passes through.
        :param options: those of OPTIONS that differ.
        :raises ModuleError: what is wrong and what to do.
        """
        message = self.message(volumeNode, names, {**self.OPTIONS, **options})
        return self.accept(volumeNode, InProcessWorker().run(message, onProgress))

    def start(self, worker, volumeNode, names, options, onDone, onError, onProgress=None):
        """Have the job done in the worker process; ``onDone(found)`` or ``onError(kind, text)`` is called later.

        :param worker: Worker.WorkerProcess.
        :raises ModuleError: a level is missing, or the process cannot be started.
        """
        message = self.message(volumeNode, names, options)
        send(worker, message, lambda done: self.accept(volumeNode, done), onDone, onError, onProgress)


class LocalisationLogic(NetworkLogic):
    """Finds and names the vertebrae of one CT, and puts the levels on them; it never confirms one."""

    OPTIONS = SUGGEST_OPTIONS

    def message(self, volumeNode, names, options):
        """Return the worker's message that suggests the levels ``names``."""
        return self._tasks.suggest(volumeNode, names, options)

    def accept(self, volumeNode, done):
        """Draw the vertebrae of an answer, put the levels where it has them, and return it.

        A level that a reader has confirmed stays where it is. One that an earlier suggestion had put somewhere, and
        this one does not suggest, goes.
        """
        checkStillThere(volumeNode)
        study, levels = StudyVertebrae(volumeNode), StudyLevels(volumeNode)
        study.write(done)
        for name in (*done["levels"], *done["refused"]):
            if levels.isConfirmed(name):
                continue
            if name in done["levels"]:
                _place(levels, name, study.vertebra(name), done["levels"][name]["slice_index"], "suggested")
            elif levels.position(name) is not None and levels.setBy(name) == "suggested":
                levels.remove(name)
        told = ", ".join(done["levels"]) or "no level"
        LOGGER.info("Suggesting: %d vertebrae, %s, on %s.", len(done["vertebrae"]), told, done["device"])
        return done

    def move(self, volumeNode, names, by):
        """Move the names ``by`` vertebrae towards the head (negative: towards the feet), and the levels with them.

        Otherwise as ``take``, which it ends with. Raises ModuleError likewise, and where no name is left.
        """
        study = StudyVertebrae(volumeNode)
        self._requireNames(study)
        if not study.canMove(by):
            raise ModuleError(_("The names cannot be moved further: none is left for any vertebra."))
        self._tasks.ctReader.read(volumeNode)  # raises what is wrong before anything is moved
        study.move(by)
        return self.take(volumeNode, names)

    def take(self, volumeNode, names):
        """Put the levels ``names`` on the vertebrae that bear their names now, because the reader says so.

        Not confirmed, and set by the user where the networks would not have suggested it. A level whose vertebra is
        not there, or cut by the scan's end, is taken away.

        :return: the levels that are set.
        :raises ModuleError: no vertebra is named.
        """
        from OsteoScreenLib.levels.suggestion import level_of

        study, levels = StudyVertebrae(volumeNode), StudyLevels(volumeNode)
        self._requireNames(study)
        ct = self._tasks.ctReader.read(volumeNode)
        for name in names:
            vertebra = study.vertebra(name)
            if vertebra is None:
                levels.remove(name)
                continue
            found = level_of(ct, vertebra)
            study.keepLevel(name, found)
            setBy = "suggested" if study.isSuggested(name) else "user"
            _place(levels, name, vertebra, found.level.slice_index, setBy)
        return [name for name in names if levels.position(name) is not None]

    @staticmethod
    def _requireNames(study):
        if not study.vertebrae():
            raise ModuleError(_("No vertebra is named yet; press Suggest first."))


class SegmentationLogic(NetworkLogic):
    """Outlines the vertebral bodies of one CT's levels and puts them into the scene."""

    def message(self, volumeNode, names, options):
        """Return the worker's message for the levels ``names``. Raises ModuleError where a level is missing."""
        return self._tasks.outline(volumeNode, names, options)

    def accept(self, volumeNode, done):
        """Put the outlines and the probability map of an answer into the scene, and return the outlines by level."""
        from OsteoScreenLib.worker.exchange import read_done

        outlines = read_done(done).outlines
        self.show(volumeNode, outlines)
        return outlines

    def edited(self, volumeNode, names):
        """Return the levels among ``names`` whose outline the user drew or edited. Raises ModuleError."""
        if StudyNodes(volumeNode).segmentation is None:
            return []
        return list(self._tasks.editedMasks(volumeNode, StudyLevels(volumeNode).engineLevels(names)))

    def show(self, volumeNode, outlines, keep=()):
        """Write outlines {level: LevelOutline} into the scene; those of the levels ``keep`` are the user's and stay."""
        checkStillThere(volumeNode)
        ct = self._tasks.ctReader.read(volumeNode)
        study, levels = StudyOutlines(volumeNode, ct), StudyLevels(volumeNode)
        for name, outline in outlines.items():
            if name not in keep:
                study.write(name, outline.slice_index, outline.mask)
                levels.moveInPlane(name, _centre(ct, outline))
        study.writeProbability(
            {
                name: (outline.slice_index, outline.probability)
                for name, outline in outlines.items()
                if outline.probability is not None
            }
        )


class ClassificationLogic(NetworkLogic):
    """Measures and classifies one CT, on outlines that the user edited where there are any.

    :param segmentation: SegmentationLogic, which shows what the network outlined for it.
    :param followUp: FollowUp.FollowUpLogic, which compares the result with the patient's earlier ones.
    """

    def __init__(self, tasks, segmentation, followUp):
        NetworkLogic.__init__(self, tasks)
        self._segmentation = segmentation
        self._followUp = followUp
        #: The device and the bundles of the last result, for the diagnostics.
        self.used = None

    def message(self, volumeNode, names, options):
        """Return the worker's message for the levels ``names``. Raises ModuleError where a level is missing."""
        return self._tasks.screen(volumeNode, names, options)

    def accept(self, volumeNode, done):
        """Put the result of an answer into the scene, and return it (the engine's ScreeningResult)."""
        from OsteoScreenLib.results_io import assemble
        from OsteoScreenLib.worker.exchange import read_done

        checkStillThere(volumeNode)
        answer = read_done(done)
        own = [name for name, roi in answer.result.roi.items() if roi.mask_source == "user"]
        own += [name for name, outline in answer.outlines.items() if outline.probability is None and name not in own]
        self._segmentation.show(volumeNode, answer.outlines, keep=own)
        keepBefore(volumeNode, done["result"])
        result = StudyResult(volumeNode)
        acquisition = self._tasks.ctReader.read(volumeNode).acquisition
        result.write(done["result"], acquisition.study_date.isoformat() if acquisition.study_date else None)
        for name, outline in answer.outlines.items():
            result.nodes.result.SetAttribute(f"OsteoScreen.measured.{name}", maskDigest(outline.mask))
        precision = done.get("precision_mg_cm3")
        result.nodes.result.SetAttribute(PRECISION_ATTRIBUTE, "" if precision is None else repr(precision))
        self._followUp.refresh(volumeNode)
        return self._noted(assemble(result.document()))

    def _noted(self, result):
        device = result.software.get("device", "")
        self.used = NetworksUsed(device, [(bundle.name, bundle.version, bundle.sha256) for bundle in result.bundles])
        LOGGER.info("Screening: %s, on %s, in %.1f s.", result.status, device, result.timing_s["total"])
        return result

    def editedSince(self, volumeNode, document):
        """Return the levels whose outline is not the one that the result was measured on."""
        node = StudyResult(volumeNode).nodes.result
        if node is None or not document.get("roi"):
            return []
        outlines = StudyOutlines(volumeNode, self._tasks.ctReader.read(volumeNode))
        edited = []
        for name in document["roi"]:
            measured = node.GetAttribute(f"OsteoScreen.measured.{name}")
            mask = outlines.read(name, document["levels"][name]["slice_index"])
            if measured and measured != (maskDigest(mask) if mask is not None else ""):
                edited.append(name)
        return edited


def send(worker, message, accept, onDone, onError, onProgress=None):
    """Send a message to the worker process; what ``accept(done)`` makes of the answer goes to ``onDone``."""

    def done(answer):
        try:
            found = accept(answer)
        except Exception as error:  # shown like an error of the worker's; the trace is for the log
            LOGGER.exception("The answer could not be shown")
            onError(type(error).__name__, str(error))
            return
        onDone(found)

    def failed(kind, text):
        LOGGER.error("%s: %s", message["do"], kind)
        onError(kind, text)

    worker.start(message, done, failed, onProgress)


def checkStillThere(volumeNode):
    """Raise ModuleError where the CT was removed from the scene while the networks ran."""
    if volumeNode is None or volumeNode.GetScene() is None:
        raise ModuleError(_("The CT was removed while the networks ran, so there is no result; load it again."))


def _place(levels, name, vertebra, k, setBy):
    """Put a level on slice ``k``, in the plane at the vertebra's centre; it is not confirmed."""
    i, j, _k = levels.geometry.ijk(np.asarray(vertebra.centre, dtype=float))
    levels.setPosition(name, levels.geometry.ras(i, j, k), setBy)


def _centre(ct, outline):
    row, column = (float(np.mean(places)) for places in np.nonzero(outline.mask))
    return ct.geometry.ras(column, row, outline.slice_index)
