"""A small scripted module, as the host's tests load it."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, Default, Minimum, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class HostExample(ScriptedLoadableModule):
    """The module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Host example")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        self.parent.dependencies = []
        self.parent.contributors = ["OsteoScreen"]
        self.parent.helpText = _("Counts voxels above a threshold.")
        self.parent.acknowledgementText = ""
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Register what the module would be tried with."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="HostExample", sampleName="One", uris="https://example.org/one", fileNames="one.nrrd", nodeNames="One"
    )


class Side(Enum):
    """An enum with labels."""

    ABOVE = 1
    BELOW = 2

    def label(self):
        return self.name.capitalize()


@parameterNodeWrapper
class HostExampleParameterNode:
    """Every kind of parameter."""

    inputVolume: vtkMRMLScalarVolumeNode
    threshold: Annotated[float, WithinRange(-1000, 3000)] = 100.0
    count: Annotated[int, Minimum(0), Default(3)]
    side: Side = Side.ABOVE
    invert: bool = False
    note: str = "hello"
    flavour: Annotated[str, Choice(["plain", "strong"])] = "plain"
    folder: Path
    limit: float | None
    names: list[str]


class HostExampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/HostExample.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = HostExampleLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.initializeParameterNode()

    def cleanup(self):
        self.removeObservers()

    def enter(self):
        self.initializeParameterNode()

    def exit(self):
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event):
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, node):
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.checkCanApply)
        self._parameterNode = node
        if node:
            self._guiTag = node.connectGui(self.ui)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.checkCanApply)
            self.checkCanApply()

    def checkCanApply(self, caller=None, event=None):
        ready = bool(self._parameterNode and self._parameterNode.inputVolume)
        self.ui.applyButton.enabled = ready
        self.ui.applyButton.toolTip = _("Count") if ready else _("Choose a volume")

    def onApply(self):
        with slicer.util.tryWithErrorDisplay(_("The voxels could not be counted."), waitCursor=True):
            found = self.logic.count(self.ui.inputSelector.currentNode(), self.ui.thresholdSlider.value)
            self.ui.resultLabel.text = str(found)
            self.ui.resultLabel.setStyleSheet("")
            slicer.util.showStatusMessage(f"{found} voxels", 1000)
            qt.QTimer.singleShot(0, lambda: setattr(self.ui.progressBar, "value", 100))


class HostExampleLogic(ScriptedLoadableModuleLogic):
    """The computing part."""

    def getParameterNode(self):
        return HostExampleParameterNode(super().getParameterNode())

    def count(self, volume, threshold):
        """Count the voxels above a threshold."""
        if threshold > 2000:
            raise ValueError("a threshold above 2000 HU finds nothing in bone")
        return int((slicer.util.arrayFromVolume(volume) > threshold).sum())


class HostExampleTest(ScriptedLoadableModuleTest):
    """The module's own test."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def test_count(self):
        import numpy as np

        volume = slicer.util.addVolumeFromArray(np.arange(8, dtype=np.int16).reshape(2, 2, 2))
        assert HostExampleLogic().count(volume, 5) == 2
        self.delayDisplay("counted")
