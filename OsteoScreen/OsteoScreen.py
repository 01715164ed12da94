"""OsteoScreen: opportunistic bone-density screening on chest CT in 3D Slicer. Research use only."""

import atexit
import os
import sys

import qt
import vtk

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from OsteoScreenSlicerLib.Bundles import BundleLogic
from OsteoScreenSlicerLib.Decisions import DecisionLogic
from OsteoScreenSlicerLib.Diagnostics import LOGGER, RecentLog, diagnostics
from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.Exports import ExportLogic
from OsteoScreenSlicerLib.FollowUp import FollowUpLogic
from OsteoScreenSlicerLib.Levels import StudyLevels, segmentedVertebrae
from OsteoScreenSlicerLib.Networks import ClassificationLogic, LocalisationLogic, SegmentationLogic
from OsteoScreenSlicerLib.Outlines import ensureTerminology
from OsteoScreenSlicerLib.Packages import Packages
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
from OsteoScreenSlicerLib.Panels.SuggestSection import SuggestSection
from OsteoScreenSlicerLib.Parameters import OsteoScreenParameterNode
from OsteoScreenSlicerLib.QueueCases import QueueLogic
from OsteoScreenSlicerLib.SampleData import registerSampleData
from OsteoScreenSlicerLib.StudyNodes import LEVEL_NAMES, StudyNodes, eventsOfStudy, firstVolume
from OsteoScreenSlicerLib.Tasks import Tasks
from OsteoScreenSlicerLib.Volumes import CtReader
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


class OsteoScreenWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: its life, the nodes that it follows, and its sections, which do the rest."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.parameterNode = None
        self._parameterNodeGuiTag = None
        self._observed = []
        self._shortcuts = []

    @property
    def volumeNode(self):
        """The CT that is chosen, or None; the parameter node may remember one that is no longer in the scene."""
        node = self.parameterNode.inputVolume if self.parameterNode is not None else None
        return node if node is not None and node.GetScene() is not None else None

    @property
    def names(self):
        """The levels that are used: L1 and L2, or L1 alone."""
        return LEVEL_NAMES if self.parameterNode is None or self.parameterNode.useL2 else LEVEL_NAMES[:1]

    def setup(self):
        """Called once, when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/OsteoScreen.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = OsteoScreenLogic()
        self.run, self.install = RunSection(self), InstallSection(self)
        self.scan, self.suggest, self.levels = ScanSection(self), SuggestSection(self), LevelsSection(self)
        self.outlines, self.result, self.models = OutlinesSection(self), ResultSection(self), ModelsSection(self)
        self.earlier, self.decision = EarlierSection(self), DecisionSection(self)
        self.keep, self.pacs, self.queue = KeepSection(self), PacsSection(self), QueueSection(self)
        # Painting in the Segment Editor changes the outlines many times a second; the panel follows when it pauses.
        self._updateTimer = qt.QTimer()
        self._updateTimer.setSingleShot(True)
        self._updateTimer.setInterval(100)
        self._updateTimer.timeout.connect(self.updatePanel)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneReady)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneReady)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onModified)
        self._makeShortcuts(uiWidget)
        self.initializeParameterNode()

    def cleanup(self):
        """Called when the application closes, or the module is reloaded."""
        self._updateTimer.stop()
        self.setParameterNode(None)
        self.levels.lines.clear()
        self.removeObservers()
        self.logic.shutDown()

    def enter(self):
        """Called each time the user opens the module."""
        for shortcut in self._shortcuts:
            shortcut.enabled = True
        self.initializeParameterNode()

    def exit(self):
        """Called each time the user opens another module."""
        for shortcut in self._shortcuts:
            shortcut.enabled = False
        self.setParameterNode(None)

    def onReload(self):
        """Reload the module with its library (developer mode)."""
        for name in [name for name in sys.modules if name.split(".")[0] == "OsteoScreenSlicerLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event):
        """The scene is about to be emptied: what runs is about nothing any more."""
        self.run.cancel()
        self.pacs.cancel()
        self.levels.lines.clear()
        self.setParameterNode(None)

    def onSceneReady(self, caller, event):
        """The scene was emptied, or loaded: show what it holds."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onModified(self, caller=None, event=None):
        """A choice, a level, an outline or the CT changed, or a node is gone: show it soon."""
        if self.parameterNode is not None:
            self._updateTimer.start()

    def initializeParameterNode(self):
        """Make sure that there is a parameter node, that it is followed, and that a CT is chosen where there is one."""
        if slicer.mrmlScene.IsClosing() or slicer.mrmlScene.IsImporting():
            return
        self.setParameterNode(self.logic.getParameterNode())
        if self.volumeNode is None:
            self.parameterNode.inputVolume = firstVolume(slicer.mrmlScene)

    def setParameterNode(self, parameterNode):
        """Follow another parameter node, or none."""
        if self.parameterNode is not None:
            self.parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onModified)
            self._observe([])
        self.parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onModified)
            self.models.showBundles()
            self.updatePanel()

    def updatePanel(self):
        """Show the scene as it is now."""
        if self.parameterNode is None:
            return
        for section in (
            self.install, self.scan, self.suggest, self.levels, self.outlines, self.result, self.earlier,
            self.decision, self.keep, self.pacs, self.queue, self.models, self.run,
        ):  # fmt: skip
            section.update()
        self._observe(eventsOfStudy(self.volumeNode))

    def _observe(self, wanted):
        if wanted == self._observed:
            return
        for node, event in self._observed:
            self.removeObserver(node, event, self.onModified)
        for node, event in wanted:
            self.addObserver(node, event, self.onModified)
        self._observed = wanted

    def _makeShortcuts(self, uiWidget):
        def key(text, handler, repeats=True):
            shortcut = qt.QShortcut(qt.QKeySequence(text), slicer.util.mainWindow() or uiWidget)
            shortcut.connect("activated()", handler)
            shortcut.enabled = False
            shortcut.autoRepeat = repeats
            self._shortcuts.append(shortcut)

        for number, name in enumerate(LEVEL_NAMES, start=1):
            widgets = self.levels.widgets[name]
            key(f"Alt+{number}", widgets.useCurrentButton.click)
            key(f"Alt+Shift+{number}", widgets.goToButton.click)
            key(f"Ctrl+Alt+{number}", widgets.snapButton.click)
            key(f"Ctrl+Shift+{number}", widgets.confirmCheckBox.click)
        key("Shift+Up", self.ui.namesUpButton.click)
        key("Shift+Down", self.ui.namesDownButton.click)
        # A key that is held down must not run through the cases of a queue.
        key("C", self.ui.confirmShownButton.click, repeats=False)
        key("N", self.ui.queueNextButton.click, repeats=False)
        key("Shift+N", self.ui.queueSkipButton.click, repeats=False)
        key("Shift+B", self.ui.queueBackButton.click, repeats=False)
        key("Ctrl+Return", self.ui.screenButton.click)
        key("Esc", self.ui.cancelButton.click)


class OsteoScreenLogic(ScriptedLoadableModuleLogic):
    """Screening in the scene, for the panel and for scripts.

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
        self.packages = Packages()
        self.bundles = BundleLogic(self.packages)
        self.ctReader = CtReader()
        self.tasks = Tasks(self.ctReader)
        self.localisation = LocalisationLogic(self.tasks)
        self.segmentation = SegmentationLogic(self.tasks)
        self.followUp = FollowUpLogic(self.ctReader)
        self.classification = ClassificationLogic(self.tasks, self.segmentation, self.followUp)
        self.decisions = DecisionLogic(self.classification, self.followUp)
        self.exports = ExportLogic(self.tasks, self.classification)
        self.workerProcess = WorkerProcess(self.recentLog)
        self.pacs = PacsLogic(WorkerProcess(self.recentLog), self.tasks, self.exports)
        self.queue = QueueLogic(WorkerProcess(self.recentLog), self.tasks, self.ctReader, self.localisation)
        self._device = ""
        self._used = []
        self._warm = None
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
            self.takeLevels(volumeNode, levelsFrom)
        levels = StudyLevels(volumeNode)
        for name, given in (("L1", l1), ("L2", l2)):
            if given is not None:
                levels.setSlice(name, self._givenSlice(volumeNode, name, given))
                levels.confirm(name, confirmed)
        names = levels.names()
        if l1 is not None and l2 is None:
            names = ["L1"]
        found = self.classification.run(
            volumeNode,
            names or ["L1"],
            onProgress,
            segmentation_model=segmentationModel,
            classification_model=classificationModel,
            calibration=calibration,
            age_years=ageYears,
            sex=sex,
            device=device,
            force=force,
        )
        return self._keep(found)

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

    def saveReport(self, volumeNode, path):
        """Write the page of a CT's result to ``path``; returns when it is written. Raises as ``screen``."""
        self.packages.torch()
        return self.exports.savePage(volumeNode, path)

    def describe(self, volumeNode, ageYears=None, sex=None):
        """Return the engine's CT of a volume node (acquisition, geometry) and the eligibility checks of the scan."""
        from OsteoScreenLib.ct.eligibility import acquisition_checks

        ct = self.ctReader.read(volumeNode)
        return ct, acquisition_checks(ct, age_years=ageYears, sex=sex)

    def takeLevels(self, volumeNode, segmentationNode):
        """Put L1 (and L2) where a segmentation of the vertebrae has them, unconfirmed; return the names found."""
        from OsteoScreenLib.levels import levels_from_vertebrae

        ct = self.ctReader.read(volumeNode)
        vertebrae = segmentedVertebrae(segmentationNode)
        found = levels_from_vertebrae(vertebrae, ct, LEVEL_NAMES)
        levels = StudyLevels(volumeNode)
        for name, level in found.items():
            levels.setSlice(name, level.slice_index, "segmentation")
        return list(found)

    def snap(self, volumeNode, name):
        """Move a level to the middle of its vertebra, half-way between the endplates; it is not confirmed then."""
        from OsteoScreenLib.levels import snap_to_centre
        from OsteoScreenLib.results import Level

        levels = StudyLevels(volumeNode)
        k = levels.sliceIndex(name)
        if k is None:
            raise ModuleError(_("Set {level} on a slice of its vertebra first.").format(level=name))
        ct = self.ctReader.read(volumeNode)
        here = Level(name, ct.geometry.slice_z(k), k, levels.setBy(name), levels.isConfirmed(name))
        levels.setSlice(name, snap_to_centre(ct, here).slice_index, "snapped")

    # -- the panel: these return at once, and call back

    def startScreening(self, volumeNode, names, parameterNode, onDone, onError, onProgress=None):
        """Screen in the worker process; ``onDone(result)`` or ``onError(kind, text)`` is called later.

        :raises ModuleError: a level is missing, or the process cannot be started.
        """
        self.classification.start(
            self.workerProcess,
            volumeNode,
            names,
            self.options(parameterNode),
            lambda result: onDone(self._keep(result)),
            onError,
            onProgress,
        )

    def startSuggesting(self, volumeNode, names, parameterNode, onDone, onError, onProgress=None):
        """Suggest the levels in the worker process; otherwise as ``startScreening``."""
        options = _suggestOptions(parameterNode)
        self.localisation.start(self.workerProcess, volumeNode, names, options, onDone, onError, onProgress)

    def startOutlining(self, volumeNode, names, parameterNode, onDone, onError, onProgress=None):
        """Outline in the worker process; otherwise as ``startScreening``."""
        options = self.options(parameterNode)
        self.segmentation.start(self.workerProcess, volumeNode, names, options, onDone, onError, onProgress)

    def warmUp(self, parameterNode, names):
        """Load the networks in the worker process, so that Screen does not wait for them; faults are only logged."""
        if self.packages.missing() or self.workerProcess.busy:
            return
        try:
            options = self.options(parameterNode)
            key = (repr(options), tuple(names))
            if key == self._warm and self.workerProcess.running:
                return
            self._warm = key
            self.workerProcess.start(
                self.tasks.warmUp(options, names),
                lambda done: LOGGER.info("The networks are loaded, on %s.", done["device"]),
                lambda kind, text: LOGGER.warning("The networks were not loaded ahead: %s", kind),
            )
        except Exception as error:  # what is wrong is told when the user presses Screen
            LOGGER.warning("The networks were not loaded ahead: %s", type(error).__name__)

    def cancel(self):
        """Stop what runs in the worker process; nothing of it reaches the scene."""
        if self.workerProcess.busy:
            self.workerProcess.stop()
        self.queue.cancel()

    # -- what the scene says

    def options(self, parameterNode):
        """Return the choices of a parameter node as the engine's options."""
        chosen = parameterNode.classificationBundle or self.bundles.shippedFor(parameterNode.classifier)
        return {
            "segmentation_model": parameterNode.segmentationBundle or None,
            "classification_model": chosen,
            "calibration": parameterNode.calibrationFile or None,
            "age_years": parameterNode.ageYears or None,
            "sex": parameterNode.sex.engineName,
            "device": parameterNode.device.engineName,
            "force": parameterNode.screenRefused,
        }

    def suggestOptions(self, parameterNode):
        """Return the choices of a parameter node as the options of "suggest"; None where no bundle is there for it."""
        bundles = [bundle for bundle in self.bundles.available() if bundle.role == "localisation"]
        if not bundles and not parameterNode.localisationBundle:
            return None
        return _suggestOptions(parameterNode)

    def editedOutlines(self, volumeNode, names):
        """Return the levels among ``names`` whose outline the user edited."""
        if StudyNodes(volumeNode).segmentation is None:
            return []
        return list(self.tasks.editedMasks(volumeNode, StudyLevels(volumeNode).engineLevels(names)))

    def showTable(self, volumeNode):
        """Show the table of every measure in the views."""
        table = StudyNodes(volumeNode).table
        if table is None:
            raise ModuleError(_("There is no table yet; press Screen first."))
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView)
        selection = slicer.app.applicationLogic().GetSelectionNode()
        selection.SetActiveTableID(table.GetID())
        slicer.app.applicationLogic().PropagateTableSelection()

    def diagnostics(self):
        """Return versions, device, bundles and the last messages, without anything of the patient."""
        return diagnostics(self.recentLog, self._device, self._used)

    def _keep(self, result):
        self._device = result.software.get("device", "")
        self._used = [(bundle.name, bundle.version, bundle.sha256) for bundle in result.bundles]
        LOGGER.info("Screening: %s, on %s, in %.1f s.", result.status, self._device, result.timing_s["total"])
        return result

    def _givenSlice(self, volumeNode, name, given):
        from OsteoScreenLib.levels import parse_level

        return parse_level(str(given), self.ctReader.read(volumeNode), name).slice_index


def _suggestOptions(parameterNode):
    return {
        "localisation_model": parameterNode.localisationBundle or None,
        "device": parameterNode.device.engineName,
    }


class OsteoScreenTest(ScriptedLoadableModuleTest):
    """Reload and Test: the same tests as CTest runs, from Testing/Python."""

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run the module's tests."""
        import unittest

        folder = os.path.join(os.path.dirname(slicer.util.modulePath("OsteoScreen")), "Testing", "Slicer")
        if not os.path.isdir(folder):
            raise ModuleError(_("The tests are not part of an installed extension; run them from a clone."))
        suite = unittest.TestLoader().discover(folder, pattern="*Test.py", top_level_dir=folder)
        if not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful():
            raise AssertionError("Tests of the OsteoScreen module failed; see the Python console.")
