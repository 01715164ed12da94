"""What the panel's sections have in common."""


class Section:
    """One part of the panel: shows its part of the state, and hands the user's wishes to the logic.

    :param panel: the module's widget, with ``ui``, ``logic``, ``volumeNode``, ``parameterNode``, ``names``,
      ``run`` (RunSection) and ``updatePanel()``.
    """

    def __init__(self, panel):
        self.panel = panel
        self.ui = panel.ui
        self.logic = panel.logic

    def update(self):
        """Show the state as it is now; there is a parameter node, and maybe a CT."""
        raise NotImplementedError
