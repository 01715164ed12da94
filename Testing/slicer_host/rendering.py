"""Pictures: what a slice view shows, drawn by MRML's displayable managers without a window, and panels as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QPalette
from vtk.util.numpy_support import vtk_to_numpy

MANAGERS = ("vtkMRMLSegmentationsDisplayableManager2D", "vtkMRMLMarkupsDisplayableManager")


def can_render() -> bool:
    """Say whether VTK can draw here without a window (it needs EGL or OSMesa)."""
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    return bool(window.SupportsOpenGL())


def render_slice(
    view: Any = "Red", size: tuple[int, int] = (400, 400), managers: tuple[str, ...] = MANAGERS
) -> np.ndarray:
    """Draw a slice view and return it as an RGB array, its first row at the top.

    ``view`` is the name of a view, a slice node or a slice logic; ``size`` is its width and height. The view keeps its
    field of view in millimetres per pixel along the height.
    """
    logic = _slice_logic(view)
    node = logic.GetSliceNode()
    before = node.GetDimensions()[:2], node.GetFieldOfView()
    logic.ResizeSliceNode(*size)
    height = before[1][1]
    node.SetFieldOfView(height * size[0] / size[1], height, before[1][2])
    logic.UpdatePipeline()
    try:
        return _draw(logic, node, size, managers)
    finally:
        logic.ResizeSliceNode(*before[0])
        node.SetFieldOfView(*before[1])


def _slice_logic(view: Any) -> Any:
    if isinstance(view, str):
        widget = slicer.app.layoutManager().sliceWidget(view)
        if widget is None:
            raise ValueError(
                f"there is no slice view {view!r}; there are {slicer.app.layoutManager().sliceViewNames()}"
            )
        return widget.sliceLogic()
    if view.IsA("vtkMRMLSliceLogic"):
        return view
    return slicer.app.applicationLogic().GetSliceLogic(view)


def _draw(logic: Any, node: Any, size: tuple[int, int], managers: tuple[str, ...]) -> np.ndarray:
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(*size)
    renderer = vtk.vtkRenderer()
    window.AddRenderer(renderer)
    interactor = vtk.vtkGenericRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    mapper, actor = vtk.vtkImageMapper(), vtk.vtkActor2D()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    actor.SetMapper(mapper)
    logic.UpdateImageData()
    connection = logic.GetImageDataConnection()
    if connection is not None and logic.HasInputs():
        mapper.SetInputConnection(connection)
        renderer.AddViewProp(actor)
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
    for name in managers:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    group = factory.InstantiateDisplayableManagers(renderer)
    group.UnRegister(None)
    group.SetMRMLDisplayableNode(node)
    try:
        window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(window)
        grab.SetInputBufferTypeToRGB()
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1].copy()
    finally:
        group.SetMRMLDisplayableNode(None)
        group.SetRenderer(None)
        window.Finalize()


def pixel_of(view: Any, ras: Any, size: tuple[int, int] = (400, 400)) -> tuple[int, int]:
    """Return the row and column of :func:`render_slice`'s picture at which a position in RAS lies."""
    node = _slice_logic(view).GetSliceNode()
    scale = node.GetFieldOfView()[1] / size[1]
    to_ras = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
    x, y = (np.linalg.inv(to_ras) @ np.append(np.asarray(ras, float), 1.0))[:2]
    return round(size[1] / 2 - y / scale - 0.5), round(size[0] / 2 + x / scale - 0.5)


def _dark() -> QPalette:
    colours = {
        "Window": "#323232",
        "WindowText": "#f0f0f0",
        "Base": "#242424",
        "AlternateBase": "#2d2d2d",
        "Text": "#f0f0f0",
        "Button": "#404040",
        "ButtonText": "#f0f0f0",
        "BrightText": "#ff5050",
        "Link": "#5aa5ff",
        "Highlight": "#2f6fb3",
        "HighlightedText": "#ffffff",
        "ToolTipBase": "#323232",
        "ToolTipText": "#f0f0f0",
        "PlaceholderText": "#9a9a9a",
    }
    palette = QPalette()
    for role, colour in colours.items():
        palette.setColor(getattr(QPalette.ColorRole, role), QColor(colour))
    for role in ("WindowText", "Text", "ButtonText"):
        palette.setColor(QPalette.ColorGroup.Disabled, getattr(QPalette.ColorRole, role), QColor("#8a8a8a"))
    return palette


def _light() -> QPalette:
    colours = {
        "Window": "#efefef",
        "WindowText": "#101010",
        "Base": "#ffffff",
        "AlternateBase": "#f5f5f5",
        "Text": "#101010",
        "Button": "#e4e4e4",
        "ButtonText": "#101010",
        "BrightText": "#c00000",
        "Link": "#0057ae",
        "Highlight": "#308cc6",
        "HighlightedText": "#ffffff",
        "ToolTipBase": "#ffffdc",
        "ToolTipText": "#101010",
        "PlaceholderText": "#808080",
    }
    palette = QPalette()
    for role, colour in colours.items():
        palette.setColor(getattr(QPalette.ColorRole, role), QColor(colour))
    for role in ("WindowText", "Text", "ButtonText"):
        palette.setColor(QPalette.ColorGroup.Disabled, getattr(QPalette.ColorRole, role), QColor("#909090"))
    return palette


def palette_of(name: str) -> QPalette:
    """Return the light or the dark palette."""
    return {"light": _light, "dark": _dark}[name]()


def screenshot(
    widget: Any, path: str | Path, width: int = 400, palette: str = "light", height: int | None = None
) -> Path:
    """Draw a widget, at its whole height, to a PNG file. ``widget`` may be a module's name."""
    if isinstance(widget, str):
        widget = slicer.util.getModule(widget).widgetRepresentation()
    app, before = slicer.app, slicer.app.palette()
    shown = widget.isVisible()
    sizes = widget.minimumSize, widget.maximumSize, widget.size
    app.setPalette(palette_of(palette))
    try:
        widget.setFixedWidth(width)
        widget.show()
        app.processEvents()
        tall = height or max(_natural_height(widget, width), 50)
        widget.setFixedHeight(tall)
        app.processEvents()
        widget.resize(QSize(width, tall))
        app.processEvents()
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if not widget.grab().save(str(path)):
            raise OSError(f"{path} could not be written")
    finally:
        widget.setMinimumSize(sizes[0])
        widget.setMaximumSize(sizes[1])
        widget.resize(sizes[2])
        widget.setVisible(shown)
        app.setPalette(before)
        app.processEvents()
    return Path(path)


def _natural_height(widget: Any, width: int) -> int:
    layout = widget.layout()
    if layout is not None:
        layout.activate()
        if layout.hasHeightForWidth():
            return layout.totalHeightForWidth(width)
    return widget.sizeHint.height()
