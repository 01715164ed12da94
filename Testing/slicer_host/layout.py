"""Stands for the layout manager: which views there are comes from MRML's own layout logic, nothing is drawn."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6.QtCore import QObject, Signal

from .pythonqt import qt_property, stand_in

VIEW_SIZE = (300, 300)


class _SliceView:
    """The part of a slice widget that draws; here only when it is asked for a picture."""

    def __init__(self, widget: qMRMLSliceWidget) -> None:
        self._widget = widget

    def scheduleRender(self) -> None:
        pass

    def forceRender(self) -> None:
        pass

    def mrmlSliceNode(self) -> Any:
        return self._widget.mrmlSliceNode()


class _SliceController:
    """The bar above a slice view."""

    def __init__(self, widget: qMRMLSliceWidget) -> None:
        self._widget = widget

    def fitSliceToBackground(self) -> None:
        self._widget.fitSliceToBackground()

    def setSliceOffsetValue(self, offset: float) -> None:
        self._widget.sliceLogic().SetSliceOffset(offset)

    def setSliceVisible(self, visible: bool) -> None:
        self._widget.mrmlSliceNode().SetSliceVisible(visible)

    def setSliceLink(self, linked: bool) -> None:
        self._widget.mrmlSliceCompositeNode().SetLinkedControl(linked)


class qMRMLSliceWidget:
    """One slice view: a true slice logic with its nodes, and no window."""

    def __init__(self, node: Any, app_logic: Any) -> None:
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(app_logic)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._logic.SetSliceNode(node)
        if node.GetOrientation() == "Reformat":  # the layout names an orientation that the view's widget would set
            node.SetOrientation({"Yellow": "Sagittal", "Green": "Coronal"}.get(node.GetLayoutName(), "Axial"))
        self._logic.ResizeSliceNode(*VIEW_SIZE)
        node.SetInteractionNode(app_logic.GetInteractionNode())
        app_logic.GetSliceLogics().AddItem(self._logic)
        self._view, self._controller = _SliceView(self), _SliceController(self)

    @property
    def sliceViewName(self) -> str:
        return self.mrmlSliceNode().GetLayoutName()

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def sliceView(self) -> _SliceView:
        return self._view

    def sliceController(self) -> _SliceController:
        return self._controller

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()

    def setSliceOrientation(self, orientation: str) -> None:
        self.mrmlSliceNode().SetOrientation(orientation)


@stand_in
class qSlicerLayoutManager(QObject):
    """Which views there are, and how they are arranged."""

    layoutChanged = Signal(int)

    def __init__(self, app_logic: Any) -> None:
        super().__init__()
        from .pythonqt import private

        logic = slicer.vtkMRMLLayoutLogic()
        logic.SetMRMLApplicationLogic(app_logic)
        logic.SetMRMLScene(slicer.mrmlScene)
        private(self, _app=app_logic, _logic=logic, _widgets={})
        self.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    def layoutLogic(self) -> Any:
        return self._logic

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def setLayout(self, layout: int) -> None:
        node = self._logic.GetLayoutNode()
        before = node.GetViewArrangement()
        node.SetViewArrangement(int(layout))
        self._complete()
        if node.GetViewArrangement() != before:
            self.layoutChanged.emit(node.GetViewArrangement())

    def _complete(self) -> None:
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            if node.GetLayoutName() not in self._widgets:
                self._widgets[node.GetLayoutName()] = qMRMLSliceWidget(node, self._app)
        arranged = self._logic.GetViewNodes()
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            node.SetMappedInLayout(bool(arranged.IsItemPresent(node)))

    def sliceViewNames(self) -> list[str]:
        self._complete()
        return list(self._widgets)

    def sliceWidget(self, name: str) -> Any:
        self._complete()
        return self._widgets.get(name)

    def mrmlSliceLogics(self) -> Any:
        self._complete()
        return self._app.GetSliceLogics()

    def resetSliceViews(self) -> None:
        self._app.FitSliceToAll()

    def resetThreeDViews(self) -> None:
        """Do nothing: the host has no 3D view."""

    def threeDWidget(self, index: Any) -> None:
        """Return None: the host has no 3D view."""

    layout = qt_property(int, lambda self: self._logic.GetLayoutNode().GetViewArrangement(), setLayout)
    threeDViewCount = qt_property(int, lambda self: 0)
    tableViewCount = qt_property(int, lambda self: 0)
    plotViewCount = qt_property(int, lambda self: 0)
