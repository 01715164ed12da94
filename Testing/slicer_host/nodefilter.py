"""Stands for ``qMRMLSortFilterProxyModel``: what a node selector leaves out or lets in."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject

from .pythonqt import private, qt_property, stand_in


@stand_in
class qMRMLSortFilterProxyModel(QObject):
    """It knows of the nodes' IDs alone; attributes are the selector's."""

    def __init__(self, selector: Any) -> None:
        super().__init__(selector)
        private(self, _selector=selector, _hidden=[], _visible=[])

    def setHiddenNodeIDs(self, ids: list[str]) -> None:
        if list(ids) != self._hidden:
            private(self, _hidden=list(ids))
            self._selector._refill()

    def setVisibleNodeIDs(self, ids: list[str]) -> None:
        if list(ids) != self._visible:
            private(self, _visible=list(ids))
            self._selector._refill()

    def addAttribute(self, kind: str, name: str, value: Any = None) -> None:
        self._selector.addAttribute(kind, name, value)

    hiddenNodeIDs = qt_property("QStringList", lambda self: list(self._hidden), setHiddenNodeIDs)
    visibleNodeIDs = qt_property("QStringList", lambda self: list(self._visible), setVisibleNodeIDs)
