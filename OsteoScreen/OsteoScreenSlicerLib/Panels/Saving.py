"""Where the user wants a file: its name gets its ending, and no file that the dialog did not ask about is replaced."""

import os

import qt

import slicer
from slicer.i18n import tr as _


def askForFile(title, kind, name, ending):
    """Return the path of the file that the user wants to write, or "" where he would rather not.

    :param kind: the dialog's filter. :param name: the name that it proposes. :param ending: see `withEnding`.
    """
    path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, name, kind)
    return agreedName(path, ending) if path else ""


def agreedName(path, ending):
    """Return ``path`` with its ending, or "" where that is another file than was asked about, which stays."""
    ended = withEnding(path, ending)
    if ended == path or not os.path.exists(ended):
        return ended
    question = _("{name} is there already. Replace it?").format(name=os.path.basename(ended))
    return ended if slicer.util.confirmYesNoDisplay(question) else ""


def withEnding(path, ending):
    """Return ``path``, with ``ending`` (".pdf") where it has another or none."""
    return path if path.lower().endswith(ending) else f"{path}{ending}"
