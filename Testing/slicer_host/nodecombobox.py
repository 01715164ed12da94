"""Stands for Slicer's node selector, ``qMRMLNodeComboBox``."""

from __future__ import annotations

import weakref
from typing import Any

import vtk
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QInputDialog, QVBoxLayout, QWidget

from .nodefilter import qMRMLSortFilterProxyModel
from .pythonqt import private, qt_property, stand_in, wire
from .scenewatch import Watch, weakly

NODE_ID = Qt.ItemDataRole.UserRole
ACTION = Qt.ItemDataRole.UserRole + 1


@stand_in
class qMRMLNodeComboBox(QWidget):
    """A list of the scene's nodes of some types, with one of them current."""

    currentNodeChanged = Signal((object,), (bool,))
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAddedByUserAction = Signal(object)
    nodeAboutToBeRemoved = Signal(object)
    nodeAboutToBeEdited = Signal(object)
    currentNodeRenamed = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        box = QComboBox(self)
        private(
            self, _box=box, _scene=None, _types=[], _attributes=[], _labels={}, _base="", _tag="", _hide=[],
            _watched=Watch(), _requested="", _last=None, _none=False, _noneText="None", _hidden=False, _children=True,
            _add=True, _remove=True, _edit=False, _rename=False, _select=True,
        )  # fmt: skip
        private(self, _filter=qMRMLSortFilterProxyModel(self))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)
        self.setFocusProxy(box)
        box.setMinimumContentsLength(8)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        wire(box.currentIndexChanged, self._onIndex)
        wire(box.activated, self._activated)
        weakref.finalize(self, self._watched.release)
        self._relabel()
        self.setEnabled(False)

    # The scene

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        wanted = self.currentNodeID or self._requested
        self._watched.release()
        private(self, _scene=scene, _requested="")
        blocked = self._box.blockSignals(True)
        self._fill()
        self._box.blockSignals(blocked)
        if scene is not None:
            events = {
                scene.NodeAddedEvent: self._onAdded,
                scene.NodeAboutToBeRemovedEvent: self._onAboutToBeRemoved,
                scene.NodeRemovedEvent: self._onRemoved,
            }
            self._watched.scene = scene
            self._watched.tags = [scene.AddObserver(event, weakly(method)) for event, method in events.items()]
        self.setEnabled(scene is not None)
        if wanted:
            self.setCurrentNodeID(wanted)
        self._changed()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onAdded(self, caller: Any, event: str, node: Any) -> None:
        self._watch(node)
        if self._accepts(node):
            self._insert(node)
            self.nodeAdded.emit(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onAboutToBeRemoved(self, caller: Any, event: str, node: Any) -> None:
        if node is not None and self._row(node.GetID()) >= 0:
            self.nodeAboutToBeRemoved.emit(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onRemoved(self, caller: Any, event: str, node: Any) -> None:
        if node is None:
            return
        watched = self._watched.nodes.pop(node.GetID(), None)
        if watched:
            watched[0].RemoveObserver(watched[1])
        self._drop(node.GetID())

    def _watch(self, node: Any) -> None:
        if node.GetID() not in self._watched.nodes:
            self._watched.nodes[node.GetID()] = (
                node,
                node.AddObserver(vtk.vtkCommand.ModifiedEvent, weakly(self._refresh)),
            )

    def _refresh(self, node: Any, event: str) -> None:
        row = self._row(node.GetID())
        if row < 0 and self._accepts(node):
            self._insert(node)
        elif row >= 0 and not self._accepts(node):
            self._drop(node.GetID())
        elif row >= 0 and self._box.itemText(row) != node.GetName():
            self._box.setItemText(row, node.GetName())

    def _drop(self, node_id: str) -> None:
        row = self._row(node_id)
        if row >= 0:
            self._box.removeItem(row)
            # Qt moves on to a neighbour; an entry that is an action and no node cannot stay current.
            if self._box.currentIndex >= 0 and self._box.itemData(self._box.currentIndex, ACTION):
                self._box.setCurrentIndex(self._first() + self.nodeCount() - 1)
            self._changed()

    def sortFilterProxyModel(self) -> Any:
        return self._filter

    def _accepts(self, node: Any) -> bool:
        if node is None or node.GetID() in self._filter.hiddenNodeIDs:
            return False
        if node.GetID() in self._filter.visibleNodeIDs:
            return True
        if node.GetHideFromEditors() and not self._hidden:
            return False
        if any(node.IsA(kind) for kind in self._hide):
            return False
        for kind in self._types or [node.GetClassName()]:
            if not (node.IsA(kind) if self._children else node.GetClassName() == kind):
                continue
            for owner, name, value in self._attributes:
                if owner == kind and (node.GetAttribute(name) is None or value not in (None, node.GetAttribute(name))):
                    return False
            return True
        return False

    # The list: perhaps "None", the nodes, and what can be done

    def _fill(self) -> None:
        current = self.currentNodeID
        self._box.clear()
        if self._none:
            self._box.addItem(self._noneText, "")
        if self._scene is not None:
            for index in range(self._scene.GetNumberOfNodes()):
                node = self._scene.GetNthNode(index)
                self._watch(node)
                if self._accepts(node):
                    self._box.addItem(node.GetName(), node.GetID())
            self._addActions()
        self._relabel()
        row = self._row(current)
        if row >= 0:
            self._box.setCurrentIndex(row)
        else:  # the first node where there is no None (a placeholder text keeps Qt 6 from choosing it itself)
            self._box.setCurrentIndex(0 if self._none or self.nodeCount() else -1)

    def _addActions(self) -> None:
        label = self.nodeTypeLabel(self._types[0]) if len(self._types) == 1 else "node"
        actions = []
        if self._rename:
            actions.append((f"Rename current {label}", "rename"))
        if self._edit:
            actions.append((f"Edit current {label}", "edit"))
        if self._add:
            actions += [(f"Create new {self.nodeTypeLabel(kind)}", "create " + kind) for kind in self._types]
        if self._remove:
            actions.append((f"Delete current {label}", "delete"))
        if actions:
            self._box.insertSeparator(self._box.count)
            self._box.setItemData(self._box.count - 1, "separator", ACTION)
        for text, action in actions:
            self._box.addItem(text)
            self._box.setItemData(self._box.count - 1, action, ACTION)

    def _refill(self) -> None:
        blocked = self._box.blockSignals(True)
        self._fill()
        self._box.blockSignals(blocked)
        self._changed()

    def _insert(self, node: Any) -> None:
        if self._row(node.GetID()) < 0:
            row = self._first() + self.nodeCount()
            self._box.insertItem(row, node.GetName(), node.GetID())
            if self._box.currentIndex < 0 and not self._none and self.nodeCount() == 1:
                self._box.setCurrentIndex(row)

    def _first(self) -> int:
        return 1 if self._none else 0

    def _row(self, node_id: str) -> int:
        return self._box.findData(node_id, NODE_ID) if node_id else -1

    def _relabel(self) -> None:
        self._box.setPlaceholderText(f"Select a {self.nodeTypeLabel(self._types[0] if self._types else '')}")

    # The current node

    def currentNode(self) -> Any:
        node_id = self.currentNodeID
        return self._scene.GetNodeByID(node_id) if node_id and self._scene is not None else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID((node.GetID() or "") if node is not None else "")

    def setCurrentNodeID(self, node_id: str) -> None:
        if self._scene is None:
            private(self, _requested=node_id or "")
        row = self._row(node_id)
        self._box.setCurrentIndex(row if row >= 0 else 0 if self._none else -1)

    def setCurrentNodeIndex(self, index: int) -> None:
        self._box.setCurrentIndex(self._first() + index if 0 <= index < self.nodeCount() else self._first() - 1)

    def nodeCount(self) -> int:
        return sum(1 for row in range(self._box.count) if self._box.itemData(row, NODE_ID))

    def nodeFromIndex(self, index: int) -> Any:
        return (
            self._scene.GetNodeByID(self._box.itemData(self._first() + index, NODE_ID) or "") if self._scene else None
        )

    def nodes(self) -> list:
        return [self.nodeFromIndex(index) for index in range(self.nodeCount())]

    def _onIndex(self, row: int) -> None:
        self._changed()

    def _changed(self) -> None:
        node = self.currentNode()
        if node is self._last:
            return
        private(self, _last=node)
        self.currentNodeChanged[object].emit(node)
        self.currentNodeChanged[bool].emit(node is not None)
        self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")

    def _activated(self, row: int) -> None:
        action = self._box.itemData(row, ACTION)
        if not action:
            self.nodeActivated.emit(self.currentNode())
            return
        self.setCurrentNode(self._last)
        if action == "rename":
            self.renameCurrentNode()
        elif action == "edit":
            self.editCurrentNode()
        elif action == "delete":
            self.removeCurrentNode()
        elif action.startswith("create "):
            node = self.addNode(action[len("create ") :])
            self.setCurrentNode(node)
            self.nodeAddedByUserAction.emit(node)

    # What the entries at the end of the list do

    def addNode(self, kind: str = "") -> Any:
        kind = kind or (self._types[0] if self._types else "")
        if kind not in self._types or self._scene is None:
            return None
        node = self._scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        base = self._base or node.GetDefaultNodeNamePrefix()
        node.SetName(self._scene.GetUniqueNameByString(base))
        for owner, name, value in self._attributes:
            if owner == kind:
                node.SetAttribute(name, value or "")
        node = self._scene.AddNode(node)
        if self._select:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        if self.currentNode() is not None:
            self._scene.RemoveNode(self.currentNode())

    def renameCurrentNode(self) -> None:
        node = self.currentNode()
        name = QInputDialog.getText(self, "Rename", "New name:") if node is not None else ""
        if name:
            node.SetName(name)
            self.currentNodeRenamed.emit(name)

    def editCurrentNode(self) -> None:
        self.nodeAboutToBeEdited.emit(self.currentNode())

    def addAttribute(self, kind: str, name: str, value: Any = None) -> None:
        self._attributes.append((kind, name, None if value is None else str(value)))
        self._refill()

    def removeAttribute(self, kind: str, name: str) -> None:
        self._attributes[:] = [entry for entry in self._attributes if entry[:2] != (kind, name)]
        self._refill()

    def nodeTypeLabel(self, kind: str) -> str:
        if kind in self._labels:
            return self._labels[kind]
        return (self._scene.GetTypeDisplayNameByClassName(kind) if self._scene is not None and kind else "") or "node"

    def setNodeTypeLabel(self, label: str, kind: str) -> None:
        self._labels[kind] = label
        self._relabel()
        self._refill()

    def setNodeTypes(self, kinds: list[str]) -> None:
        private(self, _types=[kind for kind in kinds if kind])
        self._refill()

    def _set(self, **values: Any) -> None:
        if any(getattr(self, name) != value for name, value in values.items()):
            private(self, **values)
            self._refill()

    def setNoneEnabled(self, value: bool) -> None:
        self._set(_none=bool(value))

    def setAddEnabled(self, value: bool) -> None:
        self._set(_add=bool(value))

    def setRemoveEnabled(self, value: bool) -> None:
        self._set(_remove=bool(value))

    def setEditEnabled(self, value: bool) -> None:
        self._set(_edit=bool(value))

    def setRenameEnabled(self, value: bool) -> None:
        self._set(_rename=bool(value))

    def setShowHidden(self, value: bool) -> None:
        self._set(_hidden=bool(value))

    def setShowChildNodeTypes(self, value: bool) -> None:
        self._set(_children=bool(value))

    def setHideChildNodeTypes(self, kinds: list[str]) -> None:
        self._set(_hide=list(kinds))

    def setNoneDisplay(self, text: str) -> None:
        self._set(_noneText=text)

    def setBaseName(self, name: str, kind: str = "") -> None:
        private(self, _base=name)

    def setSelectNodeUponCreation(self, value: bool) -> None:
        private(self, _select=bool(value))

    currentNodeID = qt_property(
        str,
        lambda self: (self._box.itemData(self._box.currentIndex, NODE_ID) or "") if self._box.currentIndex >= 0 else "",
        setCurrentNodeID,
    )
    nodeTypes = qt_property("QStringList", lambda self: list(self._types), setNodeTypes)
    noneEnabled = qt_property(bool, lambda self: self._none, setNoneEnabled)
    addEnabled = qt_property(bool, lambda self: self._add, setAddEnabled)
    removeEnabled = qt_property(bool, lambda self: self._remove, setRemoveEnabled)
    editEnabled = qt_property(bool, lambda self: self._edit, setEditEnabled)
    renameEnabled = qt_property(bool, lambda self: self._rename, setRenameEnabled)
    showHidden = qt_property(bool, lambda self: self._hidden, setShowHidden)
    showChildNodeTypes = qt_property(bool, lambda self: self._children, setShowChildNodeTypes)
    hideChildNodeTypes = qt_property("QStringList", lambda self: list(self._hide), setHideChildNodeTypes)
    noneDisplay = qt_property(str, lambda self: self._noneText, setNoneDisplay)
    baseName = qt_property(str, lambda self: self._base, setBaseName)
    selectNodeUponCreation = qt_property(bool, lambda self: self._select, setSelectNodeUponCreation)
    interactionNodeSingletonTag = qt_property(str, lambda self: self._tag, lambda self, tag: private(self, _tag=tag))
