"""The middle of the panel: Screen and Cancel, how far the work is, and what came of it."""

import slicer
from slicer.i18n import tr as _

from ..Levels import StudyLevels
from ..Results import unconfirmed
from ..Words import inPanel
from .Section import Section


class RunSection(Section):
    """Starts work in the worker process, one thing at a time, and says what becomes of it."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        self._running = ""
        self.ui.screenButton.connect("clicked()", self.onScreen)
        self.ui.cancelButton.connect("clicked()", self.onCancel)

    @property
    def running(self):
        """What is running, in words; empty where nothing is."""
        return self._running

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

    def start(self, what, begin, onDone, packages=()):
        """Begin work, unless something runs already.

        :param what: the work in words.
        :param begin: called with (onDone, onError, onProgress); returns at once.
        :param onDone: called with what was found, once it is in the scene.
        :param packages: Packages.ExtraPackages that the work needs beside those of screening.
        """
        if self._running:
            return
        with self.attempt(_("{what} could not be started.").format(what=what)):
            for needed in (self.logic.packages, *packages):
                if needed.missing():
                    needed.install()
            self._running = what
            self.say(_("{what} …").format(what=what))
            self.ui.progressBar.maximum = 0
            try:
                begin(lambda found: self._finish(onDone, found), self._onError, self._onProgress)
            except Exception:
                self._running = ""
                raise
            finally:
                self.update()

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

    def say(self, text):
        """Show what became of the last work."""
        self.ui.statusLabel.text = text

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

    def cancel(self):
        """Stop what is running, silently."""
        self.logic.cancel()
        self._running = ""
        if self.panel.parameterNode is not None:
            self.update()

    def _finish(self, onDone, found):
        self._running = ""
        onDone(found)
        self.panel.updatePanel()

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

    def _onError(self, kind, text):
        self._running = ""
        text = inPanel(text)
        self.say(_("✕ {text}").format(text=text))
        self.panel.updatePanel()
        slicer.util.errorDisplay(text, windowTitle=_("OsteoScreen"))

    def _onProgress(self, step, done, total):
        self.ui.progressBar.maximum = total
        self.ui.progressBar.value = done
        self.say(_("{step} …").format(step=step))
