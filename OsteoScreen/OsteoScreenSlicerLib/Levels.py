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


def _text(ras):
    return " ".join(f"{float(value):.4f}" for value in ras)
