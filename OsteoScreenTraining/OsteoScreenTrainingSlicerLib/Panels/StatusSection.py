"""The top and the bottom of the panel: what has to be installed, and what became of the last thing."""

from OsteoScreenSlicerLib.Panels.Section import Section
from slicer.i18n import tr as _


class StatusSection(Section):
    """Offers the installation, and says what happens."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        self.ui.installButton.connect("clicked()", self.onInstall)

    def update(self):
        """Say what is missing."""
        packages = self.logic.packages
        self.ui.setupFrame.visible = bool(packages.missing())
        self.ui.setupLabel.text = packages.explanation()

    def say(self, text):
        """Show what became of the last thing."""
        self.ui.statusLabel.text = text

    def onInstall(self):
        """Install what training needs; Slicer asks first."""
        try:
            with self.attempt(_("The packages could not be installed.")):
                self.logic.packages.install()
        finally:
            self.panel.updatePanel()
