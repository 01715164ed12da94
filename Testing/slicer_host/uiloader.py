"""Reads ``.ui`` files with Qt's own loader, making the stand-ins for CTK's and MRML's widgets."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools

from . import pythonqt


class QUiLoader(QtUiTools.QUiLoader):
    """Stands for Slicer's loader, which knows the widgets of CTK and MRML through Designer plugins.

    An unknown widget class raises; Qt would put a QWidget in its place and write a line to the log.
    """

    def load(self, device: Any, parent: Any = None) -> Any:
        """Load a ``.ui`` file and return its top-level widget."""
        if isinstance(device, str):
            device = QtCore.QFile(device)
        if not device.isOpen():
            device.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        tree = ElementTree.fromstring(bytes(device.readAll().data()))
        connections = _take_connections(tree)
        enums = _take_enums(tree)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        pythonqt.private(self, faults=[], made=[])
        with pythonqt.loading():
            top = super().load(buffer, parent)
        if self.faults:
            raise RuntimeError("; ".join(self.faults))
        if top is None:
            raise RuntimeError(f"Qt cannot read the .ui file: {self.errorString()}")

        def named(name: str) -> Any:
            found = top if top.objectName == name else top.findChild(QtCore.QObject, name)
            if found is None:
                raise RuntimeError(f"the .ui file connects or sets {name!r}, which it does not hold")
            return found

        for name, key, value in enums:
            setattr(named(name), key, value)
        for sender, signal, receiver, slot in connections:
            if not callable(getattr(named(receiver), slot.partition("(")[0], None)):
                raise RuntimeError(f"the .ui file connects to {receiver}'s slot {slot}, which does not exist")
            named(sender).connect(signal, named(receiver), slot)
        return top

    def createWidget(self, className: str, parent: Any = None, name: str = "") -> Any:
        """Make one widget (called by Qt)."""
        cls = widget_class(className)
        try:
            if cls is not None:
                widget = cls(parent)
                widget.setObjectName(name)
            elif className in self.availableWidgets() or className in ("Line", "QAxWidget"):
                widget = super().createWidget(className, parent, name)
            else:
                self.faults.append(f"the .ui file holds a {className} ({name}), for which the host has no stand-in")
                widget = super().createWidget("QWidget", parent, name)
        except Exception as error:
            self.faults.append(f"{className} ({name}) could not be made: {error!r}")
            raise
        self.made.append(widget)  # Qt's loader does not keep the Python side of a widget without a parent
        return widget


def widget_class(name: str) -> Any:
    """Return the stand-in of a CTK or MRML widget class, or None."""
    import ctk
    import slicer

    if name.startswith("ctk"):
        return getattr(ctk, name, None)
    return getattr(slicer, name, None) if name.startswith(("qMRML", "qSlicer")) else None


def _take_connections(tree: Any) -> list[tuple[str, str, str, str]]:
    """Take out the connections that carry MRML objects: Qt's own loader knows signals of C++ types only."""
    taken = []
    for parent in tree.iter("connections"):
        for node in list(parent.findall("connection")):
            entry = tuple(node.findtext(key, "") for key in ("sender", "signal", "receiver", "slot"))
            if "vtk" in entry[1] + entry[3]:
                taken.append(entry)
                parent.remove(node)
    return taken


def _take_enums(tree: Any) -> list[tuple[str, str, Any]]:
    """Take out the properties whose values are enums of CTK and MRML classes, which no meta-object here knows."""
    taken = []
    for widget in tree.iter("widget"):
        for node in list(widget.findall("property")):
            for kind in ("enum", "set"):
                text = node.findtext(kind, "")
                if text.startswith(("ctk", "qMRML", "qSlicer")):
                    value = 0
                    for part in text.split("|"):
                        owner, _, member = part.strip().rpartition("::")
                        value |= int(getattr(widget_class(owner.split("::")[0]), member))
                    taken.append((widget.get("name"), node.get("name"), value))
                    widget.remove(node)
    return taken
