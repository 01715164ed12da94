"""The panel's keys: each presses a button, while the module is open."""

import qt

import slicer

from ..StudyNodes import LEVEL_NAMES


def makeShortcuts(panel, parent):
    """Return the panel's shortcuts (QShortcut), off; a press on a button that is off does nothing.

    :param panel: the module's widget, with its sections.
    :param parent: the Qt widget that they belong to where there is no main window.
    """
    ui, levels = panel.ui, panel.levels
    keys = {
        "Shift+Up": ui.namesUpButton,
        "Shift+Down": ui.namesDownButton,
        "Ctrl+Return": ui.screenButton,
        "Esc": ui.cancelButton,
    }
    for number, name in enumerate(LEVEL_NAMES, start=1):
        widgets = levels.widgets[name]
        keys[f"Alt+{number}"] = widgets.useCurrentButton
        keys[f"Alt+Shift+{number}"] = widgets.goToButton
        keys[f"Ctrl+Alt+{number}"] = widgets.snapButton
        keys[f"Ctrl+Shift+{number}"] = widgets.confirmCheckBox
    # A key that is held down must not run through the cases of a queue.
    once = {
        "C": ui.confirmShownButton,
        "N": ui.queueNextButton,
        "Shift+N": ui.queueSkipButton,
        "Shift+B": ui.queueBackButton,
    }
    parent = slicer.util.mainWindow() or parent
    return [_shortcut(key, button, parent, key in keys) for key, button in {**keys, **once}.items()]


def _shortcut(key, button, parent, repeats):
    shortcut = qt.QShortcut(qt.QKeySequence(key), parent)
    shortcut.connect("activated()", button.click)
    shortcut.enabled = False
    shortcut.autoRepeat = repeats
    return shortcut
