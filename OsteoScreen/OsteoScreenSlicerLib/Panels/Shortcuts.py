"""The panel's keys: each presses a button, while the module is open."""

import qt

import slicer

from ..StudyNodes import LEVEL_NAMES


class Shortcuts:
    """The panel's shortcuts (QShortcut), off to begin with; a press does nothing where the button is off.

    :param panel: the module's widget, with its sections.
    """

    def __init__(self, panel):
        once, repeated = _buttons(panel)
        parent = slicer.util.mainWindow() or panel.parent
        self._made = [_shortcut(key, button, parent, key in repeated) for key, button in {**repeated, **once}.items()]

    def __iter__(self):
        return iter(self._made)

    def switch(self, on):
        """Turn all of them on or off."""
        for shortcut in self._made:
            shortcut.enabled = on

    def remove(self):
        """Take them away from the window that they belong to."""
        self.switch(False)
        for shortcut in self._made:
            shortcut.deleteLater()
        self._made = []


def _buttons(panel):
    """Return {key: button} of the keys that press once, and of those that repeat while they are held down."""
    ui = panel.ui
    repeated = {
        "Shift+Up": ui.namesUpButton,
        "Shift+Down": ui.namesDownButton,
        "Ctrl+Return": ui.screenButton,
        "Esc": ui.cancelButton,
    }
    for number, name in enumerate(LEVEL_NAMES, start=1):
        widgets = panel.levels.widgets[name]
        repeated[f"Alt+{number}"] = widgets.useCurrentButton
        repeated[f"Alt+Shift+{number}"] = widgets.goToButton
        repeated[f"Ctrl+Alt+{number}"] = widgets.snapButton
        repeated[f"Ctrl+Shift+{number}"] = widgets.confirmCheckBox
    # A key that is held down must not run through the cases of a queue.
    once = {
        "C": ui.confirmShownButton,
        "N": ui.queueNextButton,
        "Shift+N": ui.queueSkipButton,
        "Shift+B": ui.queueBackButton,
    }
    return once, repeated


def _shortcut(key, button, parent, repeats):
    shortcut = qt.QShortcut(qt.QKeySequence(key), parent)
    shortcut.connect("activated()", button.click)
    shortcut.enabled = False
    shortcut.autoRepeat = repeats
    return shortcut
