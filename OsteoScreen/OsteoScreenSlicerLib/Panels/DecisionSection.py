"""Section 5: what the reader makes of the result: accept, correct or discard it, by name.

The name and the comment are no part of the parameter node: a scene that someone else opens must not sign for them.
"""

import slicer
from slicer.i18n import tr as _

from ..Decisions import ACCEPTED, CORRECTED, DECISIONS, DISCARDED, changed
from ..Results import StudyResult
from ..Words import inPanel
from .Section import Section

_READER_SETTING = "OsteoScreen/Reader"


class DecisionSection(Section):
    """Shows the decision in force, and takes the reader's."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        ui = self.ui
        self._buttons = {
            ACCEPTED: (ui.acceptButton, _("Sign the result as it is; its levels count as confirmed.")),
            CORRECTED: (ui.correctButton, _("Sign the result as your correction of the one before.")),
            DISCARDED: (ui.discardButton, _("Keep the result for the record, and say everywhere not to use it.")),
        }
        for decision, (button, _tip) in self._buttons.items():
            button.connect("clicked()", lambda decision=decision: self.onDecide(decision))
        remembered = slicer.app.userSettings().value(_READER_SETTING) or ""
        ui.readerLineEdit.text = remembered
        ui.rememberReaderCheckBox.checked = bool(remembered)
        ui.readerLineEdit.connect("textChanged(QString)", lambda _text: self.onReader())
        ui.rememberReaderCheckBox.connect("toggled(bool)", lambda _checked: self.onReader())

    def update(self):
        """Show the decision in force, what was corrected, and what can be decided now."""
        volume = self.panel.volumeNode
        self.ui.decisionLabel.text = self._describe(volume)
        named, running = bool(self.ui.readerLineEdit.text.strip()), bool(self.panel.run.running)
        reasons = self._whyNot(volume)
        for decision, (button, tip) in self._buttons.items():
            reason = reasons[decision]
            if not reason and not named:
                reason = _("Type who decides first.")
            button.enabled = not reason and not running
            button.toolTip = reason or tip

    def onReader(self):
        """Another name was typed, or is to be remembered or forgotten."""
        settings = slicer.app.userSettings()
        if self.ui.rememberReaderCheckBox.checked and self.ui.readerLineEdit.text.strip():
            settings.setValue(_READER_SETTING, self.ui.readerLineEdit.text.strip())
        else:
            settings.remove(_READER_SETTING)
        if self.panel.parameterNode is not None:
            self.update()

    def onDecide(self, decision):
        """Decide on the result."""
        panel, logic = self.panel, self.logic.decisions
        by, comment = self.ui.readerLineEdit.text, self.ui.decisionCommentLineEdit.text
        with self.attempt(_("The decision could not be kept."), waitCursor=True):
            from OsteoScreenLib.reports.decided import decision_sentence

            if decision == DISCARDED:
                result = logic.discard(panel.volumeNode, by, comment)
            else:
                sign = logic.accept if decision == ACCEPTED else logic.correct
                result = sign(panel.volumeNode, by, comment, panel.names)
            self.ui.decisionCommentLineEdit.text = ""
            panel.run.say(_("✓ {sentence}").format(sentence=decision_sentence(result)))
            panel.updatePanel()

    def _whyNot(self, volume):
        try:
            return self.logic.decisions.whyNot(volume, self.panel.names)
        except Exception as error:  # a CT that cannot be measured, or a result of another version
            return dict.fromkeys(DECISIONS, inPanel(str(error)))

    def _describe(self, volume):
        """Return the decisions on the result in words, the one in force first."""
        from OsteoScreenLib.reports.decided import NOT_TO_BE_USED, one_decision
        from OsteoScreenLib.results import Decision

        document = StudyResult(volume).document() if volume is not None else None
        if document is None:
            return _("No result to decide on yet.")
        made = [Decision(**decision) for decision in document.get("decisions") or []]
        if not made:
            changes = ", ".join(changed(volume))
            told = [_("No reader has decided on this result yet.")]
            told += [_("Changed since the one before: {changes}.").format(changes=changes)] if changes else []
            return " ".join(told)
        lines = [one_decision(decision) for decision in reversed(made)]
        if made[-1].comment:
            lines.insert(1, _("Comment: {comment}").format(comment=made[-1].comment))
        if made[-1].decision == DISCARDED:
            lines.insert(0, _("✕ {warning}").format(warning=NOT_TO_BE_USED))
        return "\n".join(lines)
