"""Stands for Slicer's MRML widgets: the ones a module's panel is made of."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from .nodecombobox import qMRMLNodeComboBox
from .pythonqt import private, stand_in


@stand_in
class qMRMLWidget(QWidget):
    """A widget that knows the scene and hands it on by a signal."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        private(self, _scene=None)

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            private(self, _scene=scene)
            self.mrmlSceneChanged.emit(scene)


@stand_in
class qMRMLSegmentEditorWidget(qMRMLWidget):
    """What is edited: a segmentation, a volume under it, a segment and an effect; without the effects themselves."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        private(self, _node=None)

    def mrmlSegmentEditorNode(self) -> Any:
        return self._node

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        private(self, _node=node)

    def segmentationNode(self) -> Any:
        return self._node.GetSegmentationNode() if self._node is not None else None

    def setSegmentationNode(self, node: Any) -> None:
        self._chosen().SetAndObserveSegmentationNode(node)
        if node is not None and node.GetSegmentation().GetNumberOfSegments():
            self.setCurrentSegmentID(node.GetSegmentation().GetNthSegmentID(0))

    def sourceVolumeNode(self) -> Any:
        return self._node.GetSourceVolumeNode() if self._node is not None else None

    def setSourceVolumeNode(self, node: Any) -> None:
        self._chosen().SetAndObserveSourceVolumeNode(node)

    def currentSegmentID(self) -> str:
        return (self._node.GetSelectedSegmentID() or "") if self._node is not None else ""

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._chosen().SetSelectedSegmentID(segment_id)

    def setActiveEffectByName(self, name: str) -> None:
        self._chosen().SetActiveEffectName(name)

    def activeEffect(self) -> None:
        """Return None: the host has no effects."""

    def _chosen(self) -> Any:
        if self._node is None:
            raise RuntimeError("the segment editor has no parameter node yet: choose its module first")
        return self._node


def _slider_classes() -> tuple[type, type]:
    """MRML's slider and spin box differ from CTK's in the units that they show, which the host does not know."""
    import ctk

    slider = stand_in(type("qMRMLSliderWidget", (ctk.ctkSliderWidget,), {"__doc__": "CTK's slider."}))
    box = stand_in(type("qMRMLSpinBox", (ctk.ctkDoubleSpinBox,), {"__doc__": "CTK's spin box."}))
    return slider, box


def add_to_slicer() -> None:
    """Make the widgets attributes of ``slicer``, as the real ones are."""
    slicer.qMRMLWidget = slicer.qSlicerWidget = qMRMLWidget
    slicer.qMRMLNodeComboBox = qMRMLNodeComboBox
    slicer.qMRMLSegmentEditorWidget = qMRMLSegmentEditorWidget
    slicer.qMRMLSliderWidget, slicer.qMRMLSpinBox = _slider_classes()
