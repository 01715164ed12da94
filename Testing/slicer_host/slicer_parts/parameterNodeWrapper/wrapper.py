"""The decorator that makes a class of annotations a view of a parameter node."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt
import slicer
import vtk
from shiboken6 import isValid

from .connectors import GuiConnector, createGuiConnector
from .storage import Default, Kind, first, kind_of, split

SlicerParameterNamePropertyName = "SlicerParameterName"

# Wrappers that are connected to a panel. Without a reference from outside, Python's garbage collector would take a
# wrapper and its observer away together, though the node still calls the observer.
_connected: set[Any] = set()


def disconnectEverything() -> None:
    """End the connections that modules left behind (the host calls this between tests)."""
    for wrapper in list(_connected):
        for tag in list(wrapper._guis):
            wrapper.disconnectGui(tag)


@dataclass
class _Parameter:
    name: str
    kind: Kind
    default: Default
    datatype: Any


class _Methods:
    """What the decorator adds to the class."""

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        if parameterNode is None:
            raise AssertionError("a parameter node is needed")
        self.parameterNode = parameterNode
        self._prefix = prefix or ""
        self._guis: dict[int, tuple[dict[str, GuiConnector], int]] = {}
        self._nextTag = 0
        self._updatingGui = False
        for parameter in self.allParameters.values():
            name = self._prefix + parameter.name
            if not parameter.kind.isIn(parameterNode, name):
                parameter.kind.write(parameterNode, name, parameter.default.value)
            parameter.kind.read(parameterNode, name)  # a scene with an enum's old name is refused here

    def _parameter(self, name: str) -> _Parameter:
        if name not in self.allParameters:
            raise ValueError(f"there is no parameter {name!r}; there are {list(self.allParameters)}")
        return self.allParameters[name]

    def getValue(self, name: str) -> Any:
        kind, place = self._parameter(name).kind, self._prefix + name
        if not kind.isIn(self.parameterNode, place):
            kind.write(self.parameterNode, place, self._parameter(name).default.value)
        return kind.read(self.parameterNode, place)

    def setValue(self, name: str, value: Any) -> None:
        self._parameter(name).kind.write(self.parameterNode, self._prefix + name, value)

    def default(self, name: str) -> Default:
        return self._parameter(name).default

    def isCached(self, name: str) -> bool:
        """Say True: all types that the host stores are cached in Slicer (here every read goes to the node)."""
        self._parameter(name)
        return True

    @classmethod
    def dataType(cls, name: str) -> Any:
        if name not in cls.allParameters:
            raise ValueError(f"there is no parameter {name!r}; there are {list(cls.allParameters)}")
        return cls.allParameters[name].datatype

    def connectGui(self, gui: Any) -> int:
        widgets = gui.findChildren(qt.QWidget) if isinstance(gui, qt.QWidget) else vars(gui).values()
        named = {w.property(SlicerParameterNamePropertyName): w for w in widgets}
        return self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        for name in mapping:
            self._parameter(name)
        connectors = {
            name: target if isinstance(target, GuiConnector) else createGuiConnector(target, self.dataType(name))
            for name, target in mapping.items()
        }
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(self._fromGui(name, connector))
        tag, self._nextTag = self._nextTag, self._nextTag + 1
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._toGui())
        self._guis[tag] = (connectors, observer)
        _connected.add(self)
        return tag

    def disconnectGui(self, tag: int | None) -> None:
        connectors, observer = self._guis.pop(tag, ({}, None))
        for connector in connectors.values():
            connector.onChanged(None)
        if observer is not None:
            self.RemoveObserver(observer)
        if not self._guis:
            _connected.discard(self)

    def _fromGui(self, name: str, connector: GuiConnector) -> Callable[[], None]:
        def changed() -> None:
            with slicer.util.NodeModify(self):
                if not self._updatingGui:
                    self.setValue(name, connector.read())

        return changed

    def _toGui(self) -> None:
        if self._updatingGui:
            return
        self._updatingGui = True
        try:
            with slicer.util.NodeModify(self):
                for connectors, _ in list(self._guis.values()):
                    for name, connector in connectors.items():
                        if isValid(connector.widget()):  # the panel may be deleted before its connection is
                            connector.write(self.getValue(name))
        finally:
            self._updatingGui = False

    # As the node itself, so that it can be observed and modified in one go

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: int) -> Any:
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event: Any, callback: Callable, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def parameterNodeWrapper(classtype: type | None = None) -> Any:
    """Turn a class of annotations into a typed view of a parameter node."""
    return _process if classtype is None else _process(classtype)


def _process(classtype: type) -> type:
    parameters = {}
    for name, datatype in typing.get_type_hints(classtype, include_extras=True).items():
        try:
            kind = kind_of(datatype)
        except Exception as error:
            raise Exception(f"the parameter {name} of {classtype.__name__} cannot be stored: {error}") from error
        if hasattr(classtype, name):
            default = Default(getattr(classtype, name))
        else:
            default = first(split(datatype)[1], Default) or Default(kind.default)
        parameters[name] = _Parameter(name, kind, default, datatype)
        setattr(classtype, name, _as_property(name))
    classtype.allParameters = parameters
    classtype._is_parameter_node_wrapper = True
    for name, member in vars(_Methods).items():
        if name == "__init__" or not name.startswith("__"):
            if name != "__init__" and hasattr(classtype, name):
                raise ValueError(f"{name!r} is a name of the wrapper itself and cannot be a parameter's or a method's")
            setattr(classtype, name, member)
    return classtype


def _as_property(name: str) -> property:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))


def isParameterNodeWrapper(thing: Any) -> bool:
    """Say whether a class or an object was made by :func:`parameterNodeWrapper`."""
    return getattr(thing, "_is_parameter_node_wrapper", False)


def findChildWidgetForParameter(widget: Any, parameter: str) -> Any:
    """Return the child that shows a parameter, or None."""
    for child in widget.findChildren(qt.QWidget):
        if child.property(SlicerParameterNamePropertyName) == parameter:
            return child
    return None
