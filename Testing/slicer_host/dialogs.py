"""Dialogs that would wait for a person: noted in :mod:`slicer_host.noting` and answered at once."""

from __future__ import annotations

from typing import Any

from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QFileDialog, QInputDialog, QMenu, QMessageBox

from .noting import Message, answers, records

KINDS = {
    QMessageBox.Icon.NoIcon: "none",
    QMessageBox.Icon.Information: "information",
    QMessageBox.Icon.Warning: "warning",
    QMessageBox.Icon.Critical: "error",
    QMessageBox.Icon.Question: "question",
}
POSITIVE = ("Yes", "Ok", "Retry", "Save", "Apply", "YesToAll", "Open")
NEGATIVE = ("No", "Cancel", "Close", "Abort", "Discard", "NoToAll", "Ignore")


def install() -> None:
    """Replace everything in Qt that opens a dialog and waits."""
    QMessageBox.exec = QMessageBox.exec_ = _exec_message
    for name, icon in [("information", "Information"), ("warning", "Warning"), ("critical", "Critical")]:
        setattr(QMessageBox, name, staticmethod(_static_message(icon, QMessageBox.StandardButton.Ok)))
    yes_no = QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No
    QMessageBox.question = staticmethod(_static_message("Question", yes_no))
    QDialog.exec = QDialog.exec_ = _exec_dialog
    QMenu.exec = QMenu.exec_ = lambda self, *_: records.dialogs.append(self)
    # In PythonQt these return the path alone, without the filter that PySide6 adds.
    QFileDialog.getOpenFileName = QFileDialog.getSaveFileName = staticmethod(_one_path)
    QFileDialog.getExistingDirectory = staticmethod(_one_path)
    QFileDialog.getOpenFileNames = staticmethod(_some_paths)
    QInputDialog.getText = staticmethod(lambda *_, **__: answers.texts.pop(0) if answers.texts else "")
    QDesktopServices.openUrl = staticmethod(lambda url: records.urls.append(url.toString()) or True)


def _one_path(*_: Any, **__: Any) -> str:
    return str(answers.files.pop(0)) if answers.files else ""


def _some_paths(*_: Any, **__: Any) -> list[str]:
    if not answers.files:
        return []
    paths = answers.files.pop(0)
    return [str(p) for p in paths] if isinstance(paths, list | tuple) else [str(paths)]


def _static_message(icon: str, default: Any) -> Any:
    def show(parent: Any, title: str, text: str, buttons: Any = default, *_: Any) -> Any:
        box = QMessageBox(parent)
        box.icon, box.windowTitle, box.text = getattr(QMessageBox.Icon, icon), title, text
        box.standardButtons = buttons
        return _exec_message(box)

    return show


def _exec_message(box: Any, *_: Any) -> Any:
    buttons = box.buttons()
    message = Message(
        KINDS[box.icon], box.text, box.windowTitle.strip(), box.detailedText, [b.text.replace("&", "") for b in buttons]
    )
    wanted = next((answer for part, answer in answers.rules if part in box.text), answers.confirm)
    button = _button(box, wanted)
    message.answer = button.text.replace("&", "") if button else ""
    records.messages.append(message)
    if button is None:
        return 0
    box.show()
    button.click()  # so that clickedButton() and the signals are those of a person's click
    standard = box.standardButton(button)
    return standard if standard != QMessageBox.StandardButton.NoButton else box.buttons().index(button)


def _button(box: Any, wanted: Any) -> Any:
    buttons = box.buttons()
    if isinstance(wanted, str):
        named = [b for b in buttons if b.text.replace("&", "") == wanted]
        if not named:
            raise AssertionError(f"the message {box.text!r} has no button {wanted!r}: {[b.text for b in buttons]}")
        return named[0]
    if isinstance(wanted, QMessageBox.StandardButton):
        return box.button(wanted)
    for name in POSITIVE if wanted else NEGATIVE:
        button = box.button(getattr(QMessageBox.StandardButton, name))
        if button is not None:
            return button
    return buttons[0] if buttons else None


def _exec_dialog(dialog: Any, *_: Any) -> int:
    records.dialogs.append(dialog)
    if answers.dialog is None:
        dialog.reject()
        return 0
    result = answers.dialog(dialog)
    return int(result or 0)
