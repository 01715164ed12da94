"""The walk through the cases: outlined by the current model, edited, accepted or rejected."""

import qt

import slicer
from slicer.i18n import tr as _

from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.Options import SCREEN_OPTIONS
from OsteoScreenSlicerLib.Panels.Section import Section
from OsteoScreenSlicerLib.Views import openSegmentEditor

from ..DrawingWalk import DrawingWalk


class DrawSection(Section):
    """Leads through the cases of the data set that have no outlines yet."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        self._walk = None
        ui = self.ui
        ui.nextCaseButton.connect("clicked()", self.onNext)
        ui.editCaseButton.connect("clicked()", self.onEdit)
        ui.acceptCaseButton.connect("clicked()", self.onAccept)
        ui.rejectCaseButton.connect("clicked()", self.onReject)

    @property
    def walk(self):
        """The walk through the chosen data set; a new one where another was chosen."""
        folder = self.panel.parameterNode.dataFolder
        if self._walk is None or self._walk.dataFolder != folder:
            if not folder:
                raise ModuleError(_("Choose the folder of a data set first."))
            if self._walk is not None:
                self._walk.close()
            self._walk = DrawingWalk(folder, slicer.util.getModuleLogic("OsteoScreen"))
        return self._walk

    def update(self):
        """Show which case is open, and how far the walk is."""
        walk = self._walk
        isOpen = walk is not None and walk.subject is not None
        self.ui.nextCaseButton.enabled = bool(self.panel.parameterNode.dataFolder)
        for button in (self.ui.editCaseButton, self.ui.acceptCaseButton, self.ui.rejectCaseButton):
            button.enabled = isOpen
        if walk is None:
            self.ui.drawLabel.text = _("Outlines that are accepted are written into the data set at once.")
            return
        state = walk.state
        text = _("{accepted} accepted, {rejected} rejected, {left} left.").format(
            accepted=state["accepted"], rejected=state["rejected"], left=state["left"]
        )
        self.ui.drawLabel.text = f"{walk.subject.subject}: {text}" if isOpen else text

    def onNext(self):
        """Load the next case and have it outlined."""
        with self.attempt(_("The next case could not be opened."), waitCursor=True):
            name = self.walk.openNext()
            if name is None:
                self.panel.run.say(_("Every case has outlines or was rejected."))
            else:
                self._outline()
        self.panel.updatePanel()

    def onEdit(self):
        """Open the outlines in the Segment Editor."""
        with self.attempt(_("The Segment Editor could not be opened.")):
            openSegmentEditor(self.walk.volumeNode)

    def onAccept(self):
        """Keep the outlines."""
        with self.attempt(_("The case could not be accepted."), waitCursor=True):
            self.panel.run.say(_("✓ Kept the outlines of {name}.").format(name=self.walk.accept()))
        self.panel.updatePanel()

    def onReject(self):
        """Ask why, and note it."""
        title, question = _("Reject the case"), _("Why is it not to be used?")
        reason = qt.QInputDialog.getText(slicer.util.mainWindow(), title, question)
        if reason:
            self.reject(reason)

    def reject(self, reason):
        """Note why the case is not to be used."""
        with self.attempt(_("The case could not be rejected.")):
            self.panel.run.say(_("Rejected {name}.").format(name=self.walk.reject(reason)))
        self.panel.updatePanel()

    def close(self):
        """Take the open case out of the scene."""
        if self._walk is not None:
            self._walk.close()
            self._walk = None

    def _outline(self):
        """Have the shipped or chosen network draw; where it finds nothing, the researcher draws alone."""
        logic, walk = slicer.util.getModuleLogic("OsteoScreen"), self.walk
        names = list(walk.heights())
        if not names:
            self.panel.run.say(_("The manifest gives no levels: set them in OsteoScreen, then draw."))
            return

        def done(_outlines):
            self.panel.run.say(_("{name}: edit where needed, then accept.").format(name=walk.subject.subject))
            self.panel.updatePanel()

        def failed(_kind, text):
            self.panel.run.say(_("✕ {text} Draw the outlines yourself.").format(text=text))

        logic.segmentation.start(logic.workerProcess, walk.volumeNode, names, dict(SCREEN_OPTIONS), done, failed)
        self.panel.run.say(_("{name}: outlining …").format(name=walk.subject.subject))
