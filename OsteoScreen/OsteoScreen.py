"""OsteoScreen: opportunistic bone-density screening on chest CT in 3D Slicer. Research use only."""

import atexit

import qt

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleLogic

from OsteoScreenSlicerLib.Bundles import BundleLogic
from OsteoScreenSlicerLib.Decisions import DecisionLogic
from OsteoScreenSlicerLib.Diagnostics import LOGGER, RecentLog, diagnostics
from OsteoScreenSlicerLib.Exports import ExportLogic
from OsteoScreenSlicerLib.FollowUp import FollowUpLogic
from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenSlicerLib.LevelSources import LevelLogic
from OsteoScreenSlicerLib.ModuleTest import ModuleTest
from OsteoScreenSlicerLib.Networks import ClassificationLogic, LocalisationLogic, SegmentationLogic
from OsteoScreenSlicerLib.Options import PanelOptions
from OsteoScreenSlicerLib.Outlines import ensureTerminology
from OsteoScreenSlicerLib.Packages import REQUIREMENTS_FILE, Packages
from OsteoScreenSlicerLib.Pacs import PacsLogic
from OsteoScreenSlicerLib.Panels.DecisionSection import DecisionSection
from OsteoScreenSlicerLib.Panels.EarlierSection import EarlierSection
from OsteoScreenSlicerLib.Panels.InstallSection import InstallSection
from OsteoScreenSlicerLib.Panels.KeepSection import KeepSection
from OsteoScreenSlicerLib.Panels.LevelsSection import LevelsSection
from OsteoScreenSlicerLib.Panels.ModelsSection import ModelsSection
from OsteoScreenSlicerLib.Panels.OutlinesSection import OutlinesSection
from OsteoScreenSlicerLib.Panels.PacsSection import PacsSection
from OsteoScreenSlicerLib.Panels.QueueSection import QueueSection
from OsteoScreenSlicerLib.Panels.ResultSection import ResultSection
from OsteoScreenSlicerLib.Panels.RunSection import RunSection
from OsteoScreenSlicerLib.Panels.ScanSection import ScanSection
from OsteoScreenSlicerLib.Panels.Shortcuts import Shortcuts
from OsteoScreenSlicerLib.Panels.SuggestSection import SuggestSection
from OsteoScreenSlicerLib.PanelWidget import PanelWidget
from OsteoScreenSlicerLib.Parameters import OsteoScreenParameterNode
from OsteoScreenSlicerLib.QueueCases import QueueLogic
from OsteoScreenSlicerLib.SampleData import registerSampleData
from OsteoScreenSlicerLib.StudyNodes import LEVEL_NAMES, eventsOfStudy, firstVolume
from OsteoScreenSlicerLib.Tasks import Tasks
from OsteoScreenSlicerLib.Volumes import CtReader
from OsteoScreenSlicerLib.WarmUp import WarmUp
from OsteoScreenSlicerLib.Worker import WorkerProcess


class OsteoScreen(ScriptedLoadableModule):
    """The module, as Slicer lists it."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("OsteoScreen")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        self.parent.dependencies = ["Markups", "Segmentations", "Terminologies", "Volumes"]
        self.parent.contributors = ["The OsteoScreen developers"]
        self.parent.helpText = _(
            "Opportunistic bone-density screening on a chest CT that was made for something else: choose the CT, set "
            "and confirm the centre slices of L1 and L2, and press Screen. The vertebral bodies are outlined by a "
            "network, measured (HU, BMD), and classified as normal, osteopenia or osteoporosis, with a page that "
            "shows what was measured and where. Research use only: a screening aid, not DXA, and no diagnosis."
        )
        self.parent.acknowledgementText = _(
            "It follows the study of Pan et al., Effectiveness of opportunistic osteoporosis screening on chest CT "
            "using the DCNN model, BMC Musculoskeletal Disorders 2024. The networks were built after the paper and "
            "trained on simulated CT only; nothing of the study's code or data is used."
        )
        slicer.app.connect("startupCompleted()", ensureTerminology)
        slicer.app.connect("startupCompleted()", registerSampleData)


class OsteoScreenWidget(PanelWidget):
    """The panel: its life, the nodes that it follows, and its sections, which do the rest."""

    LIBRARIES = ("OsteoScreenSlicerLib", "OsteoScreenLib")

    def __init__(self, parent=None):
        PanelWidget.__init__(self, parent)
        self._observed = []

    @property
    def volumeNode(self):
        """The CT that is chosen, or None; the parameter node may remember one that is no longer in the scene."""
        node = self.parameterNode.inputVolume if self.parameterNode is not None else None
        return node if node is not None and node.GetScene() is not None else None

    @property
    def names(self):
        """The levels that are used: L1 and L2, or L1 alone."""
        return LEVEL_NAMES if self.parameterNode is None or self.parameterNode.useL2 else LEVEL_NAMES[:1]

    def makeLogic(self):
        """Return the module's logic."""
        return OsteoScreenLogic()

    def makeSections(self):
        """Return the panel's sections in the order in which they are updated."""
        self.run, self.install = RunSection(self), InstallSection(self)
        self.scan, self.suggest, self.levels = ScanSection(self), SuggestSection(self), LevelsSection(self)
        self.outlines, self.result, self.models = OutlinesSection(self), ResultSection(self), ModelsSection(self)
        self.earlier, self.decision = EarlierSection(self), DecisionSection(self)
        self.keep, self.pacs, self.queue = KeepSection(self), PacsSection(self), QueueSection(self)
        return (
            self.install, self.scan, self.suggest, self.levels, self.outlines, self.result, self.earlier,
            self.decision, self.keep, self.pacs, self.queue, self.models, self.run,
        )  # fmt: skip

    def setup(self):
        """Called once, when the module is opened for the first time."""
        PanelWidget.setup(self)
        # Painting in the Segment Editor changes the outlines many times a second; the panel follows when it pauses.
        self.updateTimer = qt.QTimer()
        self.updateTimer.setSingleShot(True)
        self.updateTimer.setInterval(100)
        self.updateTimer.timeout.connect(self.updatePanel)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onModified)
        self._shortcuts = Shortcuts(self)
        self._shortcuts.switch(self.parent.isEntered)
        self.initializeParameterNode()

    def cleanup(self):
        """Called when the application closes, or the module is reloaded."""
        self.updateTimer.stop()
        self._shortcuts.remove()
        self.levels.lines.clear()
        PanelWidget.cleanup(self)
        self.logic.shutDown()

    def enter(self):
        """Called each time the user opens the module."""
        self._shortcuts.switch(True)
        PanelWidget.enter(self)

    def exit(self):
        """Called each time the user opens another module."""
        self._shortcuts.switch(False)
        PanelWidget.exit(self)

    def onSceneStartClose(self, caller, event):
        """The scene is about to be emptied: what runs is about nothing any more."""
        self.run.cancel()
        self.pacs.cancel()
        self.levels.lines.clear()
        PanelWidget.onSceneStartClose(self, caller, event)

    def onModified(self, caller=None, event=None):
        """A choice, a level, an outline or the CT changed, or a node is gone: show it soon."""
        if self.parameterNode is not None:
            self.updateTimer.start()

    def initializeParameterNode(self):
        """Make sure that there is a parameter node, that it is followed, and that a CT is chosen where there is one."""
        PanelWidget.initializeParameterNode(self)
        if self.parameterNode is not None and self.volumeNode is None:
            self.parameterNode.inputVolume = firstVolume(slicer.mrmlScene)

    def setParameterNode(self, parameterNode):
        """Follow another parameter node, or none."""
        self._observe([])
        if parameterNode is not None:
            self.models.showBundles()
        PanelWidget.setParameterNode(self, parameterNode)

    def updatePanel(self):
        """Show the scene as it is now, and follow what hangs on the CT that is chosen."""
        PanelWidget.updatePanel(self)
        if self.parameterNode is not None:
            self._observe(eventsOfStudy(self.volumeNode))

    def _observe(self, wanted):
        if wanted == self._observed:
            return
        for node, event in self._observed:
            self.removeObserver(node, event, self.onModified)
        for node, event in wanted:
            self.addObserver(node, event, self.onModified)
        self._observed = wanted


class OsteoScreenLogic(ScriptedLoadableModuleLogic):
    """Screening in the scene, for the panel and for scripts; what each part of it does is in OsteoScreenSlicerLib.

    A loop over a folder of CTs whose levels are known, in Slicer's Python console::

        logic = slicer.util.getModuleLogic("OsteoScreen")
        for path, l1, l2 in [("/data/a.nrrd", -291.5, -330.75), ("/data/b.nrrd", -310.0, -348.0)]:
            volumeNode = slicer.util.loadVolume(path)
            result = logic.screen(volumeNode, l1=l1, l2=l2)
            print(result.status, result.densitometry.bmd_mg_cm3 if result.densitometry else None)
            logic.saveReport(volumeNode, path + ".html")
            slicer.mrmlScene.Clear()
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.recentLog = RecentLog()
        LOGGER.addHandler(self.recentLog)
        LOGGER.setLevel("INFO")
        self.packages = Packages(REQUIREMENTS_FILE)
        self.bundles = BundleLogic(self.packages)
        self.options = PanelOptions(self.bundles)
        self.ctReader = CtReader()
        self.tasks = Tasks(self.ctReader)
        self.levels = LevelLogic(self.ctReader)
        self.localisation = LocalisationLogic(self.tasks)
        self.segmentation = SegmentationLogic(self.tasks)
        self.followUp = FollowUpLogic(self.ctReader)
        self.classification = ClassificationLogic(self.tasks, self.segmentation, self.followUp)
        self.decisions = DecisionLogic(self.classification, self.followUp)
        self.exports = ExportLogic(self.tasks, self.classification)
        self.workerProcess = WorkerProcess(self.recentLog)
        self.warmUp = WarmUp(self.workerProcess, self.packages, self.tasks, self.options)
        self.pacs = PacsLogic(WorkerProcess(self.recentLog), self.tasks, self.exports)
        self.queue = QueueLogic(WorkerProcess(self.recentLog), self.tasks, self.ctReader, self.localisation)
        atexit.register(self.shutDown)

    def getParameterNode(self):
        """Return the module's parameter node, typed."""
        return OsteoScreenParameterNode(super().getParameterNode())

    def shutDown(self):
        """End the worker processes and remove what was exchanged with them."""
        self.workerProcess.stop()
        self.pacs.shutDown()
        self.queue.stop()
        self.tasks.clear()
        LOGGER.removeHandler(self.recentLog)
        atexit.unregister(self.shutDown)

    def cancel(self):
        """Stop what runs in the worker process; nothing of it reaches the scene."""
        if self.workerProcess.busy:
            self.workerProcess.stop()
        self.queue.cancel()

    def diagnostics(self):
        """Return versions, device, bundles and the last messages, without anything of the patient."""
        return diagnostics(self.recentLog, self.classification.used)

    # -- scripts: these return when the work is done

    def screen(
        self,
        volumeNode,
        l1=None,
        l2=None,
        *,
        levelsFrom=None,
        confirmed=True,
        device="auto",
        segmentationModel=None,
        classificationModel=None,
        calibration=None,
        ageYears=None,
        sex=None,
        force=False,
        onProgress=None,
    ):
        """Screen a CT, put outlines, table and result into the scene, and return the engine's ScreeningResult.

        The networks run in Slicer's own process; PyTorch has to be installed (``packages.install()``).

        :param volumeNode: the CT (vtkMRMLScalarVolumeNode).
        :param l1, l2: the centre slices: RAS S in mm, or text as on the command line ("-291.5", "#97"); None takes the
          levels that the scene has for this CT. Without any L2, L1 alone is measured (Model 2).
        :param levelsFrom: a segmentation of the vertebrae to take the levels from instead; they are not confirmed.
        :param confirmed: whether whoever wrote ``l1`` and ``l2`` stands behind them, as on the command line.
        :param device: "auto", "cpu", "cuda" or "mps".
        :param segmentationModel, classificationModel: names or paths of bundles.
        :param calibration: path of a calibration file.
        :param ageYears, sex: of the patient ("F" or "M"), where the scan does not say.
        :param force: screen a CT that would be refused.
        :param onProgress: called with (step, done, total); what it raises cancels and passes through.
        :raises ModuleError: what is wrong and what to do. OsteoScreenError from the engine likewise.
        """
        self.packages.torch()
        if levelsFrom is not None:
            self.levels.take(volumeNode, levelsFrom)
        for name, given in (("L1", l1), ("L2", l2)):
            if given is not None:
                self.levels.put(volumeNode, name, given, confirmed)
        alone = l1 is not None and l2 is None
        return self.classification.run(
            volumeNode,
            ["L1"] if alone else StudyLevels(volumeNode).names() or ["L1"],
            onProgress,
            segmentation_model=segmentationModel,
            classification_model=classificationModel,
            calibration=calibration,
            age_years=ageYears,
            sex=sex,
            device=device,
            force=force,
        )

    def suggest(self, volumeNode, names=LEVEL_NAMES, *, device="auto", localisationModel=None, onProgress=None):
        """Find and name the vertebrae of a CT and put its levels on them, not confirmed; returns what was found.

        :param names: the levels that are wanted.
        :param device: "auto", "cpu", "cuda" or "mps".
        :param localisationModel: name or path of a bundle.
        :return: the worker's answer to "suggest" (dict): levels, refused (why others are not suggested), numbering.
        :raises ModuleError: what is wrong and what to do. OsteoScreenError from the engine likewise.
        """
        self.packages.torch()
        options = {"device": device, "localisation_model": localisationModel}
        return self.localisation.run(volumeNode, names, onProgress, **options)

    def moveNames(self, volumeNode, names, by):
        """Move the vertebrae's names ``by`` vertebrae towards the head, and the levels ``names`` with them.

        They are the user's then, and not confirmed. Returns those that are set. Raises ModuleError.
        """
        return self.localisation.move(volumeNode, names, by)

    def takeNames(self, volumeNode, names):
        """Put the levels ``names`` on the vertebrae that are named so, however uncertain; otherwise as moveNames."""
        return self.localisation.take(volumeNode, names)

    def takeLevels(self, volumeNode, segmentationNode):
        """Put L1 (and L2) where a segmentation of the vertebrae has them, unconfirmed; return the names found."""
        return self.levels.take(volumeNode, segmentationNode)

    def snap(self, volumeNode, name):
        """Move a level to the middle of its vertebra, half-way between the endplates; it is not confirmed then."""
        self.levels.snap(volumeNode, name)

    def saveReport(self, volumeNode, path):
        """Write the page of a CT's result to ``path``; returns when it is written. Raises as ``screen``."""
        self.packages.torch()
        return self.exports.savePage(volumeNode, path)

    def describe(self, volumeNode, ageYears=None, sex=None):
        """Return the engine's CT of a volume node (acquisition, geometry) and the eligibility checks of the scan."""
        from OsteoScreenLib.ct.eligibility import acquisition_checks

        ct = self.ctReader.read(volumeNode)
        return ct, acquisition_checks(ct, age_years=ageYears, sex=sex)


class OsteoScreenTest(ModuleTest):
    """Reload and Test."""
