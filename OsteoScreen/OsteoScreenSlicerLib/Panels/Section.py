"""What the panel's sections have in common."""

import contextlib

import slicer
from slicer.i18n import tr as _

from ..Levels import StudyLevels
from ..Words import inPanel


class Section:
    """One part of the panel: shows its part of the state, and hands the user's wishes to the logic.

    :param panel: the module's widget, with ``ui``, ``logic``, ``volumeNode``, ``parameterNode``, ``names``,
      ``run`` (RunSection) and ``updatePanel()``.
    """

    def __init__(self, panel):
        self.panel = panel
        self.ui = panel.ui
        self.logic = panel.logic

    @contextlib.contextmanager
    def attempt(self, message, waitCursor=False):
        """Do what may fail: the reason is shown in a dialog, stays below the Screen button, and goes to the log.

        :param message: what could not be done, in words.
        """
        try:
            with slicer.util.tryWithErrorDisplay(message, waitCursor=waitCursor):
                yield
        except Exception as error:
            self.panel.run.say(_("✕ {text}").format(text=inPanel(str(error))))
            raise

    def levels(self):
        """Return the StudyLevels of the chosen CT; None without a CT, or with one that cannot be measured."""
        try:
            return StudyLevels(self.panel.volumeNode) if self.panel.volumeNode is not None else None
        except Exception:  # section 1 says why
            return None

    def update(self):
        """Show the state as it is now; there is a parameter node, and maybe a CT."""
        raise NotImplementedError
