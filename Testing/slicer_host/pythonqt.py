"""PythonQt's manners over PySide6: Qt properties are attributes, and signals are also connected by their signature.

Slicer's Python reaches Qt through PythonQt, where ``label.text`` is a value and not a method. PySide6 offers something
alike (``from __feature__ import true_property``) but it takes the setters away and is chosen per importing module, so
objects from a ``.ui`` file and from code would differ. Here PySide6's own classes are changed once, for the process:
whatever makes an object, it behaves alike. So the host, too, is written in PythonQt's manner.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtNetwork, QtSvg, QtTest, QtUiTools, QtWidgets

MODULES = (QtCore, QtGui, QtWidgets, QtNetwork, QtSvg, QtUiTools, QtTest)

# shiboken's own __setattr__ refuses to be called for a class with another one, so attributes are set through the C API.
_set_attribute = ctypes.pythonapi.PyObject_GenericSetAttr
_set_attribute.argtypes = [ctypes.py_object, ctypes.py_object, ctypes.py_object]
_set_attribute.restype = ctypes.c_int

_read_property = QtCore.QObject.property
_write_property = QtCore.QObject.setProperty
_dynamic_names = QtCore.QObject.dynamicPropertyNames
_metaobject = QtCore.QObject.metaObject
_children = QtCore.QObject.children
_qt_connect = QtCore.QObject.connect
_qt_disconnect = QtCore.QObject.disconnect

_installed = False
_loading = False
_adapted: set[type] = set()


def install() -> None:
    """Give every Qt class of PySide6 PythonQt's manners (once)."""
    global _installed
    if _installed:
        return
    _installed = True
    classes = {value for module in MODULES for value in vars(module).values() if isinstance(value, type)}
    for module in MODULES:  # PySide6 makes its classes when they are first asked for
        classes |= {value for name in dir(module) if isinstance(value := getattr(module, name, None), type)}
    for cls in sorted(classes, key=lambda c: len(c.__mro__)):
        for value in [cls, *vars(cls).values()]:
            if isinstance(value, enum.EnumType):
                _make_enum_numeric(value)
        if issubclass(cls, QtCore.QObject):
            _adapt(cls)
    base = QtCore.QObject
    base.name = property(lambda self: self.objectName, lambda self, value: self.setObjectName(value))
    base.className = lambda self: _metaobject(self).className()
    base.delete = lambda self: shiboken6.delete(self)
    base.connect = _connect
    base.disconnect = _disconnect
    QtCore.QTimer.singleShot = staticmethod(_single_shot)


def quieten() -> None:
    """Send Qt's messages to the standard error, but for what the offscreen platform says about every window."""

    def write(kind: Any, context: Any, text: str) -> None:
        if "propagateSizeHints" not in text:
            print(text, file=sys.stderr)

    QtCore.qInstallMessageHandler(write)


def stand_in(cls: type) -> type:
    """Declare that a class stands for a C++ one: its objects take no new attributes (its own are set by `private`)."""
    _adapted.add(cls)
    return cls


class qt_property(QtCore.Property):
    """A Qt property with the accessors ``name()`` and ``setName(value)`` of the C++ class that is stood for."""

    def __init__(self, kind: Any, getter: Callable, setter: Callable | None = None, **more: Any) -> None:
        super().__init__(kind, getter, setter, **more)
        self.setter_function = setter


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """While Qt's loader reads a ``.ui`` file."""
    global _loading
    _loading = True
    try:
        yield
    finally:
        _loading = False


def wire(signal: BoundSignal, target: Any) -> None:
    """Connect inside a stand-in, by a method or a signal of its own, so that the connection does not keep it alive."""
    signal._instance.connect(target._instance if isinstance(target, BoundSignal) else target)


def private(self: Any, **values: Any) -> None:
    """Set attributes on a stand-in, past the rule that C++ objects take none."""
    for name, value in values.items():
        _set_attribute(self, name, value)


def _adapt(cls: type) -> None:
    _adapted.add(cls)
    meta = cls.staticMetaObject
    for index in range(meta.propertyCount()):
        qt_prop = meta.property(index)
        name = qt_prop.name()
        declared_here = index >= meta.propertyOffset() or name in vars(cls)
        # PythonQt leaves this one out, too: it would hide the static function of the same name.
        if declared_here and not (name == "singleShot" and issubclass(cls, QtCore.QTimer)):
            setattr(cls, name, _as_attribute(name, vars(cls).get(name), qt_prop))
    cls.__setattr__ = _setattr
    cls.__getattribute__ = _make_getattribute(cls.__getattribute__)
    cls.__getattr__ = _getattr


def _as_attribute(name: str, getter: Any, qt_prop: Any) -> property:
    setter_name = "set" + name[0].upper() + name[1:]
    type_name = qt_prop.typeName()

    def get(self: Any) -> Any:
        if getter is not None:
            try:
                return getter(self)
            except TypeError:
                pass
        return _read_property(self, name)

    def put(self: Any, value: Any) -> None:
        setter = getattr(self, setter_name, None)
        if setter is not None:
            try:
                setter(value)
                return
            except TypeError:  # PythonQt converts more than PySide6 does: leave it to Qt
                pass
        if not _write_property(self, name, value):
            raise AttributeError(
                f"property '{name}' of type '{type_name}' does not take a {type(value).__name__} ({value!r})"
            )

    return property(get, put if qt_prop.isWritable() else None)


def _setattr(self: Any, name: str, value: Any) -> None:
    cls = type(self)
    if isinstance(value, QtCore.SignalInstance) or name.startswith("__"):  # what PySide6 itself keeps on an object
        _set_attribute(self, name, value)
        return
    if (
        _loading and isinstance(value, QtCore.QObject) and value.objectName == name
    ):  # its .ui loader sets the children as attributes, which PythonQt's does not
        return
    for owner in cls.__mro__:
        if name in vars(owner):
            found = vars(owner)[name]
            if isinstance(found, property | qt_property):
                setter = found.fset if isinstance(found, property) else found.setter_function
                if setter is None:
                    raise AttributeError(f"property '{name}' of a {cls.__name__} object cannot be written")
                setter(self, value)
                return
            if cls in _adapted:
                raise AttributeError(f"'{name}' of a {cls.__name__} object is no property and cannot be overwritten")
    if name in _dynamic(self):
        _write_property(self, name, value)
    elif cls in _adapted:
        raise AttributeError(
            f"a {cls.__name__} object has no property '{name}', and C++ objects take no new attributes"
        )
    else:
        _set_attribute(self, name, value)  # a Python subclass may have attributes of its own


def _make_getattribute(original: Callable) -> Callable:
    # Functions both static and not are looked up in C, past the class's dictionary, by each class in its own way.
    def get(self: Any, name: str) -> Any:
        if name == "connect":
            return functools.partial(_connect, self)
        if name == "disconnect":
            return functools.partial(_disconnect, self)
        value = beneath(self, name)
        return BoundSignal(self, value) if type(value) is QtCore.SignalInstance else value

    # A class that has none of its own inherits what was made for the class that it is derived from.
    beneath = get.beneath = getattr(original, "beneath", original)
    return get


def _getattr(self: Any, name: str) -> Any:
    if not name.startswith("__") and shiboken6.isValid(self):
        if name.endswith("_") and hasattr(type(self), name[:-1]):
            return getattr(self, name[:-1])  # exec_, print_
        if name in _dynamic(self):
            return _read_property(self, name)
        for child in _children(self):
            if child.objectName == name:
                return child
    raise AttributeError(f"a {type(self).__name__} object has no attribute named '{name}'")


def _dynamic(self: Any) -> list[str]:
    return [bytes(name.data()).decode() for name in _dynamic_names(self)]


def _make_enum_numeric(cls: Any) -> None:
    """PythonQt's enums are integers; PySide6's are Python enums, most of them not comparable with an integer."""
    if issubclass(cls, int):
        return
    cls.__int__ = cls.__index__ = lambda self: self.value
    same = cls.__eq__
    cls.__eq__ = lambda self, other: self.value == other if type(other) is int else same(self, other)


# Signals -------------------------------------------------------------------------------------------------------------


class BoundSignal:
    """The signal of an object. It connects as PythonQt does: the function is kept alive, and leaving never raises."""

    def __init__(self, sender: Any, instance: Any, overload: Any = None) -> None:
        self._sender, self._instance, self._overload = sender, instance, overload

    def connect(self, function: Any, *_: Any) -> bool:
        handler = function._instance if isinstance(function, BoundSignal) else function
        self._instance.connect(handler)
        _keep(self._sender, _Connection(self._name(), self._overload, function, handler))
        return True

    def disconnect(self, function: Any = None) -> bool:
        return _disconnect(self._sender, self._name(), *([] if function is None else [function]))

    def emit(self, *values: Any) -> None:
        self._instance.emit(*values)

    __call__ = emit

    def __getitem__(self, types: Any) -> BoundSignal:
        return BoundSignal(self._sender, self._instance[types], types)

    def __repr__(self) -> str:
        return repr(self._instance)

    def _name(self) -> str:
        # PySide6 says it only in its description.
        return re.search(r"SignalInstance (\w+)\(", repr(self._instance)).group(1)


@dataclass
class _Connection:
    """A connection that was made from Python. It does not hold the sender, which goes when nobody else holds it."""

    signal: str  # its name
    overload: Any  # which of the signals of that name, as PySide6 is asked for it
    function: Any
    handler: Any  # what was connected in the function's place
    signature: str = ""  # where it was connected by it


_connections: dict[int, list[_Connection]] = {}


def _keep(sender: Any, connection: _Connection) -> None:
    key = shiboken6.getCppPointer(sender)[0]
    if key not in _connections:
        _connections[key] = []
        _qt_connect(sender, QtCore.SIGNAL("destroyed()"), lambda: _connections.pop(key, None))
    _connections[key].append(connection)


def _connect(sender: Any, signal: Any, *target: Any) -> Any:
    """Stand for PythonQt's connect: ``b.connect("clicked()", f)``, or with a receiver and a slot's signature.

    An unknown signal or slot raises here; PythonQt writes a line to the log and returns False.
    """
    if isinstance(signal, QtCore.QObject):  # from inside PySide6: its signals and timers come through here
        return _qt_connect(signal, *target)
    if not isinstance(signal, str) or not target:
        raise TypeError("connect takes a signal's signature and a callable, or a receiver and a slot's signature")
    target = tuple(t for t in target if not isinstance(t, QtCore.Qt.ConnectionType))
    function = getattr(target[0], _name_of(target[1])) if len(target) == 2 else target[0]
    if not callable(function):
        raise TypeError(f"{function!r} cannot be called")
    bound, arity = _signal(sender, signal)
    takes = min(arity, _positional(function))
    handler = lambda *args: function(*args[:takes])  # noqa: E731 (PySide6 counts a lambda's arguments as it should)
    bound._instance.connect(handler)
    _keep(sender, _Connection(_name_of(signal), bound._overload, function, handler, _normal(signal)))
    return True


def _disconnect(sender: Any, signal: Any = None, *target: Any) -> bool:
    """Stand for PythonQt's disconnect: one callable, all of a signal, or all; says whether anything was connected."""
    if isinstance(signal, QtCore.QObject):  # from inside PySide6, likewise
        return _qt_disconnect(signal, *target)
    if not shiboken6.isValid(sender):  # a deleted object has no connections
        return False
    known = _connections.get(shiboken6.getCppPointer(sender)[0], [])
    function = getattr(target[0], _name_of(target[1])) if len(target) == 2 else target[0] if target else None
    signature = _normal(signal) if signal and "(" in signal else ""
    gone = [
        one
        for one in known
        if (signal is None or one.signal == _name_of(signal))
        and (not signature or not one.signature or one.signature == signature)
        and (function is None or one.function == function)
    ]
    for one in gone:
        bound = getattr(sender, one.signal)
        (bound if one.overload is None else bound[one.overload])._instance.disconnect(one.handler)
        known.remove(one)
    return bool(gone)


_pending: set[Any] = set()


def _single_shot(milliseconds: int, *target: Any) -> None:
    """Stand for QTimer.singleShot: what the function raises is printed, and not raised where events are processed."""
    function = getattr(target[0], _name_of(target[1])) if len(target) == 2 else target[0]
    owner = getattr(function, "__self__", None)
    timer = QtCore.QTimer()
    timer.setSingleShot(True)

    def fire() -> None:
        _pending.discard(timer)
        timer.deleteLater()
        if isinstance(owner, QtCore.QObject) and not shiboken6.isValid(owner):
            return  # Qt drops the call when the receiver is gone
        try:
            function()
        except Exception:
            sys.excepthook(*sys.exc_info())

    timer.timeout.connect(fire)
    _pending.add(timer)
    timer.start(milliseconds)


def forget_timers() -> None:
    """Drop the single shots that have not fired (the host calls this between tests)."""
    for timer in _pending:
        timer.stop()
        timer.deleteLater()
    _pending.clear()


def _name_of(slot: str) -> str:
    return slot.lstrip("12").partition("(")[0]


def _normal(signature: str) -> str:
    text = bytes(QtCore.QMetaObject.normalizedSignature(signature.lstrip("12")).data()).decode()
    return text if "(" in text else text + "()"


def _signal(sender: Any, signature: str) -> tuple[Any, int]:
    """Return the bound signal of a signature, and how many of its arguments the signature asks for."""
    signature = _normal(signature)
    name, _, types = signature[:-1].partition("(")
    meta = _metaobject(sender)
    methods = [meta.method(i) for i in range(meta.methodCount())]
    known = [
        bytes(m.methodSignature().data()).decode()
        for m in methods
        if m.methodType() == QtCore.QMetaMethod.MethodType.Signal and bytes(m.name().data()).decode() == name
    ]
    # Signals of the stand-ins carry VTK objects as Python objects.
    plain = re.sub(r"\bvtk\w+\*|\bQVariant\b", "PyObject", signature)
    chosen = signature if signature in known else plain
    if not known or (types and chosen not in known):
        raise RuntimeError(
            f"a {type(sender).__name__} object has no signal {signature}; it has {known or 'none so named'}"
        )
    bound = getattr(sender, name)
    if types and len(known) > 1:
        bound = bound[chosen[len(name) + 1 : -1]]
    return bound, len(types.split(",")) if types else 0


def _positional(function: Callable) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 99
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 99
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
