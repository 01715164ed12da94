"""The bottom of the panel: what became of the last thing."""

from OsteoScreenSlicerLib.Panels.Section import Section


class StatusSection(Section):
    """Says what happens."""

    def update(self):
        """What was said stays until something else is."""

    def say(self, text):
        """Show what became of the last thing."""
        self.ui.statusLabel.text = text
