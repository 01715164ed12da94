"""Where L1 and L2 are: the control points of one markups list, with who set them and whether a reader confirmed them.

The list is the only place where the levels live. What a control point cannot hold (who set it, whether it is
confirmed) are attributes of the list, so that a saved scene keeps them. A point that was dragged is no longer the one
that was confirmed: it is noticed by its position, and its confirmation falls.
"""

import numpy as np

import slicer
from slicer.i18n import tr as _

from .Errors import ModuleError
from .StudyNodes import LEVEL_NAMES, StudyNodes
from .Volumes import geometry

# A point moved by less than this across the slices is where it was: markups keep positions as text in the scene file.
_SAME_MM = 0.05
# Orange and sky blue, the colours of the outlines too (Okabe and Ito 2008: they stay apart for the colour-blind).
COLOURS = {"L1": (0.902, 0.624, 0.0), "L2": (0.337, 0.706, 0.914)}
# How far a level line reaches before and behind the control point: a lumbar body with its arch is about 80 mm deep.
_LINE_MM = 60.0
_LINE_WIDTH_MM = 1.0
# More than the widest reconstruction reaches to a side, so that every sagittal view of the CT is crossed.
_ACROSS_MM = 400.0


class StudyLevels:
    """The levels of one CT.

    :param volumeNode: the CT (vtkMRMLScalarVolumeNode).
    :raises ModuleError: the volume cannot be measured as it is.
    """

    def __init__(self, volumeNode):
        self.volumeNode = volumeNode
        self.nodes = StudyNodes(volumeNode)
        self.geometry = geometry(volumeNode)

    @property
    def node(self):
        """The markups list, or None while no level is set."""
        return self.nodes.levels

    def names(self):
        """Return the levels that are set, from head to foot."""
        return [name for name in LEVEL_NAMES if self._index(name) is not None]

    def position(self, name):
        """Return the RAS position (3) in mm of a level's control point, None where the level is not set."""
        index = self._index(name)
        return None if index is None else np.array(self.node.GetNthControlPointPositionWorld(index))

    def sliceIndex(self, name):
        """Return the CT's (canonical) slice that a level lies on, None where it is not set or outside the scan."""
        position = self.position(name)
        if position is None:
            return None
        k = round(float(self.geometry.ijk(position)[2]))
        return k if 0 <= k < self.geometry.shape[0] else None

    def height(self, name):
        """Return RAS S in mm of the centre of a level's slice, None where it is not set or outside the scan."""
        k = self.sliceIndex(name)
        return None if k is None else self.geometry.slice_z(k)

    def setBy(self, name):
        """Return who set a level: "user", "segmentation", "snapped" or "suggested"."""
        self._noticeMove(name)
        return self._attribute(name, "setBy") or "user"

    def isConfirmed(self, name):
        """Return whether a reader has confirmed a level where it is now."""
        self._noticeMove(name)
        return self._index(name) is not None and self._attribute(name, "confirmed") == "yes"

    def confirm(self, name, confirmed=True):
        """Take down that a reader has confirmed a level where it is, or no longer does.

        :raises ModuleError: the level is not set, or lies outside the scan.
        """
        if confirmed and self.sliceIndex(name) is None:
            raise ModuleError(_("Set {level} on a slice of the scan before confirming it.").format(level=name))
        self._noticeMove(name)
        self._setAttribute(name, "confirmed", "yes" if confirmed else "no")

    def setPosition(self, name, ras, setBy="user"):
        """Put a level at a RAS position in mm; it is not confirmed then.

        :raises ModuleError: the position lies outside the scan's slices.
        """
        ras = np.asarray(ras, dtype=float)
        k = round(float(self.geometry.ijk(ras)[2]))
        if not 0 <= k < self.geometry.shape[0]:
            raise ModuleError(_("{level} would lie outside the scan; choose one of its slices.").format(level=name))
        node = self._list()
        index = self._index(name)
        if index is None:
            node.AddControlPoint([float(value) for value in ras], name)
        else:
            node.SetNthControlPointPositionWorld(index, [float(value) for value in ras])
        self._setAttribute(name, "setBy", setBy)
        self._setAttribute(name, "confirmed", "no")
        self._setAttribute(name, "at", _text(ras))

    def setSlice(self, name, k, setBy="user"):
        """Put a level on slice k of the CT; in the plane it stays where it was, or goes where the other level is."""
        if k == self.sliceIndex(name) and setBy == self.setBy(name):
            return
        i, j = self._inPlane(name)
        self.setPosition(name, self.geometry.ras(i, j, k), setBy)

    def moveInPlane(self, name, ras):
        """Move a level's point on its slice to (the foot of) a RAS position; the level itself stays as it is."""
        k = self.sliceIndex(name)
        if k is None:
            return
        setBy, confirmed = self.setBy(name), self.isConfirmed(name)
        i, j, _k = self.geometry.ijk(np.asarray(ras, dtype=float))
        self.setPosition(name, self.geometry.ras(i, j, k), setBy)
        self._setAttribute(name, "confirmed", "yes" if confirmed else "no")

    def remove(self, name):
        """Take a level away."""
        index = self._index(name)
        if index is not None:
            self.node.RemoveNthControlPoint(index)

    def engineLevels(self, names):
        """Return {name: {slice_index, set_by, confirmed}} as the engine takes the levels.

        :raises ModuleError: a level is not set, lies outside the scan, or the levels are in the wrong order.
        """
        levels = {}
        for name in names:
            if self._index(name) is None:
                raise ModuleError(_("Set the centre slice of {level} first.").format(level=name))
            k = self.sliceIndex(name)
            if k is None:
                raise ModuleError(_("{level} lies outside the scan; move it onto a slice.").format(level=name))
            levels[name] = {"slice_index": k, "set_by": self.setBy(name), "confirmed": self.isConfirmed(name)}
        heights = [self.height(name) for name in names]
        if len(heights) > 1 and heights[1] >= heights[0]:
            raise ModuleError(_("L2 does not lie below L1; check whether they are swapped or the same slice."))
        return levels

    def _list(self):
        node = self.nodes.levels
        if node is None:
            node = self.nodes.getOrCreate("levels", "vtkMRMLMarkupsFiducialNode", _("levels"))
            node.CreateDefaultDisplayNodes()
            display = node.GetDisplayNode()
            display.SetPropertiesLabelVisibility(False)
            display.SetSnapMode(slicer.vtkMRMLMarkupsDisplayNode.SnapModeUnconstrained)
            # A thin cross: the usual ball would hide the body that the reader judges.
            display.SetGlyphType(slicer.vtkMRMLMarkupsDisplayNode.CrossDot2D)
        return node

    def _index(self, name):
        node = self.node
        if node is None:
            return None
        placed = slicer.vtkMRMLMarkupsNode.PositionDefined
        for index in range(node.GetNumberOfControlPoints()):
            if node.GetNthControlPointLabel(index) == name and node.GetNthControlPointPositionStatus(index) == placed:
                return index
        return None

    def _inPlane(self, name):
        for known in (name, *LEVEL_NAMES):
            position = self.position(known)
            if position is not None:
                return self.geometry.ijk(position)[:2]
        _slices, rows, columns = self.geometry.shape
        return (columns - 1) / 2, (rows - 1) / 2

    def _noticeMove(self, name):
        """A point that is on another place than where it was set was moved by hand: set by the user, not confirmed."""
        position, before = self.position(name), self._attribute(name, "at")
        if position is None or not before:
            return
        moved = (position - np.array([float(value) for value in before.split()])) @ self.geometry.normal
        if abs(float(moved)) > _SAME_MM:
            self._setAttribute(name, "setBy", "user")
            self._setAttribute(name, "confirmed", "no")
            self._setAttribute(name, "at", _text(position))

    def _attribute(self, name, what):
        return self.node.GetAttribute(f"OsteoScreen.{name}.{what}") if self.node is not None else None

    def _setAttribute(self, name, what, value):
        self.node.SetAttribute(f"OsteoScreen.{name}.{what}", value)


class LevelLines:
    """The levels as lines across the sagittal and coronal views: they cannot be dragged and are not saved."""

    def __init__(self):
        self._lines = {}

    def update(self, levels, sliceNodes):
        """Draw the levels of a CT in the sagittal and coronal slice views; take away the lines of other levels.

        :param levels: StudyLevels.
        :param sliceNodes: the scene's vtkMRMLSliceNodes.
        """
        across = [node.GetID() for node in sliceNodes if node.GetOrientation() in ("Sagittal", "Coronal")]
        names = levels.names() if across else []
        for name in set(self._lines) - set(names):
            self._removeLine(name)
        for name in names:
            self._draw(name, levels, across)

    def clear(self):
        """Take all lines away."""
        for name in list(self._lines):
            self._removeLine(name)

    def _draw(self, name, levels, viewIDs):
        line = self._line(name, levels.volumeNode.GetScene())
        centre = levels.position(name)
        # The canonical CT's rows run to the back, its columns to the left. A markups line is drawn only in a view whose
        # plane it crosses: so it runs across the patient too, which a sagittal view does not show.
        left, back = (axis / np.linalg.norm(axis) for axis in levels.geometry.ijk_to_ras[:3, :2].T)
        reach = _LINE_MM * back + _ACROSS_MM * left
        with slicer.util.NodeModify(line):
            for index, end in enumerate((centre - reach, centre + reach)):
                line.SetNthControlPointPositionWorld(index, [float(value) for value in end])
        display = line.GetDisplayNode()
        if list(display.GetViewNodeIDs()) != viewIDs:
            display.SetViewNodeIDs(viewIDs)

    def _line(self, name, scene):
        line = self._lines.get(name)
        if line is not None and line.GetScene() is scene:
            return line
        line = slicer.vtkMRMLMarkupsLineNode()
        line.SetName(_("{level} level line").format(level=name))
        line.SetHideFromEditors(True)
        line.SetSaveWithScene(False)
        line.UndoEnabledOff()
        scene.AddNode(line)
        line.CreateDefaultDisplayNodes()
        for _end in range(2):
            line.AddControlPoint([0.0, 0.0, 0.0], "")
        line.SetLocked(True)
        display = line.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetSelectedColor(*COLOURS[name])
        display.SetColor(*COLOURS[name])
        display.SetPropertiesLabelVisibility(False)
        display.SetPointLabelsVisibility(False)
        display.SetUseGlyphScale(False)
        display.SetGlyphSize(_LINE_WIDTH_MM)
        display.SetCurveLineSizeMode(slicer.vtkMRMLMarkupsDisplayNode.UseLineDiameter)
        display.SetLineDiameter(_LINE_WIDTH_MM)
        display.SetLineColorFadingStart(2 * _ACROSS_MM)
        display.SetLineColorFadingEnd(3 * _ACROSS_MM)
        display.SetVisibility3D(False)
        display.SetSliceProjection(True)
        display.SetSliceProjectionUseFiducialColor(True)
        display.SetSliceProjectionOutlinedBehindSlicePlane(False)
        self._lines[name] = line
        return line

    def _removeLine(self, name):
        line = self._lines.pop(name)
        if line.GetScene() is not None:
            line.GetScene().RemoveNode(line)


def segmentedVertebrae(segmentationNode, names=LEVEL_NAMES):
    """Return {level: the engine's VertebraMask} of the segments that name a vertebra among ``names``.

    A segment says which vertebra it is by its SNOMED CT code, or by its name (TotalSegmentator, CADS, a reader's own).

    :raises ModuleError: no segment is one of them, or two are the same.
    """
    found = {}
    segmentation = segmentationNode.GetSegmentation()
    for segmentID in segmentation.GetSegmentIDs():
        name = _vertebraOf(segmentation.GetSegment(segmentID))
        if name not in names:
            continue
        if name in found:
            raise ModuleError(
                _("The segmentation {segmentation} has two segments for {level}; keep one of them.").format(
                    segmentation=segmentationNode.GetName(), level=name
                )
            )
        found[name] = segmentID
    if not found:
        raise ModuleError(
            _(
                "No segment of {segmentation} is named L1 or L2; rename them in the Segmentations module, or set the "
                "slices by hand."
            ).format(segmentation=segmentationNode.GetName())
        )
    return {name: _vertebraMask(name, segmentationNode, segmentID) for name, segmentID in found.items()}


def _vertebraOf(segment):
    from OsteoScreenLib.levels.names import SCT_CODES, vertebra_named

    entry = slicer.vtkSlicerTerminologyEntry()
    text = segment.GetTerminology() if hasattr(segment, "GetTerminology") else ""
    if text and slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(text, entry):
        code = entry.GetTypeObject()
        if code is not None and code.GetCodingSchemeDesignator() == "SCT" and code.GetCodeValue() in SCT_CODES:
            return SCT_CODES[code.GetCodeValue()]
    return vertebra_named(segment.GetName() or "")


def _vertebraMask(name, segmentationNode, segmentID):
    from vtk.util.numpy_support import vtk_to_numpy

    from OsteoScreenLib.ct.geometry import canonical
    from OsteoScreenLib.levels import VertebraMask

    if segmentationNode.GetParentTransformNode() is not None:
        raise ModuleError(
            _("The segmentation {name} lies under a transform; harden it first.").format(
                name=segmentationNode.GetName()
            )
        )
    labelmap = slicer.vtkOrientedImageData()
    made = segmentationNode.CreateBinaryLabelmapRepresentation()
    if not made or not segmentationNode.GetBinaryLabelmapRepresentation(segmentID, labelmap):
        raise ModuleError(_("The segment {level} cannot be read as a mask; check it.").format(level=name))
    extent = labelmap.GetExtent()
    if extent[1] < extent[0] or labelmap.GetNumberOfPoints() == 0:
        raise ModuleError(_("The segment {level} is empty; choose another segmentation.").format(level=name))
    shape = (extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1)
    voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(shape) > 0
    matrix = _imageToWorld(labelmap)
    matrix[:3, 3] += matrix[:3, :3] @ np.array([extent[0], extent[2], extent[4]], dtype=float)
    maskGeometry, axisMap = canonical(shape, matrix)
    return VertebraMask(name, axisMap.volume(voxels), maskGeometry)


def _imageToWorld(orientedImage):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    orientedImage.GetImageToWorldMatrix(matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _text(ras):
    return " ".join(f"{float(value):.4f}" for value in ras)
