"""The levels as lines across the sagittal and coronal views."""

import numpy as np

import slicer
from slicer.i18n import tr as _

from .Levels import COLOURS

# How far a level line reaches before and behind the control point: a lumbar body with its arch is about 80 mm deep.
_LINE_MM = 60.0
# The line's width as Slicer takes it, in per cent of a fifth of the screen's diagonal: about two pixels. In mm it would
# fall between the pixels of a view that shows much.
_LINE_WIDTH_PERCENT = 0.6
# More than the widest reconstruction reaches to a side, so that every sagittal view of the CT is crossed.
_ACROSS_MM = 400.0


class LevelLines:
    """One line a level; it cannot be dragged, and is not saved."""

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
        display.SetUseGlyphScale(True)
        display.SetGlyphScale(_LINE_WIDTH_PERCENT)
        display.SetCurveLineSizeMode(slicer.vtkMRMLMarkupsDisplayNode.UseLineThickness)
        display.SetLineThickness(1.0)
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
