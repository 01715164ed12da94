"""A small host in which Slicer's scripted modules run without Slicer, for tests.

It stands on PyPI's ``slicer-core`` (MRML and the modules' logics, as they are) and on PySide6 (Qt, as it is), and adds
stand-ins for what only the application has. ``README.md`` lists them and says how each differs from the real one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from .noting import answers, records

__all__ = [
    "answers",
    "can_render",
    "enter",
    "entered",
    "exit_module",
    "load_module",
    "missing",
    "pixel_of",
    "process_events",
    "records",
    "reload",
    "render_slice",
    "reset",
    "screenshot",
    "start",
    "unload",
    "wait_until",
]

HERE = Path(__file__).resolve().parent

_app: Any = None
_kept: dict[str, Any] = {}  # what only Python holds, until the end of the process
_entered: str | None = None
_loaded: list[str] = []


def missing() -> str:
    """Say what the host lacks here, or return an empty text."""
    from importlib.util import find_spec

    lacking = [
        name
        for name, module in [("slicer-core", "slicer_core"), ("PySide6-Essentials", "PySide6")]
        if not find_spec(module)
    ]
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    try:
        import PySide6
        from PySide6 import QtUiTools  # noqa: F401 (needs Qt's system libraries, too)
    except ImportError as error:
        return f"Qt cannot be loaded: {error}"
    if PySide6.__version_info__[:2] >= (6, 12) and sys.version_info < (3, 12):
        # It takes None, True and False for immortal, which they are from Python 3.12 on.
        return f"PySide6 {PySide6.__version__} crashes on Python {sys.version.split()[0]}: install an earlier one"
    return ""


def start() -> Any:
    """Start the host (once in a process) and return ``slicer``."""
    global _app
    if _app is not None:
        return sys.modules["slicer"]
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.setdefault("QT_LOGGING_RULES", "qt.qpa.*=false;qt.text.font.db=false")
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    from . import pythonqt

    pythonqt.install()
    pythonqt.quieten()
    import slicer
    import slicer.util

    _tidy_namespace(slicer)
    slicer.__path__.append(str(HERE / "slicer_parts"))
    sys.path.insert(0, str(HERE / "python"))

    from . import application, dialogs, iomanager, layout, scene
    from .noting import note_exceptions

    dialogs.install()
    note_exceptions()
    application.add_namespaces()
    _app = application.qSlicerApplication()
    slicer.app = _app

    from . import mrmlwidgets

    mrmlwidgets.add_to_slicer()
    import slicer.i18n
    import slicer.packaging
    import slicer.parameterNodeWrapper
    import slicer.ScriptedLoadableModule
    import slicer.testing

    app_logic, logics = scene.make_scene(_app)
    _app.begin(app_logic, layout.qSlicerLayoutManager(app_logic), iomanager.qSlicerCoreIOManager())
    for name in scene.LOGICS:
        _app.moduleManager().add(application.qSlicerCoreModule(name, logics[name]))

    from . import scripted

    slicer.qSlicerScriptedLoadableModule = scripted.qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = scripted.qSlicerScriptedLoadableModuleWidget
    slicer.qSlicerApplication = application.qSlicerApplication
    for name in ("Data", "DICOM", "SampleData"):  # can be chosen, and show nothing
        _app.moduleManager().add(application.qSlicerCoreModule(name, None))
    editor = scripted.qSlicerScriptedLoadableModule(HERE / "python" / "SegmentEditor.py")
    editor.instantiate()
    _app.moduleManager().add(editor)
    import DICOMLib

    slicer.dicomDatabase = DICOMLib.ctkDICOMDatabase()
    _kept.update(app_logic=app_logic, logics=logics, keeper=scene.SubjectHierarchyKeeper(slicer.mrmlScene))
    import atexit

    atexit.register(_end)
    return slicer


def _tidy_namespace(slicer: Any) -> None:
    """Bring the names of slicer-core to those of Slicer."""
    for name in slicer.util.__all__:  # slicer-core also puts the functions of slicer.util into slicer itself
        if getattr(slicer, name, None) is getattr(slicer.util, name):
            delattr(slicer, name)
    for name, module in list(sys.modules.items()):
        if name.startswith("slicer_core."):
            short = name.removeprefix("slicer_core.")
            for alias in (short, short.removesuffix("Python") + "Python"):
                sys.modules.setdefault(alias, module)


def _end() -> None:
    """Take everything down in order, so that the process ends without a crash."""
    import slicer

    with contextlib.suppress(Exception):
        reset()
        slicer.app.mainWindow().close()
        slicer.app.processEvents()
        shutil.rmtree(slicer.app.slicerHome, ignore_errors=True)


def load_module(path: str | Path, startup: bool = True) -> Any:
    """Load a scripted module's file as Slicer's factory does, and return its ``slicer.modules.<name>``.

    With ``startup`` the signal ``startupCompleted()`` follows, once for everyone who connected to it so far.
    """
    slicer = start()
    from .scripted import import_file, qSlicerScriptedLoadableModule

    path = Path(path).resolve()
    if path.stem in _loaded:
        raise RuntimeError(f"{path.stem} is loaded; unload or reload it")
    import_file(path)
    module = qSlicerScriptedLoadableModule(path)
    module.instantiate()
    slicer.app.moduleManager().add(module)
    _loaded.append(path.stem)
    module.setup()
    slicer.app.moduleManager().moduleLoaded.emit(path.stem)
    if startup:
        slicer.app.startupCompleted.emit()
        slicer.app.disconnect("startupCompleted()")
    return module


def enter(name: str) -> Any:
    """Show a module's panel, as choosing it in Slicer does, and return its Python widget."""
    global _entered
    import slicer

    module = slicer.util.getModule(name)
    if _entered and _entered != name:
        exit_module()
    widget = module.widgetRepresentation()
    if widget is None:  # one of Slicer's own modules, which have no panel here
        _entered = None
        return None
    slicer.app.mainWindow().panel().setCurrentWidget(widget)
    if _entered != name:
        _entered = name
        widget.enter()
    slicer.app.processEvents()
    return widget.self()


def entered() -> str | None:
    """Return the name of the module whose panel is shown."""
    return _entered


def exit_module() -> None:
    """Leave the module whose panel is shown."""
    global _entered
    import slicer

    if _entered:
        name, _entered = _entered, None
        widget = slicer.util.getModule(name).widgetRepresentation()
        widget.exit()
        slicer.app.mainWindow().panel().setCurrentIndex(0)


def reload(name: str) -> Any:
    """Reload a module's file and panel with Slicer's own ``reloadScriptedModule``; return the new Python widget."""
    import slicer

    slicer.util.reloadScriptedModule(name)
    slicer.app.processEvents()
    return slicer.util.getModuleWidget(name)


def unload(name: str) -> None:
    """Unload a module: its panel is cleaned up and deleted, and its names are gone."""
    import slicer

    if _entered == name:
        exit_module()
    manager = slicer.app.moduleManager()
    module = manager.module(name)
    manager.moduleAboutToBeUnloaded.emit(name)
    module.forget()
    manager.drop(name)
    for attribute in (name + "Instance", name + "Widget"):
        if hasattr(slicer.modules, attribute):
            delattr(slicer.modules, attribute)
    slicer.selfTests.pop(name, None)
    sys.modules.pop(name, None)
    _loaded.remove(name)
    manager.moduleUnloaded.emit(name)
    process_events()


def reset() -> None:
    """Unload the modules, empty the scene and forget notes and answers: what a test starts with."""
    import PyTorchUtils
    import slicer

    from . import pythonqt

    exit_module()
    pythonqt.forget_timers()
    for name in list(reversed(_loaded)):
        unload(name)
    slicer.parameterNodeWrapper.wrapper.disconnectEverything()
    slicer.mrmlScene.Clear(False)
    for name in ("vtkMRMLScriptedModuleNode", "vtkMRMLSegmentEditorNode"):  # singletons, which outlive a closed scene
        for node in slicer.util.getNodesByClass(name):
            slicer.mrmlScene.RemoveNode(node)
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    slicer.app.commandOptions().testingEnabled = False
    slicer.app.settings().clear()
    slicer.app.disconnect("startupCompleted()")
    while slicer.app.overrideCursor():
        slicer.app.restoreOverrideCursor()
    slicer.dicomDatabase.clear()
    PyTorchUtils.state = "installed"
    process_events()
    records.clear()
    answers.clear()


def process_events() -> None:
    """Let Qt do what waits, deletions included."""
    import slicer
    from PySide6.QtCore import QCoreApplication, QEvent

    slicer.app.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    slicer.app.processEvents()


def wait_until(condition: Any, timeout_s: float = 300.0) -> None:
    """Run Qt's event loop until a condition holds, or raise TimeoutError."""
    import slicer

    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"it did not come true in {timeout_s} s: {condition}")
        slicer.app.processEvents()
        time.sleep(0.005)


def render_slice(*arguments: Any, **keywords: Any) -> Any:
    """Draw a slice view without a window (see :func:`slicer_host.rendering.render_slice`)."""
    from .rendering import render_slice as draw

    return draw(*arguments, **keywords)


def can_render() -> bool:
    """Say whether :func:`render_slice` can work here."""
    from .rendering import can_render as can

    return can()


def pixel_of(*arguments: Any, **keywords: Any) -> Any:
    """Return where a position lies in that picture (see :func:`slicer_host.rendering.pixel_of`)."""
    from .rendering import pixel_of as find

    return find(*arguments, **keywords)


def screenshot(*arguments: Any, **keywords: Any) -> Path:
    """Draw a panel to a PNG file (see :func:`slicer_host.rendering.screenshot`)."""
    from .rendering import screenshot as shoot

    return shoot(*arguments, **keywords)
