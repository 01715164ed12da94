"""What the host noted while a module ran, and how it answers what would wait for a person."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Message:
    """One message box: how it looked and how it was answered."""

    kind: str  # information, warning, error, question or none
    text: str
    title: str = ""
    detail: str = ""
    buttons: list[str] = field(default_factory=list)
    answer: str = ""


@dataclass
class Records:
    """Everything noted since the last :meth:`clear`."""

    messages: list[Message] = field(default_factory=list)
    exceptions: list[BaseException] = field(default_factory=list)  # raised in a slot, an observer or a timer
    dialogs: list[Any] = field(default_factory=list)  # other dialogs that would have waited
    status: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    packages: list[dict] = field(default_factory=list)  # calls of pip_install, pip_ensure and their like
    sample_data: list[dict] = field(default_factory=list)
    selected_modules: list[str] = field(default_factory=list)
    restarts: int = 0

    def of(self, kind: str) -> list[str]:
        """Return the texts of the messages of one kind."""
        return [m.text for m in self.messages if m.kind == kind]

    @property
    def errors(self) -> list[str]:
        """Return the texts of the errors shown."""
        return self.of("error")

    def clear(self) -> None:
        """Forget everything."""
        self.__init__()


@dataclass
class Answers:
    """How dialogs are answered while no person is there."""

    confirm: bool = True  # what a question gets when nothing below fits
    rules: list[tuple[str, Any]] = field(
        default_factory=list
    )  # (part of the text, True | False | a button or its text)
    files: list[Any] = field(default_factory=list)  # paths for file dialogs, first in first out; none left: cancelled
    texts: list[str] = field(default_factory=list)  # for input dialogs, likewise
    dialog: Callable[[Any], int] | None = None  # called with any other dialog that is executed; none: rejected

    def to(self, text: str, answer: Any) -> None:
        """Answer every message that holds a text with True, False, a button, or a button's text."""
        self.rules.insert(0, (text, answer))

    def clear(self) -> None:
        """Go back to what the host starts with."""
        self.__init__()


records = Records()
answers = Answers()


def note_exceptions() -> None:
    """Note exceptions that Qt and VTK print and forget, as they do in Slicer, so that a test can see them."""
    before = sys.excepthook
    if getattr(before, "notes_exceptions", False):
        return

    def hook(kind: type, error: BaseException, trace: Any) -> None:
        records.exceptions.append(error)
        traceback.print_exception(kind, error, trace)

    hook.notes_exceptions = True
    sys.excepthook = hook
