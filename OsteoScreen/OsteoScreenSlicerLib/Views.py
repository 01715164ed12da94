"""The views: axial slices through L1 and L2 beside a sagittal and a coronal one, and going to a level in them."""

import numpy as np
import vtk

import slicer
from slicer.i18n import tr as _

from .Errors import ModuleError
from .StudyNodes import PROBABILITY_ATTRIBUTE, StudyNodes

# Any number that no layout of Slicer has (they end at about 50); kept for the scenes that were saved with it.
LAYOUT_ID = 7142
VIEWS = {
    "L1": "OsteoScreenL1",
    "L2": "OsteoScreenL2",
    "sagittal": "OsteoScreenSagittal",
    "coronal": "OsteoScreenCoronal",
}
# A view through the body is nearer to its middle than this: half the width of a lumbar body (Panjabi 1992).
_THROUGH_BODY_MM = 22.0
# What is shown about the spine: the next vertebrae, and the ribs' beginnings.
_ABOUT_MM = 70.0
# Bone window of the display (centre, width in HU): trabecular bone and cortex both keep their shades.
_WINDOW, _LEVEL = 1000.0, 250.0

_VIEW = """
  <item><view class="vtkMRMLSliceNode" singletontag="{tag}">
    <property name="orientation" action="default">{orientation}</property>
    <property name="viewlabel" action="default">{label}</property>
    <property name="viewcolor" action="default">{colour}</property>
  </view></item>"""


def _layoutXml():
    def view(key, orientation, label, colour):
        return _VIEW.format(tag=VIEWS[key], orientation=orientation, label=label, colour=colour)

    return (
        '<layout type="horizontal" split="true"><item><layout type="vertical" split="true">'
        + view("L1", "Axial", "L1", "#E69F00")
        + view("L2", "Axial", "L2", "#56B4E9")
        + "</layout></item>"
        + view("sagittal", "Sagittal", "S", "#CCCCCC")
        + view("coronal", "Coronal", "C", "#999999")
        + "</layout>"
    )


def showLayout(volumeNode, levels):
    """Show L1 and L2 axial beside a sagittal and a coronal view of the CT.

    :param levels: StudyLevels; the views go to the levels that are set.
    """
    manager = slicer.app.layoutManager()
    layoutNode = manager.layoutLogic().GetLayoutNode()
    if layoutNode.IsLayoutDescription(LAYOUT_ID):
        layoutNode.SetLayoutDescription(LAYOUT_ID, _layoutXml())
    else:
        layoutNode.AddLayoutDescription(LAYOUT_ID, _layoutXml())
    manager.setLayout(LAYOUT_ID)
    # A view that is made anew goes back to its first slice when it is first drawn: let that happen before it is set.
    slicer.app.processEvents()
    for name in VIEWS.values():
        widget = manager.sliceWidget(name)
        if widget is None:
            continue
        logic = widget.sliceLogic()
        composite = logic.GetSliceCompositeNode()
        composite.SetLinkedControl(False)
        composite.SetBackgroundVolumeID(volumeNode.GetID())
        logic.FitSliceToAll()
    display = volumeNode.GetDisplayNode()
    if display is not None:
        display.AutoWindowLevelOff()
        display.SetWindowLevel(_WINDOW, _LEVEL)
    for name in levels.names():
        goTo(levels, name)


def isShown():
    """Return whether the module's own layout is on."""
    manager = slicer.app.layoutManager()
    return manager is not None and manager.layout == LAYOUT_ID


def sliceNodes(scene):
    """Return the scene's slice views (vtkMRMLSliceNodes)."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")
    return [scene.GetNthNodeByClass(index, "vtkMRMLSliceNode") for index in range(count)]


def goTo(levels, name):
    """Show a level: its slice in its own axial view (or in every axial view), and its point in the others."""
    position = levels.position(name)
    if position is None:
        return
    own = _sliceNode(VIEWS[name]) if isShown() else None
    for node in sliceNodes(levels.volumeNode.GetScene()):
        orientation = node.GetOrientation()
        axial = node is own if own is not None else orientation in ("Axial", "Reformat")
        if axial or orientation in ("Sagittal", "Coronal"):
            node.JumpSliceByOffsetting(*(float(value) for value in position))


def showSpine(levels, points, through):
    """Have a sagittal and a coronal view of the CT shown, both through a point of its spine.

    Where the layout that is on lacks one, it gives way to the module's own, whose views are brought near to the spine.

    :param points: what has to be seen of the spine (RAS mm).
    :param through: the point (RAS mm) that the views cut.
    """
    near = not {"Sagittal", "Coronal"} <= {node.GetOrientation() for node in _shownViews(levels.volumeNode)}
    if near:
        showLayout(levels.volumeNode, levels)
    for node in sliceNodes(levels.volumeNode.GetScene()):
        if node.GetOrientation() not in ("Sagittal", "Coronal"):
            continue
        if near and node.GetLayoutName() in VIEWS.values():
            _frame(node, np.asarray(points, dtype=float))
        node.JumpSliceByOffsetting(*(float(value) for value in through))


def _frame(node, points):
    """Move a slice view in its plane, and zoom it, so that it shows points with what lies about them, and no more."""
    width, height, depth = node.GetFieldOfView()
    low, high = points.min(axis=0), points.max(axis=0)
    scale = max((high[2] - low[2] + 2 * _ABOUT_MM) / height, 2 * _ABOUT_MM / width)
    if scale < 1:
        node.SetFieldOfView(width * scale, height * scale, depth)
    node.JumpSliceByCentering(*(float(value) for value in (low + high) / 2))


def isShowing(levels, name):
    """Return whether a view that is shown has a level in it: its slice, or a plane through the body beside it."""
    position = levels.position(name)
    if position is None:
        return False
    for node in _shownViews(levels.volumeNode):
        axial = node.GetOrientation() in ("Axial", "Reformat")
        reach = 0.5 * levels.geometry.spacing_mm[2] if axial else _THROUGH_BODY_MM
        if _isInView(node, position, reach):
            return True
    return False


def _shownViews(volumeNode):
    """Return the slice views of the layout that is on which have the CT behind everything."""
    scene = volumeNode.GetScene()
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")
    composites = [scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode") for index in range(count)]
    showing = {node.GetLayoutName() for node in composites if node.GetBackgroundVolumeID() == volumeNode.GetID()}
    return [node for node in sliceNodes(scene) if node.IsMappedInLayout() and node.GetLayoutName() in showing]


def _isInView(sliceNode, position, reachMm):
    """Return whether a RAS position lies in a slice view's field, within ``reachMm`` of its plane."""
    toView = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(sliceNode.GetSliceToRAS(), toView)
    x, y, away, _one = toView.MultiplyPoint([*(float(value) for value in position), 1.0])
    width, height, _depth = sliceNode.GetFieldOfView()
    return abs(away) <= reachMm + 1e-3 and abs(x) <= width / 2 and abs(y) <= height / 2


def viewNodes(scene):
    """Return the scene's 3D views (vtkMRMLViewNodes)."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLViewNode")
    return [scene.GetNthNodeByClass(index, "vtkMRMLViewNode") for index in range(count)]


def currentSlice(levels, name):
    """Return the CT's (canonical) slice that is shown: in the level's own view, or else in the axial (Red) one.

    None where no axial view shows a slice of the CT.
    """
    own = _sliceNode(VIEWS[name]) if isShown() else None
    views = sliceNodes(levels.volumeNode.GetScene())
    axial = [node for node in views if node.GetOrientation() in ("Axial", "Reformat")]
    node = own or next((node for node in axial if node.GetName() == "Red"), axial[0] if axial else None)
    if node is None:
        return None
    matrix = node.GetSliceToRAS()
    centre = np.array([matrix.GetElement(row, 3) for row in range(3)])
    # The view's plane is followed to where the CT is: its own centre may lie beside the scan, or be tilted to it.
    normal = np.array([matrix.GetElement(row, 2) for row in range(3)])
    along = levels.geometry.normal
    _slices, rows, columns = levels.geometry.shape
    middle = levels.geometry.ras((columns - 1) / 2, (rows - 1) / 2, 0)
    if abs(normal @ along) < 0.5:
        return None
    point = middle + along * (((centre - middle) @ normal) / (along @ normal))
    k = round(float(levels.geometry.ijk(point)[2]))
    return k if 0 <= k < levels.geometry.shape[0] else None


def overlayProbability(probabilityNode, volumeNode):
    """Lay the probability map over the CT in every slice view that shows it; without a node, take it away."""
    scene = volumeNode.GetScene()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        composite = scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        if composite.GetBackgroundVolumeID() != volumeNode.GetID():
            continue
        if probabilityNode is not None:
            composite.SetForegroundVolumeID(probabilityNode.GetID())
            composite.SetForegroundOpacity(0.5)
        elif composite.GetForegroundVolumeID():
            shown = scene.GetNodeByID(composite.GetForegroundVolumeID())
            if shown is not None and shown.GetAttribute(PROBABILITY_ATTRIBUTE):
                composite.SetForegroundVolumeID(None)


def showTable(tableNode):
    """Show a table in a table view. Raises ModuleError where there is none."""
    if tableNode is None:
        raise ModuleError(_("There is no table yet; press Screen first."))
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView)
    applicationLogic = slicer.app.applicationLogic()
    applicationLogic.GetSelectionNode().SetActiveTableID(tableNode.GetID())
    applicationLogic.PropagateTableSelection()


def openSegmentEditor(volumeNode):
    """Open the outlines of a CT in the Segment Editor. Raises ModuleError where there are none."""
    segmentation = StudyNodes(volumeNode).segmentation if volumeNode is not None else None
    if segmentation is None:
        raise ModuleError(_("There is no outline to edit yet; have one drawn first."))
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.SegmentEditorWidget.editor
    editor.setSegmentationNode(segmentation)
    editor.setSourceVolumeNode(volumeNode)


def _sliceNode(name):
    widget = slicer.app.layoutManager().sliceWidget(name)
    return widget.mrmlSliceNode() if widget is not None else None
