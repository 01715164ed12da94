"""The middle of the panel: Screen and Cancel, how far the work is, and what came of it."""

from slicer.i18n import tr as _

from ..Levels import StudyLevels
from ..Results import unconfirmed
from ..Words import inPanel
from .WorkSection import WorkSection


class RunSection(WorkSection):
    """Has the chosen CT screened, and says for the whole panel what became of the last thing."""

    def __init__(self, panel):
        WorkSection.__init__(self, panel, panel.ui.statusLabel, panel.ui.progressBar)
        self.ui.screenButton.connect("clicked()", self.onScreen)
        self.ui.cancelButton.connect("clicked()", self.onCancel)

    def packages(self):
        """Return what the networks need."""
        return self.logic.packages

    def stop(self):
        """Stop what runs in the worker process."""
        self.logic.cancel()

    def update(self):
        """Show what can be pressed now, and why not where it cannot."""
        reason = self.whyNot()
        for button, tip in (
            (self.ui.screenButton, _("Outline, measure and classify in one go.  Key: Ctrl+Return")),
            (self.ui.segmentButton, _("Have the network outline the vertebral bodies on the centre slices.")),
            (self.ui.classifyButton, _("Measure the outlines as they are now, edits included, and classify.")),
        ):
            button.enabled = not reason
            button.toolTip = reason or tip
        running = bool(self._running)
        self.ui.cancelButton.enabled = running
        self.ui.progressBar.visible = running
        self.ui.inputSelector.enabled = not running
        self.ui.installButton.enabled = not running

    def whyNot(self):
        """Return why Screen cannot be pressed now, in words; empty where it can."""
        if self._running:
            return _("{what} is running; wait for it, or press Cancel.").format(what=self._running)
        if self.panel.volumeNode is None:
            return _("Choose a CT first.")
        try:
            StudyLevels(self.panel.volumeNode).engineLevels(self.panel.names)
        except Exception as error:  # every reason is one for the button's tool tip
            return str(error)
        return ""

    def startNetworks(self, what, network, optionsOf, onDone):
        """Have one of the networks' jobs about the chosen CT done in the worker process; otherwise as ``start``.

        :param network: Networks.NetworkLogic.
        :param optionsOf: makes its options of the parameter node (see Options.PanelOptions).
        """
        panel = self.panel
        self.start(
            what,
            lambda *callbacks: network.start(
                self.logic.workerProcess, panel.volumeNode, panel.names, optionsOf(panel.parameterNode), *callbacks
            ),
            onDone,
        )

    def onScreen(self):
        """Outline, measure and classify: what was edited is measured as edited."""
        self.screen(_("Screening"))

    def screen(self, what):
        """Screen in the worker process."""
        self.startNetworks(what, self.logic.classification, self.logic.options.screening, self._onResult)

    def onCancel(self):
        """Stop what is running."""
        if self._running:
            self.cancel()
            self.say(_("Cancelled; nothing was changed."))

    def _onResult(self, result):
        if result.status == "refused":
            reasons = " ".join(check.message for check in result.eligibility if check.outcome == "refuse")
            self.say(_("✕ Refused: {reasons}").format(reasons=inPanel(reasons)))
            return
        device, seconds = result.software.get("device", ""), result.timing_s["total"]
        self.say(
            _("✓ Screened on {device} in {seconds:.1f} s.").format(device=device, seconds=seconds)
            + unconfirmed(result.levels)
        )
