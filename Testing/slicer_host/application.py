"""Stands for the application: ``slicer.app`` with what hangs on it, over a true scene and true logics."""

from __future__ import annotations

import colorsys
import os
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import slicer
from PySide6.QtCore import QObject, QProcessEnvironment, QSettings, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QApplication

from .mainwindow import qSlicerMainWindow
from .noting import records
from .pythonqt import private, qt_property, stand_in

VERSION = (5, 13)


@stand_in
class qSlicerCommandOptions(QObject):
    """The command line that Slicer was started with."""

    def __init__(self) -> None:
        super().__init__()
        private(self, _testing=False, _exit=False)

    def _set_testing(self, value: bool) -> None:
        private(self, _testing=bool(value))

    testingEnabled = qt_property(bool, lambda self: self._testing, _set_testing)
    isTestingEnabled = qt_property(bool, lambda self: self._testing)
    noMainWindow = qt_property(bool, lambda self: False)
    runPythonAndExit = qt_property(bool, lambda self: self._exit, lambda self, value: private(self, _exit=bool(value)))


@stand_in
class qSlicerModuleManager(QObject):
    """Which modules there are."""

    moduleLoaded = Signal(str)
    moduleAboutToBeUnloaded = Signal(str)
    moduleUnloaded = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        private(self, _modules={})

    def add(self, module: Any) -> None:
        """Make a module known (the host calls this)."""
        self._modules[module.name] = module
        setattr(slicer.modules, module.name.lower(), module)
        setattr(slicer.moduleNames, module.name, module.name)

    def drop(self, name: str) -> None:
        """Forget a module (the host calls this)."""
        self._modules.pop(name, None)
        for place, attribute in [(slicer.modules, name.lower()), (slicer.moduleNames, name)]:
            if hasattr(place, attribute):
                delattr(place, attribute)

    def module(self, name: str) -> Any:
        return self._modules.get(name)

    def modulesNames(self) -> list[str]:
        return list(self._modules)

    def factoryManager(self) -> Any:
        return self

    def loadedModuleNames(self) -> list[str]:
        return list(self._modules)

    def isLoaded(self, name: str) -> bool:
        return name in self._modules


class qSlicerCoreModule:
    """A module of Slicer's own: its true logic, and no panel."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name, self.title, self.path, self._logic = name, name, "", logic

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> None:
        return None


class _ErrorLogModel:
    """The log that people are asked to send."""

    def __init__(self, folder: str) -> None:
        self.filePath = str(Path(folder) / "Slicer.log")

    def logEntryCount(self) -> int:
        return 0


@stand_in
class qSlicerApplication(QApplication):
    """The application itself."""

    startupCompleted = Signal()
    mrmlSceneChanged = Signal(object)
    lastWindowClosed = Signal()

    def __init__(self) -> None:
        super().__init__(["Slicer", "--testing-host"])
        folder = tempfile.mkdtemp(prefix="slicer-host-")
        _write_colours(Path(folder))
        self.setApplicationName("Slicer")
        self.setOrganizationName("slicer.org")
        self.setApplicationVersion(f"{VERSION[0]}.{VERSION[1]}.0-host")
        self.setStyle("Fusion")
        self.setFont(QFont("DejaVu Sans", 9))
        self.setQuitOnLastWindowClosed(False)
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)
        private(
            self, _folder=folder, _temporary=str(Path(folder) / "temporary"), _settings=QSettings(),
            _options=qSlicerCommandOptions(), _modules=qSlicerModuleManager(), _log=_ErrorLogModel(folder),
            _layout=None, _io=None, _logic=None, _window=None,
        )  # fmt: skip
        Path(self._temporary).mkdir()

    # What the host fills in once the scene is there

    def begin(self, app_logic: Any, layout: Any, io: Any) -> None:
        private(self, _logic=app_logic, _layout=layout, _io=io, _window=qSlicerMainWindow())
        self._window.show()

    # What modules ask for

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def applicationLogic(self) -> Any:
        return self._logic

    def moduleLogic(self, name: str) -> Any:
        return self._logic.GetModuleLogic(name)

    def moduleManager(self) -> Any:
        return self._modules

    def layoutManager(self) -> Any:
        return self._layout

    def coreIOManager(self) -> Any:
        return self._io

    def ioManager(self) -> Any:
        return self._io

    def commandOptions(self) -> Any:
        return self._options

    def testingEnabled(self) -> bool:
        return self._options.testingEnabled

    def settings(self) -> Any:
        return self._settings

    def userSettings(self) -> Any:
        return self._settings

    def revisionUserSettings(self) -> Any:
        return self._settings

    def errorLogModel(self) -> Any:
        return self._log

    def dicomDatabase(self) -> Any:
        return slicer.dicomDatabase

    def startupEnvironment(self) -> Any:
        return QProcessEnvironment.systemEnvironment()

    def environment(self) -> Any:
        return QProcessEnvironment.systemEnvironment()

    def mainWindow(self) -> Any:
        return self._window

    def pythonConsole(self) -> None:
        return None

    def pauseRender(self) -> None:
        pass

    def resumeRender(self) -> None:
        pass

    def setRenderPaused(self, paused: bool) -> None:
        pass

    def isInstalled(self) -> bool:
        return True

    def moduleDocumentationUrl(self, name: str) -> str:
        return self.documentationBaseUrl + name

    def logUsageEvent(self, component: str, event: str) -> None:
        pass

    def restart(self) -> None:
        records.restarts += 1

    def exit(self, code: int = 0) -> None:
        raise RuntimeError(f"the module asked the application to exit ({code})")

    quit = exit

    temporaryPath = property(lambda self: self._temporary, lambda self, path: private(self, _temporary=str(path)))
    cachePath = property(lambda self: self._folder)
    slicerHome = property(lambda self: self._folder)
    defaultScenePath = property(lambda self: self._folder)
    startupWorkingPath = property(lambda self: os.getcwd())
    majorVersion = property(lambda self: VERSION[0])
    minorVersion = property(lambda self: VERSION[1])
    revision = property(lambda self: "31053")
    repositoryRevision = property(lambda self: "host")
    os = property(lambda self: "linux")
    arch = property(lambda self: "amd64")
    platform = property(lambda self: "linux-amd64")
    applicationLocaleName = property(lambda self: "en_US")
    documentationBaseUrl = property(lambda self: "https://slicer.readthedocs.io/en/latest/")
    documentationLanguage = property(lambda self: "en")
    documentationVersion = property(lambda self: "latest")
    launcherExecutableFilePath = property(lambda self: sys.executable)


def _write_colours(home: Path) -> None:
    """Write the colour table that label maps start with, where Slicer keeps it; the colours are the host's own."""
    folder = home / "share" / "ColorFiles"
    folder.mkdir(parents=True)
    lines = ["0 background 0 0 0 0"]
    for value in range(1, 256):
        red, green, blue = (int(255 * part) for part in colorsys.hsv_to_rgb(value * 0.381966 % 1.0, 0.55, 0.9))
        lines.append(f"{value} label_{value} {red} {green} {blue} 255")
    (folder / "GenericColors.txt").write_text("\n".join(lines) + "\n", encoding="ascii")


def add_namespaces() -> None:
    """Make ``slicer.modules`` and ``slicer.moduleNames``."""
    for name in ("modules", "moduleNames"):
        module = types.ModuleType(f"slicer.{name}", "Stands for what Slicer fills as modules are loaded.")
        setattr(slicer, name, module)
        sys.modules[f"slicer.{name}"] = module
    slicer.selfTests = {}
    slicer.modules.dicomPlugins = {}
