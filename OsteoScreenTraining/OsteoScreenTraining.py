"""OsteoScreenTraining: data sets, training and evaluation of OsteoScreen's networks in 3D Slicer. Research use only."""

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


class OsteoScreenTraining(ScriptedLoadableModule):
    """The module, as Slicer lists it."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("OsteoScreen Training")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Training")]
        self.parent.dependencies = ["OsteoScreen", "Plots", "Tables"]
        self.parent.contributors = ["The OsteoScreen developers"]
        self.parent.helpText = _(
            "Turn annotated CTs into a data set, train OsteoScreen's networks on it, read the study's tables, and use "
            "the new network in OsteoScreen. Trainings run in processes of their own: they go on when this panel or "
            "Slicer is closed, and resume after a pause or a crash. Research use only."
        )
        self.parent.acknowledgementText = _(
            "It follows the study of Pan et al., Effectiveness of opportunistic osteoporosis screening on chest CT "
            "using the DCNN model, BMC Musculoskeletal Disorders 2024."
        )


class OsteoScreenTrainingWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: its life, its parameter node, and its sections, which do the rest."""

    # How often the folders of the jobs are looked at, in ms: a training's log grows every few seconds.
    LOOK_MS = 1000

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.parameterNode = None
        self._parameterNodeGuiTag = None

    def setup(self):
        """Called once, when the module is opened for the first time."""
        from OsteoScreenSlicerLib.Panels.InstallSection import InstallSection
        from OsteoScreenTrainingSlicerLib.Panels.DataSection import DataSection
        from OsteoScreenTrainingSlicerLib.Panels.DrawSection import DrawSection
        from OsteoScreenTrainingSlicerLib.Panels.EvaluateSection import EvaluateSection
        from OsteoScreenTrainingSlicerLib.Panels.StatusSection import StatusSection
        from OsteoScreenTrainingSlicerLib.Panels.TrainSection import TrainSection

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/OsteoScreenTraining.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = OsteoScreenTrainingLogic()
        self.run, self.install = StatusSection(self), InstallSection(self)
        self.data, self.draw = DataSection(self), DrawSection(self)
        self.train, self.evaluate = TrainSection(self), EvaluateSection(self)
        self._timer = qt.QTimer()
        self._timer.setInterval(self.LOOK_MS)
        self._timer.timeout.connect(self.updatePanel)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneReady)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneReady)
        self.initializeParameterNode()

    def cleanup(self):
        """Called when the application closes, or the module is reloaded. Trainings go on."""
        self._timer.stop()
        self.draw.close()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        """Called each time the user opens the module."""
        self.initializeParameterNode()
        self._timer.start()

    def exit(self):
        """Called each time the user opens another module. Trainings go on."""
        self._timer.stop()
        self.setParameterNode(None)

    def onReload(self):
        """Reload the module with its library (developer mode)."""
        for name in [name for name in sys.modules if name.split(".")[0] == "OsteoScreenTrainingSlicerLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event):
        """The scene is about to be emptied."""
        self.draw.close()
        self.setParameterNode(None)

    def onSceneReady(self, caller, event):
        """The scene was emptied, or loaded."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Make sure that there is a parameter node, and that it is followed."""
        if not slicer.mrmlScene.IsClosing() and not slicer.mrmlScene.IsImporting():
            self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        """Follow another parameter node, or none."""
        if self.parameterNode is not None:
            self.parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        self.parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
            self.updatePanel()

    def onParametersModified(self, caller=None, event=None):
        """The user, a script or a loaded scene changed a choice."""
        self.updatePanel()

    def updatePanel(self):
        """Show the folders as they are now."""
        if self.parameterNode is None:
            return
        for section in (self.install, self.data, self.draw, self.train, self.evaluate):
            section.update()


class OsteoScreenTrainingLogic(ScriptedLoadableModuleLogic):
    """Jobs about data sets and trainings, for the panel and for scripts.

    A training from Slicer's Python console, which goes on when Slicer is closed::

        logic = slicer.util.getModuleLogic("OsteoScreenTraining")
        words = ["train", "classification", "--data", "/data/set", "-o", "/data/run", "--preset", "quick"]
        logic.start(words, "/data/run")
        print(logic.state("/data/run").state)
    """

    def __init__(self):
        from OsteoScreenSlicerLib.Packages import Packages

        ScriptedLoadableModuleLogic.__init__(self)
        # An installed extension has one folder Resources for both modules, so no name may be there twice.
        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Resources")
        requirements = os.path.join(folder, "requirements-training.txt")
        if not os.path.isfile(requirements):
            raise RuntimeError(f"The module is not whole: {requirements} is missing; install the extension again.")
        self.packages = Packages(requirements, "OsteoScreen Training")

    def getParameterNode(self):
        """Return the module's parameter node, typed."""
        from OsteoScreenTrainingSlicerLib.Parameters import OsteoScreenTrainingParameterNode

        return OsteoScreenTrainingParameterNode(super().getParameterNode())

    def start(self, arguments, folder):
        """Start the command line ``osteoscreen ARGUMENTS`` as a job whose state lies in ``folder``; return at once.

        :raises UsageError: a job runs there already.
        """
        from OsteoScreenTrainingSlicerLib import Jobs

        Jobs.start(arguments, folder)

    def state(self, folder):
        """Return how the job in ``folder`` is (state, message, ...)."""
        from OsteoScreenTrainingSlicerLib import Jobs

        return Jobs.state(folder)


class OsteoScreenTrainingTest(ScriptedLoadableModuleTest):
    """Reload and Test: the same tests as CTest runs, from Testing/Slicer."""

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run the module's tests."""
        import unittest

        folder = os.path.join(os.path.dirname(slicer.util.modulePath("OsteoScreenTraining")), "Testing", "Slicer")
        if not os.path.isdir(folder):
            raise RuntimeError(_("The tests are not part of an installed extension; run them from a clone."))
        suite = unittest.TestLoader().discover(folder, pattern="*Test.py", top_level_dir=folder)
        if not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful():
            raise AssertionError("Tests of the OsteoScreen Training module failed; see the Python console.")
