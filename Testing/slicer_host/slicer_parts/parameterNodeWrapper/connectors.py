"""Which widget shows which type, and how."""

from __future__ import annotations

import enum
import logging
import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ctk
import qt
import slicer

from .storage import Choice, Maximum, Minimum, WithinRange, first, is_union, split


@dataclass
class Decimals:
    """Annotation: how many decimals a spin box shows."""

    value: int


@dataclass
class SingleStep:
    """Annotation: the step of a spin box or slider."""

    value: float


class GuiConnector:
    """A widget as a value: read, write, and a call when the person changes it."""

    def __init__(self, widget: Any, signal: Any, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self._widget, self._signal, self.read, self.write = widget, signal, read, write
        self._callback: Callable | None = None

    def widget(self) -> Any:
        return self._widget

    def onChanged(self, callback: Callable | None) -> None:
        if self._signal is not None and callback is not None and self._callback is None:
            self._signal.connect(self._changed)
        elif self._signal is not None and callback is None and self._callback is not None:
            self._signal.disconnect(self._changed)
        self._callback = callback

    def _changed(self, *_: Any) -> None:
        if self._callback is not None:
            self._callback()


def createGuiConnector(widget: Any, datatype: Any) -> GuiConnector:
    """Connect a widget to a type, or raise RuntimeError where Slicer has no connector for the two."""
    plain, annotations = split(datatype)
    kind = type(widget)
    numbers = (
        qt.QDoubleSpinBox,
        ctk.ctkSliderWidget,
        ctk.ctkDoubleSpinBox,
        slicer.qMRMLSliderWidget,
        slicer.qMRMLSpinBox,
    )
    if plain is bool and kind in (qt.QCheckBox, ctk.ctkCheckBox):
        return _attribute(widget, widget.stateChanged, "checked")
    if plain is bool and kind in (qt.QPushButton, ctk.ctkCheckablePushButton):
        if not widget.checkable:
            logging.warning(f"the button {widget.name} is made checkable to show a bool")
            widget.checkable = True
        return _attribute(widget, widget.toggled, "checked")
    if plain is int and kind in (qt.QSlider, qt.QSpinBox):
        _bound(widget, annotations, kind is qt.QSlider, -(2**31), 2**31 - 1)
        return _attribute(widget, widget.valueChanged, "value")
    if plain in (int, float) and kind in numbers:
        decimals = 0 if plain is int else getattr(first(annotations, Decimals), "value", None)
        if decimals is not None:
            widget.decimals = decimals
        bounded = kind in (ctk.ctkSliderWidget, slicer.qMRMLSliderWidget)
        _bound(widget, annotations, bounded, float("-inf"), float("inf"))
        return _attribute(widget, widget.valueChanged, "value", plain if plain is int else None)
    if kind in (qt.QComboBox, ctk.ctkComboBox):
        if plain in (int, float, str, bool):
            choice = first(annotations, Choice)
            if choice is None:
                raise RuntimeError("a combo box shows a number or a text only with the Choice annotation")
            return _choices(widget, [(str(c), c) for c in choice.choices])
        if is_union(plain) or not isinstance(plain, type):
            raise TypeError(f"a combo box cannot show {datatype}: it is no class")
        if issubclass(plain, enum.Enum):
            label = getattr(plain, "label", lambda member: member.name)
            return _choices(widget, [(label(member), member) for member in plain])
    if plain is str and kind is qt.QLineEdit:
        return _attribute(widget, widget.textChanged, "text")
    if plain is str and kind is qt.QLabel:
        return _attribute(widget, None, "text")
    if plain is str and kind is qt.QTextEdit:
        return GuiConnector(widget, widget.textChanged, widget.toPlainText, widget.setPlainText)
    if isinstance(plain, type) and issubclass(plain, pathlib.PurePath):
        if kind is ctk.ctkPathLineEdit:
            return _attribute(widget, widget.currentPathChanged, "currentPath", plain, str)
        if kind is ctk.ctkDirectoryButton:
            return _attribute(widget, widget.directoryChanged, "directory", plain, str)
    if kind is slicer.qMRMLNodeComboBox and (node_types := _node_types(plain)):
        widget.nodeTypes = node_types  # as the real connector does: the type decides, not the .ui file
        return GuiConnector(widget, widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Slicer has no connector of a {kind.__name__} to {datatype}")


def _attribute(
    widget: Any, signal: Any, name: str, read: Callable | None = None, write: Callable | None = None
) -> GuiConnector:
    def get() -> Any:
        value = getattr(widget, name)
        return read(value) if read else value

    def put(value: Any) -> None:
        value = write(value) if write else read(value) if read else value
        if getattr(widget, name) != value:  # writing the same text would move the cursor
            setattr(widget, name, value)

    return GuiConnector(widget, signal, get, put)


def _choices(widget: Any, entries: list[tuple[str, Any]]) -> GuiConnector:
    widget.clear()
    for label, _ in entries:
        widget.addItem(label)
    values = [value for _, value in entries]

    def put(value: Any) -> None:
        if value not in values:
            raise ValueError(f"{value!r} is none of the choices {values}")
        widget.currentIndex = values.index(value)

    return GuiConnector(widget, widget.currentIndexChanged, lambda: values[widget.currentIndex], put)


def _bound(widget: Any, annotations: list, required: bool, lowest: float, highest: float) -> None:
    step = first(annotations, SingleStep)
    if step is not None:
        widget.singleStep = step.value
    both = first(annotations, WithinRange)
    low, high = first(annotations, Minimum), first(annotations, Maximum)
    minimum = both.minimum if both else low.minimum if low else None
    maximum = both.maximum if both else high.maximum if high else None
    if required and (minimum is None or maximum is None):
        raise RuntimeError(f"a {type(widget).__name__} shows only a number with a minimum and a maximum")
    widget.setRange(lowest if minimum is None else minimum, highest if maximum is None else maximum)


def _node_types(plain: Any) -> list[str]:
    parts = [split(p)[0] for p in getattr(plain, "__args__", [])] if is_union(plain) else [plain]
    parts = [p for p in parts if p is not type(None)]
    if parts and all(isinstance(p, type) and issubclass(p, slicer.vtkMRMLNode) for p in parts):
        return [p().GetClassName() for p in parts]
    return []
