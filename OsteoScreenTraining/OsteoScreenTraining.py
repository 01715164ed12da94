"""OsteoScreenTraining: data sets, training and evaluation of OsteoScreen's networks in 3D Slicer. Research use only."""

import os

import qt

from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleLogic

from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.ModuleTest import ModuleTest
from OsteoScreenSlicerLib.Packages import Packages
from OsteoScreenSlicerLib.Panels.InstallSection import InstallSection
from OsteoScreenSlicerLib.PanelWidget import PanelWidget
from OsteoScreenTrainingSlicerLib import Jobs
from OsteoScreenTrainingSlicerLib.Panels.DataSection import DataSection
from OsteoScreenTrainingSlicerLib.Panels.DrawSection import DrawSection
from OsteoScreenTrainingSlicerLib.Panels.EvaluateSection import EvaluateSection
from OsteoScreenTrainingSlicerLib.Panels.StatusSection import StatusSection
from OsteoScreenTrainingSlicerLib.Panels.TrainSection import TrainSection
from OsteoScreenTrainingSlicerLib.Parameters import OsteoScreenTrainingParameterNode


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


class OsteoScreenTrainingWidget(PanelWidget):
    """The panel: its life, and its sections, which do the rest. Trainings go on when it is closed or reloaded."""

    LIBRARIES = ("OsteoScreenTrainingSlicerLib", "OsteoScreenTrainingLib")

    # How often the folders of the jobs are looked at, in ms: a training's log grows every few seconds.
    LOOK_MS = 1000

    def makeLogic(self):
        """Return the module's logic."""
        return OsteoScreenTrainingLogic()

    def makeSections(self):
        """Return the panel's sections in the order in which they are updated."""
        self.run, self.install = StatusSection(self), InstallSection(self)
        self.data, self.draw = DataSection(self), DrawSection(self)
        self.train, self.evaluate = TrainSection(self), EvaluateSection(self)
        return self.install, self.data, self.draw, self.train, self.evaluate

    def setup(self):
        """Called once, when the module is opened for the first time."""
        PanelWidget.setup(self)
        self._timer = qt.QTimer()
        self._timer.setInterval(self.LOOK_MS)
        self._timer.timeout.connect(self.updatePanel)
        self.initializeParameterNode()

    def cleanup(self):
        """Called when the application closes, or the module is reloaded."""
        self._timer.stop()
        self.draw.close()
        PanelWidget.cleanup(self)

    def enter(self):
        """Called each time the user opens the module."""
        PanelWidget.enter(self)
        self._timer.start()

    def exit(self):
        """Called each time the user opens another module."""
        self._timer.stop()
        PanelWidget.exit(self)

    def onSceneStartClose(self, caller, event):
        """The scene is about to be emptied."""
        self.draw.close()
        PanelWidget.onSceneStartClose(self, caller, event)


class OsteoScreenTrainingLogic(ScriptedLoadableModuleLogic):
    """Jobs about data sets and trainings, for the panel and for scripts.

    A training from Slicer's Python console, which goes on when Slicer is closed::

        logic = slicer.util.getModuleLogic("OsteoScreenTraining")
        words = ["train", "classification", "--data", "/data/set", "-o", "/data/run", "--preset", "quick"]
        logic.start(words, "/data/run")
        print(logic.state("/data/run").state)
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        # An installed extension has one folder Resources for both modules, so no name may be there twice.
        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Resources")
        requirements = os.path.join(folder, "requirements-training.txt")
        if not os.path.isfile(requirements):
            told = _("The module is not whole: {path} is missing; install the extension again.")
            raise ModuleError(told.format(path=requirements))
        self.packages = Packages(requirements, "OsteoScreen Training")

    def getParameterNode(self):
        """Return the module's parameter node, typed."""
        return OsteoScreenTrainingParameterNode(super().getParameterNode())

    def start(self, arguments, folder):
        """Start the command line ``osteoscreen ARGUMENTS`` as a job whose state lies in ``folder``; return at once.

        :raises UsageError: a job runs there already.
        """
        Jobs.start(arguments, folder)

    def state(self, folder):
        """Return how the job in ``folder`` is (state, message, ...)."""
        return Jobs.state(folder)


class OsteoScreenTrainingTest(ModuleTest):
    """Reload and Test."""
