"""How each type lies in the parameter node, and which values it takes."""

from __future__ import annotations

import enum
import pathlib
import types
import typing
from collections.abc import Callable, MutableSequence
from typing import Any

import slicer


class Default:
    """Annotation: the value that a parameter starts with."""

    def __init__(self, value: Any = None, *, generator: Callable | None = None) -> None:
        self._made, self._generator = value, generator

    @property
    def value(self) -> Any:
        return self._generator() if self._generator else self._made


class Validator:
    """Annotation: a rule for values, whose ``validate`` raises."""

    def validate(self, value: Any) -> None:
        raise NotImplementedError


class WithinRange(Validator):
    """Values from the minimum to the maximum, both included."""

    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} lies outside {self.minimum} to {self.maximum}")


class Minimum(Validator):
    """Values from the minimum on."""

    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"{value} lies below {self.minimum}")


class Maximum(Validator):
    """Values up to the maximum."""

    def __init__(self, maximum: float) -> None:
        self.maximum = maximum

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"{value} lies above {self.maximum}")


class Choice(Validator):
    """One of some values."""

    def __init__(self, choices: Any) -> None:
        self.choices = choices

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"{value!r} is none of {self.choices}")


class Exclude(Validator):
    """None of some values."""

    def __init__(self, excludedValues: Any) -> None:
        self.excludedValues = excludedValues

    def validate(self, value: Any) -> None:
        if value in self.excludedValues:
            raise ValueError(f"{value!r} is excluded")


def split(annotated: Any) -> tuple[Any, list]:
    """Return a type without its annotations, and the annotations."""
    if typing.get_origin(annotated) is typing.Annotated:
        plain, *annotations = typing.get_args(annotated)
        return plain, annotations
    return annotated, []


def first(annotations: list, kind: type) -> Any:
    """Return the first annotation of a kind, or None."""
    return next((a for a in annotations if isinstance(a, kind)), None)


def is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


class Kind:
    """One stored type. ``text`` and ``value`` are all that the simple types differ in."""

    optional = False  # may be None

    def __init__(self, accepts: Any, default: Any, validators: list) -> None:
        self.accepts, self.default, self.validators = accepts, default, validators

    def check(self, value: Any) -> None:
        if value is None:
            if not self.optional:
                raise ValueError("None is no value of this parameter")
        elif not isinstance(value, self.accepts):
            raise TypeError(f"{value!r} is a {type(value).__name__}, not a {self.accepts}")
        for rule in self.validators:
            rule.validate(value)

    def takes(self, kind: type) -> bool:
        """Say whether values of a type are stored by this kind, in a union."""
        return issubclass(kind, self.accepts)

    def text(self, value: Any) -> str:
        return str(value)

    def value(self, text: str) -> Any:
        return text

    def isIn(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(name))

    def write(self, node: Any, name: str, value: Any) -> None:
        self.check(value)
        node.SetParameter(name, self.text(value))

    def read(self, node: Any, name: str) -> Any:
        return self.value(node.GetParameter(name))

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)


class NumberKind(Kind):
    """int and float, as Python writes them."""

    def __init__(self, kind: type, validators: list) -> None:
        super().__init__((int, float) if kind is float else int, 0, validators)
        self.value = kind


class BoolKind(Kind):
    """``True`` or ``False``."""

    def value(self, text: str) -> bool:
        return text == "True"


class PathKind(Kind):
    """A path as text."""

    def __init__(self, kind: type, validators: list) -> None:
        super().__init__(kind, kind(), validators)
        self.value = kind


class EnumKind(Kind):
    """An enum's member by its name."""

    def text(self, value: Any) -> str:
        return value.name

    def value(self, text: str) -> Any:
        if text not in self.accepts.__members__:
            raise ValueError(f"the parameter node holds {text!r}, which is no name in {self.accepts}")
        return self.accepts[text]


class NodeKind(Kind):
    """A node reference of the parameter's name, with an empty parameter beside it to say that it was set."""

    optional = True

    def write(self, node: Any, name: str, value: Any) -> None:
        self.check(value)
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class NoneKind(Kind):
    """None, as a part of a union."""

    optional = True

    def __init__(self) -> None:
        super().__init__(type(None), None, [])

    def text(self, value: Any) -> str:
        return "True"

    def value(self, text: str) -> None:
        return None


class UnionKind(Kind):
    """The first part that takes the value, under ``name.<number of the part>``."""

    def __init__(self, parts: list[Kind], validators: list) -> None:
        optional = len(parts) == 2 and isinstance(parts[1], NoneKind)
        super().__init__(object, None if optional else parts[0].default, validators)
        self.parts = parts

    def isIn(self, node: Any, name: str) -> bool:
        return any(part.isIn(node, f"{name}.{i}") for i, part in enumerate(self.parts))

    def write(self, node: Any, name: str, value: Any) -> None:
        for rule in self.validators:
            rule.validate(value)
        refusal: Exception = TypeError(f"{value!r} is of no type of this parameter")
        for index, part in enumerate(self.parts):
            if part.takes(type(value)):
                try:
                    part.check(value)
                except (TypeError, ValueError) as error:
                    refusal = error
                    continue
                with slicer.util.NodeModify(node):
                    self.remove(node, name)
                    part.write(node, f"{name}.{index}", value)
                return
        raise refusal

    def read(self, node: Any, name: str) -> Any:
        for index, part in enumerate(self.parts):
            if part.isIn(node, f"{name}.{index}"):
                return part.read(node, f"{name}.{index}")
        raise KeyError(f"the parameter node holds no {name}")

    def remove(self, node: Any, name: str) -> None:
        with slicer.util.NodeModify(node):
            for index, part in enumerate(self.parts):
                part.remove(node, f"{name}.{index}")


class ListKind(Kind):
    """The elements under ``name.0``, ``name.1`` and so on, and how many under ``name.len``."""

    def __init__(self, element: Kind, validators: list) -> None:
        super().__init__((list, tuple, ObservedList), [], validators)
        self.element = element

    def isIn(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(f"{name}.len"))

    def write(self, node: Any, name: str, value: Any) -> None:
        values = list(value)
        for rule in self.validators:
            rule.validate(value)
        for element in values:
            self.element.check(element)
        with slicer.util.NodeModify(node):
            before = self._length(node, name)
            for index, element in enumerate(values):
                self.element.write(node, f"{name}.{index}", element)
            node.SetParameter(f"{name}.len", str(len(values)))
            for index in range(len(values), before):
                self.element.remove(node, f"{name}.{index}")

    def read(self, node: Any, name: str) -> ObservedList:
        return ObservedList(self, node, name)

    def values(self, node: Any, name: str) -> list:
        return [self.element.read(node, f"{name}.{index}") for index in range(self._length(node, name))]

    def remove(self, node: Any, name: str) -> None:
        with slicer.util.NodeModify(node):
            for index in range(self._length(node, name)):
                self.element.remove(node, f"{name}.{index}")
            node.UnsetParameter(f"{name}.len")

    def _length(self, node: Any, name: str) -> int:
        return int(node.GetParameter(f"{name}.len")) if self.isIn(node, name) else 0


class ObservedList(MutableSequence):
    """The list that a list parameter gives: what is done to it is done to the node."""

    def __init__(self, kind: ListKind, node: Any, name: str) -> None:
        self._kind, self._node, self._name = kind, node, name

    def _values(self) -> list:
        return self._kind.values(self._node, self._name)

    def _do(self, change: Callable[[list], Any]) -> Any:
        values = self._values()
        result = change(values)
        self._kind.write(self._node, self._name, values)
        return result

    def __len__(self) -> int:
        return len(self._values())

    def __getitem__(self, index: Any) -> Any:
        return self._values()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._do(lambda values: values.__setitem__(index, value))

    def __delitem__(self, index: Any) -> None:
        self._do(lambda values: values.__delitem__(index))

    def insert(self, index: int, value: Any) -> None:
        self._do(lambda values: values.insert(index, value))

    def extend(self, other: Any) -> None:
        self._do(lambda values: values.extend(list(other)))

    def clear(self) -> None:
        self._do(list.clear)

    def sort(self, **keywords: Any) -> None:
        self._do(lambda values: values.sort(**keywords))

    def __add__(self, other: Any) -> Any:
        raise NotImplementedError("the list of a parameter cannot be added to another; += can be used")

    __radd__ = __add__

    def __eq__(self, other: object) -> bool:
        return self._values() == (other._values() if isinstance(other, ObservedList) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ObservedList({self._values()})"


def kind_of(annotated: Any) -> Kind:
    """Return how a type is stored."""
    plain, annotations = split(annotated)
    rules = [a for a in annotations if isinstance(a, Validator)]
    if is_union(plain):
        return UnionKind([kind_of(part) for part in typing.get_args(plain)], rules)
    if plain is type(None):
        return NoneKind()
    if typing.get_origin(plain) is list:
        return ListKind(kind_of(typing.get_args(plain)[0]), rules)
    if plain is bool:
        return BoolKind(bool, False, rules)
    if plain in (int, float):
        return NumberKind(plain, rules)
    if plain is str:
        return Kind(str, "", rules)
    if isinstance(plain, type) and issubclass(plain, pathlib.PurePath):
        return PathKind(plain, rules)
    if isinstance(plain, type) and issubclass(plain, enum.Enum):
        return EnumKind(plain, next(iter(plain)), rules)
    if isinstance(plain, type) and issubclass(plain, slicer.vtkMRMLNode):
        return NodeKind(plain, None, rules)
    raise TypeError(
        f"the host has no way to store {annotated} (the real package stores tuple, dict, Any and packs, too)"
    )
