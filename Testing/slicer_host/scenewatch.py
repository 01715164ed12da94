"""Observing a scene and its nodes for a widget, and no longer than the widget lives."""

from __future__ import annotations

import weakref
from typing import Any

from shiboken6 import isValid


def weakly(method: Any) -> Any:
    """Return an observer that does not keep the method's widget alive."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: Any) -> None:
        found = reference()
        if found is not None and isValid(found.__self__):
            found(*arguments)

    if hasattr(method, "CallDataType"):
        call.CallDataType = method.CallDataType
    return call


class Watch:
    """Observations of a scene and its nodes, which end with the widget that they are for."""

    def __init__(self) -> None:
        self.scene: Any = None
        self.tags: list[int] = []
        self.nodes: dict[str, tuple[Any, int]] = {}

    def release(self) -> None:
        for tag in self.tags:
            self.scene.RemoveObserver(tag)
        for node, tag in self.nodes.values():
            node.RemoveObserver(tag)
        self.scene, self.tags, self.nodes = None, [], {}
