"""Stands for Slicer's main window: a panel for modules, and a status bar."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QMainWindow, QScrollArea, QStackedWidget, QWidget

from .noting import records
from .pythonqt import private, stand_in


class _ModuleSelector(QObject):
    """The list of modules in the main window."""

    def selectModule(self, name: str) -> None:
        import slicer_host

        records.selected_modules.append(name)
        slicer_host.enter(name)

    @property
    def selectedModule(self) -> str:
        import slicer_host

        return slicer_host.entered() or ""


@stand_in
class qSlicerMainWindow(QMainWindow):
    """The main window: a panel for modules and a status bar."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        panel, stack = QScrollArea(), QStackedWidget()
        panel.setObjectName("ModulePanel")
        panel.setWidgetResizable(True)
        panel.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        stack.addWidget(QWidget())
        panel.setWidget(stack)
        self.setCentralWidget(panel)
        self.resize(420, 1000)
        self.statusBar().messageChanged.connect(lambda text: records.status.append(text) if text else None)
        private(self, _selector=_ModuleSelector(self), _stack=stack)

    def moduleSelector(self) -> Any:
        return self._selector

    def panel(self) -> Any:
        """Return the stack of module panels (the host's own)."""
        return self._stack

    def pythonConsole(self) -> None:
        return None
