"""The suggesting part of section 2: the vertebrae found and named by themselves, for the reader to move and confirm."""

import slicer
from slicer.i18n import tr as _

from .. import Views
from ..Levels import StudyLevels
from ..Vertebrae import StudyVertebrae
from ..Words import inPanel
from .Section import Section

TOWARDS_HEAD, TOWARDS_FEET = 1, -1


class SuggestSection(Section):
    """Has the levels suggested, lets the reader move the names, and confirms what the reader has looked at."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        self.ui.suggestButton.connect("clicked()", self.onSuggest)
        self.ui.namesUpButton.connect("clicked()", lambda: self.onMove(TOWARDS_HEAD))
        self.ui.namesDownButton.connect("clicked()", lambda: self.onMove(TOWARDS_FEET))
        self.ui.confirmShownButton.connect("clicked()", self.onConfirmShown)

    def update(self):
        """Show the chain in the views, what it rests on, and what can be pressed now."""
        volume, running = self.panel.volumeNode, bool(self.panel.run.running)
        self.ui.suggestButton.enabled = volume is not None and not running
        self.ui.suggestButton.text = _("Suggest {levels}").format(levels=_joined(self.panel.names))
        study = StudyVertebrae(volume) if volume is not None else None
        told = study.explanation() if study is not None else []
        self.ui.suggestionLabel.visible = bool(told)
        self.ui.suggestionLabel.text = inPanel(" ".join(told))
        if study is not None:
            scene = slicer.mrmlScene
            study.show(Views.sliceNodes(scene), Views.viewNodes(scene))
        for button, by, tip in (
            (self.ui.namesUpButton, TOWARDS_HEAD, _("Move every name one vertebra towards the head, and L1 and L2 with "
                                                    "their names.{share}  Key: Shift+Up")),
            (self.ui.namesDownButton, TOWARDS_FEET, _("Move every name one vertebra towards the feet, and L1 and L2 "
                                                      "with their names.{share}  Key: Shift+Down")),
        ):  # fmt: skip
            button.enabled = study is not None and not running and study.canMove(by)
            button.toolTip = tip.format(share=_share(study, by))
        self.ui.confirmShownButton.enabled = bool(self._open()) and not running
        self.ui.confirmShownButton.text = _("Confirm {levels}").format(levels=_joined(self.panel.names))

    def onSuggest(self):
        """Find the vertebrae; what the reader has confirmed is replaced only when the reader agrees."""
        panel = self.panel
        if not self._mayReplace():
            return
        panel.run.start(
            _("Suggesting"),
            lambda *callbacks: self.logic.startSuggesting(
                panel.volumeNode, panel.names, panel.parameterNode, *callbacks
            ),
            self._onSuggested,
        )

    def onMove(self, by):
        """Move the names and the levels with them; confirmed levels only when the reader agrees."""
        if not self._mayReplace():
            return
        with self.attempt(_("The names could not be moved."), waitCursor=True):
            names = self.logic.moveNames(self.panel.volumeNode, self.panel.names, by)
            self._goTo(names)
            self.panel.run.say(self._told(names))
            self._afterChange()

    def onConfirmShown(self):
        """Confirm the levels, once they are in the views; those that are not are shown first."""
        with self.attempt(_("The levels could not be confirmed.")):
            levels, names = StudyLevels(self.panel.volumeNode), self._open()
            hidden = [name for name in names if not Views.isShowing(levels, name)]
            if hidden:
                self._goTo(hidden)
                told = _("{levels} was not in the views; look at it now, and confirm again.")
                self.panel.run.say(told.format(levels=_joined(hidden)))
                return
            for name in names:
                levels.confirm(name)
            self.panel.run.say(_("✓ Confirmed: {levels}.").format(levels=_joined(names)))
            self.panel.updatePanel()

    def _onSuggested(self, found):
        names = list(found["levels"])
        self._goTo(names)
        if names:
            self.panel.run.say(self._told(names))
        else:
            self.panel.run.say(_("! No level is suggested, and none was moved; the reasons stand in section 2."))
        self._afterChange()

    def _told(self, names):
        """Return what to do about levels that were just put on slices."""
        missing = [name for name in self.panel.names if name not in names]
        told = []
        if names:
            told.append(_("{levels} suggested: check the count and the slices, then confirm (C)."))
        if missing:
            told.append(_("{missing} not suggested: section 2 says why."))
        return " ".join(told).format(levels=_joined(names), missing=_joined(missing))

    def _open(self):
        """Return the levels that are set inside the scan, used, and not confirmed."""
        try:
            levels = StudyLevels(self.panel.volumeNode) if self.panel.volumeNode is not None else None
        except Exception:  # a volume that cannot be measured has no levels; section 1 says why
            return []
        if levels is None:
            return []
        names = [name for name in self.panel.names if levels.sliceIndex(name) is not None]
        return [name for name in names if not levels.isConfirmed(name)]

    def _mayReplace(self):
        """Return whether levels may be moved: none is confirmed, or the reader agrees."""
        with self.attempt(_("The levels could not be read.")):
            levels = StudyLevels(self.panel.volumeNode)
            confirmed = [name for name in self.panel.names if levels.isConfirmed(name)]
        question = _("{levels} is confirmed where it is. Move it all the same?").format(levels=_joined(confirmed))
        return not confirmed or slicer.util.confirmYesNoDisplay(question)

    def _goTo(self, names):
        levels = StudyLevels(self.panel.volumeNode)
        # The last one decides where the views stand that show both: the first.
        for name in reversed(names):
            Views.goTo(levels, name)

    def _afterChange(self):
        self.panel.updatePanel()
        self.logic.warmUp(self.panel.parameterNode, self.panel.names)


def _joined(names):
    return _(" and ").join(names)


def _share(study, by):
    share = study.probabilityOf(by) if study is not None else None
    return "" if share is None else " " + _("It has {percent:.0f} %.").format(percent=100 * share)
