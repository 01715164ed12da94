"""The top of a panel: what has to be installed before networks can run."""

from slicer.i18n import tr as _

from .Section import Section


class InstallSection(Section):
    """Says what is missing, and has it installed when the user asks."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        self.ui.installButton.connect("clicked()", self.onInstall)

    def update(self):
        """Say what is missing; nothing is shown where nothing is."""
        packages = self.logic.packages
        self.ui.setupFrame.visible = bool(packages.missing())
        self.ui.setupLabel.text = packages.explanation()

    def onInstall(self):
        """Install what is missing; Slicer asks first."""
        try:
            with self.attempt(_("The packages could not be installed.")):
                self.logic.packages.install()
        finally:
            self.panel.updatePanel()
