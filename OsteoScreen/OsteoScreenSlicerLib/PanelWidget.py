"""What the widgets of both modules share: the life of a panel, and the parameter node that it follows."""

import sys

import vtk

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin


class PanelWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """A panel of sections (Panels.Section), each of which shows its part of the parameter node and of the scene.

    A module's widget makes its logic and its sections, and names the packages that Reload loads anew.
    """

    LIBRARIES = ()

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.ui = self.logic = self.parameterNode = None
        self.sections = ()
        self._parameterNodeGuiTag = None

    def makeLogic(self):
        """Return the module's logic."""
        raise NotImplementedError

    def makeSections(self):
        """Return the panel's sections in the order in which they are updated; ``ui`` and ``logic`` are there."""
        raise NotImplementedError

    def setup(self):
        """Called once, when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = self.makeLogic()
        self.sections = self.makeSections()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneReady)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneReady)

    def cleanup(self):
        """Called when the application closes, or the module is reloaded."""
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        """Called each time the user opens the module."""
        self.initializeParameterNode()

    def exit(self):
        """Called each time the user opens another module."""
        self.setParameterNode(None)

    def onReload(self):
        """Reload the module with its libraries (developer mode)."""
        for name in [name for name in sys.modules if name.split(".")[0] in self.LIBRARIES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event):
        """The scene is about to be emptied."""
        self.setParameterNode(None)

    def onSceneReady(self, caller, event):
        """The scene was emptied, or loaded: show what it holds."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onModified(self, caller=None, event=None):
        """The user, a script or a loaded scene changed a choice."""
        self.updatePanel()

    def initializeParameterNode(self):
        """Make sure that there is a parameter node, and that it is followed."""
        if not slicer.mrmlScene.IsClosing() and not slicer.mrmlScene.IsImporting():
            self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        """Follow another parameter node, or none."""
        if self.parameterNode is not None:
            self.parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onModified)
        self.parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onModified)
            self.updatePanel()

    def updatePanel(self):
        """Show the state as it is now."""
        if self.parameterNode is not None:
            for section in self.sections:
                section.update()
