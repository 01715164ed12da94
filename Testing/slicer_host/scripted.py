"""Stands for the factory of scripted modules: imports a module's file, and makes its module and its panel."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import slicer
from PySide6.QtCore import QObject
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QVBoxLayout

from .mrmlwidgets import qMRMLWidget
from .pythonqt import private, qt_property, stand_in


def import_file(path: Path) -> Any:
    """Import a module's file under its name, with its folder where imports look first."""
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _checked(name: str, kind: Any, text: str) -> Any:
    def get(self: Any) -> Any:
        return self._told[name]

    def put(self: Any, value: Any) -> None:
        if not isinstance(value, kind) or (text == "QStringList" and not all(isinstance(v, str) for v in value)):
            raise AttributeError(f"property '{name}' of type '{text}' does not take {value!r}")
        self._told[name] = list(value) if text == "QStringList" else value

    return qt_property(text, get, put)


@stand_in
class qSlicerScriptedLoadableModule(QObject):
    """What a module class is given as its parent: it takes the title, the categories and so on."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        told = {
            "title": "", "name": path.stem, "path": str(path), "categories": [], "contributors": [], "dependencies": [],
            "associatedNodeTypes": [], "helpText": "", "acknowledgementText": "", "icon": QIcon(), "hidden": False,
            "index": -1, "widgetRepresentationCreationEnabled": True,
        }  # fmt: skip
        private(self, _told=told, _widget=None, _logic=None, _instance=None)
        self.setObjectName(path.stem)

    title = _checked("title", str, "QString")
    name = _checked("name", str, "QString")
    path = _checked("path", str, "QString")
    categories = _checked("categories", (list, tuple), "QStringList")
    contributors = _checked("contributors", (list, tuple), "QStringList")
    dependencies = _checked("dependencies", (list, tuple), "QStringList")
    associatedNodeTypes = _checked("associatedNodeTypes", (list, tuple), "QStringList")
    helpText = _checked("helpText", str, "QString")
    acknowledgementText = _checked("acknowledgementText", str, "QString")
    icon = _checked("icon", QIcon, "QIcon")
    hidden = _checked("hidden", bool, "bool")
    index = _checked("index", int, "int")
    widgetRepresentationCreationEnabled = _checked("widgetRepresentationCreationEnabled", bool, "bool")

    def instantiate(self) -> Any:
        """Make the module object (the host calls this)."""
        python = sys.modules.get(self.name) or import_file(Path(self.path))
        if not hasattr(python, self.name):
            raise RuntimeError(f"{self.path} holds no class {self.name}")
        private(self, _instance=getattr(python, self.name)(self))
        setattr(slicer.modules, self.name + "Instance", self._instance)
        if not hasattr(python, self.name + "Widget"):
            self.widgetRepresentationCreationEnabled = False
        return self._instance

    def setup(self) -> None:
        if hasattr(self._instance, "setup"):
            self._instance.setup()

    def logic(self) -> Any:
        """Return the C++ logic, which holds nothing; the module's own logic is the widget's ``logic``."""
        if self._logic is None:
            private(self, _logic=slicer.vtkSlicerScriptedLoadableModuleLogic())
            self._logic.SetMRMLScene(slicer.mrmlScene)
        return self._logic

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def widgetRepresentation(self) -> Any:
        if self._widget is None and self.widgetRepresentationCreationEnabled:
            private(self, _widget=self.createNewWidgetRepresentation())
        return self._widget

    def createNewWidgetRepresentation(self) -> Any:
        return qSlicerScriptedLoadableModuleWidget(self)

    def forget(self) -> None:
        """Delete the panel (the host calls this)."""
        if self._widget is not None:
            self._widget.setParent(None)
            self._widget.deleteLater()
            private(self, _widget=None)


@stand_in
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The Qt widget that a module's panel lives in: ``self.parent`` of the Python widget class."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        QVBoxLayout(self)
        private(self, _module=module, _python=None, _entered=False)
        self.setObjectName(module.name + "ModuleWidget")
        slicer.app.mainWindow().panel().addWidget(self)
        self._make()
        # The panel is set up before it is told the scene.
        self.setMRMLScene(slicer.mrmlScene)

    def _make(self) -> None:
        name = self._module.name
        python = sys.modules.get(name) or import_file(Path(self._module.path))
        instance = getattr(python, name + "Widget")(self)
        private(self, _python=instance)
        setattr(slicer.modules, name + "Widget", instance)
        instance.setup()

    def reload(self) -> None:
        self._make()

    def self(self) -> Any:
        return self._python

    def module(self) -> Any:
        return self._module

    def logic(self) -> Any:
        return self._module.logic()

    def enter(self) -> None:
        private(self, _entered=True)
        if hasattr(self._python, "enter"):
            self._python.enter()

    def exit(self) -> None:
        private(self, _entered=False)
        if hasattr(self._python, "exit"):
            self._python.exit()

    isEntered = qt_property(bool, lambda self: self._entered)
    moduleName = qt_property(str, lambda self: self._module.name)
