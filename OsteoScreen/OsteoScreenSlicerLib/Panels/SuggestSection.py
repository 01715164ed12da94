"""The suggesting part of section 2: the vertebrae found and named by themselves, for the reader to move and confirm."""

import slicer
from slicer.i18n import tr as _

from .. import Views
from ..Levels import StudyLevels
from ..StudyNodes import chainsInScene
from ..Vertebrae import StudyVertebrae
from ..Words import inPanel
from .Section import Section

TOWARDS_HEAD, TOWARDS_FEET = 1, -1


class SuggestSection(Section):
    """Has the levels suggested, lets the reader move the names, and confirms what the reader has looked at."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        self._chainOf = None
        self.ui.suggestButton.connect("clicked()", self.onSuggest)
        self.ui.namesUpButton.connect("clicked()", lambda: self.onMove(TOWARDS_HEAD))
        self.ui.namesDownButton.connect("clicked()", lambda: self.onMove(TOWARDS_FEET))
        self.ui.confirmShownButton.connect("clicked()", self.onConfirmShown)

    def update(self):
        """Show the chain in the views, what it rests on, and what can be pressed now."""
        volume = self.panel.volumeNode
        study = StudyVertebrae(volume) if volume is not None else None
        told = study.explanation() if study is not None else []
        self.ui.suggestionLabel.visible = bool(told)
        self.ui.suggestionLabel.text = inPanel("\n".join(told))
        self._showChain(study)
        self._showButtons(study)

    def onSuggest(self):
        """Find the vertebrae; what the reader has confirmed stays where it is."""
        self.panel.run.startNetworks(
            _("Suggesting"), self.logic.localisation, self.logic.options.suggesting, self._onSuggested
        )

    def onMove(self, by):
        """Move the names and the levels with them; confirmed levels only when the reader agrees."""
        with self.attempt(_("The names could not be moved."), waitCursor=True):
            if not self._mayReplace():
                return
            names = self.logic.moveNames(self.panel.volumeNode, self.panel.names, by)
            self.show(names)
            self.panel.run.say(self._placedByReader(names))
            self._afterChange()

    def onConfirmShown(self):
        """Confirm the levels that the reader has seen; put on a slice or show first what the reader has not."""
        if self.panel.queue.isFresh():
            self.panel.run.say(_("This case was only just opened: look at its levels, then confirm (C)."))
            return
        with self.attempt(_("The levels could not be confirmed."), waitCursor=True):
            takeable = self._takeable()
            if takeable:
                self._take(takeable)
            elif self._open():
                self._confirm(self._open())
        self.panel.queue.onConfirmed()

    def _take(self, names):
        names = self.logic.takeNames(self.panel.volumeNode, names)
        self.show(names)
        self.panel.run.say(self._placedByReader(names))
        self._afterChange()

    def _confirm(self, names):
        levels = StudyLevels(self.panel.volumeNode)
        hidden = [name for name in names if not Views.isShowing(levels, name)]
        if hidden:
            self.show(hidden)
            told = _("{levels} was not in the views; look at it now, and confirm again.")
            self.panel.run.say(told.format(levels=_joined(hidden)))
            return
        for name in names:
            levels.confirm(name)
        self.panel.run.say(_("✓ Confirmed: {levels}.").format(levels=_joined(names)))
        self.panel.updatePanel()

    def _onSuggested(self, found):
        self.showSuggested(found)
        self._afterChange()

    def showSuggested(self, found):
        """Show what was suggested, and say what the reader has to do with it.

        :param found: the worker's answer to "suggest" (dict), which is in the scene.
        """
        levels = StudyLevels(self.panel.volumeNode)
        kept = [name for name in self.panel.names if levels.isConfirmed(name)]
        names = [name for name in found["levels"] if name not in kept]
        missing = [name for name in self.panel.names if name not in (*found["levels"], *kept)]
        self.show(names)
        told = []
        if names:
            told.append(_("{names} suggested: check the count and the slices, then confirm (C)."))
        if missing and self._takeable():
            told.append(
                _("! {missing} not suggested, section 2 says why: count in the views, move the names where they are "
                  "wrong (Shift+Up, Shift+Down), and take them (C).")
            )  # fmt: skip
        elif missing:
            told.append(_("! {missing} not suggested, section 2 says why: set the slice by hand."))
        if kept:
            told.append(_("{kept} stays where you confirmed it."))
        words = {"names": _joined(names), "missing": _joined(missing), "kept": _joined(kept)}
        self.panel.run.say(" ".join(told).format(**words))

    def _placedByReader(self, names):
        """Return what to do about levels that the reader has just put on vertebrae by their names."""
        missing = [name for name in self.panel.names if name not in names]
        told = []
        if names:
            told.append(_("{names} set by your count: look at the slices, then confirm (C)."))
        if missing:
            told.append(_("! No whole vertebra of the scan is called {missing} now."))
        return " ".join(told).format(names=_joined(names), missing=_joined(missing))

    def _open(self):
        """Return the levels that are set inside the scan, used, and not confirmed."""
        levels = self.levels()
        names = [name for name in self.panel.names if levels is not None and levels.sliceIndex(name) is not None]
        return [name for name in names if not levels.isConfirmed(name)]

    def _takeable(self):
        """Return the levels that are not set though a whole vertebra of the scan bears their name."""
        levels = self.levels()
        names = [name for name in self.panel.names if levels is not None and levels.position(name) is None]
        return [name for name in names if StudyVertebrae(self.panel.volumeNode).vertebra(name) is not None]

    def _mayReplace(self):
        """Return whether levels may be moved: none is confirmed, or the reader agrees."""
        levels = StudyLevels(self.panel.volumeNode)
        confirmed = [name for name in self.panel.names if levels.isConfirmed(name)]
        question = _("{levels} is confirmed where it is. Move it all the same?").format(levels=_joined(confirmed))
        return not confirmed or slicer.util.confirmYesNoDisplay(question)

    def show(self, names):
        """Show the spine in a sagittal and a coronal view, and levels in theirs, the first of them in all."""
        levels, study = StudyLevels(self.panel.volumeNode), StudyVertebrae(self.panel.volumeNode)
        vertebrae = study.vertebrae()
        if vertebrae:
            middle = study.vertebra("L1") or vertebrae[len(vertebrae) // 2]
            Views.showSpine(levels, [vertebra.centre for vertebra in vertebrae], middle.centre)
        for name in reversed(names):
            Views.goTo(levels, name)

    def _showChain(self, study):
        """Show the chosen CT's chain and no other's; that of the chosen one may be hidden by hand."""
        chainOf = study.volumeNode.GetID() if study is not None and study.node is not None else None
        if chainOf != self._chainOf:
            self._chainOf = chainOf
            for nodes in chainsInScene(slicer.mrmlScene):
                StudyVertebrae(nodes.volumeNode).setVisible(nodes.volumeNode.GetID() == chainOf)
        if study is not None:
            study.show(Views.sliceNodes(slicer.mrmlScene), Views.viewNodes(slicer.mrmlScene))
            levels = study.nodes.levels
            if levels is not None and levels.GetDisplayNode() is not None:
                # The chain has the same names in the same places.
                levels.GetDisplayNode().SetPointLabelsVisibility(not study.isVisible())

    def _showButtons(self, study):
        running = bool(self.panel.run.running)
        names = _joined(self.panel.names)
        self.ui.suggestButton.enabled = self.levels() is not None and not running
        self.ui.suggestButton.text = _("Suggest {levels}").format(levels=names)
        for button, by, tip in (
            (self.ui.namesUpButton, TOWARDS_HEAD, _("Move every name one vertebra towards the head, and L1 and L2 with "
                                                    "their names.{share}  Key: Shift+Up")),
            (self.ui.namesDownButton, TOWARDS_FEET, _("Move every name one vertebra towards the feet, and L1 and L2 "
                                                      "with their names.{share}  Key: Shift+Down")),
        ):  # fmt: skip
            button.enabled = study is not None and not running and study.canMove(by)
            button.toolTip = tip.format(share=_share(study, by))
        takeable = self._takeable() if study is not None else []
        button = self.ui.confirmShownButton
        button.enabled = bool(takeable or self._open() or self.panel.queue.canTake()) and not running
        if takeable:
            button.text = _("Take {levels}").format(levels=_joined(takeable))
            button.toolTip = _(
                "You have counted the vertebrae in the views, and the names are right, though they were not certain "
                "enough to be suggested: put {levels} on theirs, to be confirmed next.  Key: C"
            ).format(levels=_joined(takeable))
        else:
            button.text = _("Confirm {levels}").format(levels=names)
            button.toolTip = _(
                "You have counted the vertebrae in the views: each level that is not confirmed yet is the vertebra it "
                "is named for. What is not in the views is shown first.  Key: C"
            )

    def _afterChange(self):
        self.panel.updatePanel()
        self.logic.warmUp.start(self.panel.parameterNode, self.panel.names)


def _joined(names):
    return _(" and ").join(names)


def _share(study, by):
    share = study.probabilityOf(by) if study is not None else None
    return "" if share is None else " " + _("It has {percent:.0f} %.").format(percent=100 * share)
