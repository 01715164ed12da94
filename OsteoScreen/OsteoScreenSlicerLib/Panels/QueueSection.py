"""The section of the levels queue: a batch's studies one after the other, each with one key where it is right.

The reader's name and the reason for a skip are no part of the parameter node, as in the section of the decision.
"""

import time

import qt

import slicer
from slicer.i18n import tr as _

from .. import Views
from ..Errors import ModuleError
from ..Levels import StudyLevels
from ..Queue import LevelsQueue
from ..QueueCases import CASE_ATTRIBUTE
from ..Words import inPanel
from .Section import Section

# A key that was pressed for the case before arrives within this after the new one is shown; nobody looks so fast.
_LOOK_S = 0.6


class QueueSection(Section):
    """Goes through a queue: opens cases, writes what the reader confirms, and never confirms by itself."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        ui = self.ui
        self._queue, self._opened, self._fault = None, None, ""
        self._shownAt = 0.0
        ui.queueReasonComboBox.addItems(
            [
                _("L1 is not in the scan"),
                _("The vertebrae cannot be counted"),
                _("L1 and L2 cannot be measured (fracture, metal, cement)"),
                _("The scan cannot be read"),
            ]
        )
        ui.queueReasonComboBox.setCurrentIndex(-1)
        ui.queueReasonComboBox.setEditText("")
        ui.queueReasonComboBox.connect("editTextChanged(QString)", lambda _text: self.update())
        # One reader sits here: the name is that of the decision's section.
        ui.queueReaderLineEdit.text = ui.readerLineEdit.text
        ui.queueReaderLineEdit.connect("textChanged(QString)", self._onReader)
        ui.readerLineEdit.connect("textChanged(QString)", lambda text: _setText(ui.queueReaderLineEdit, text))
        ui.queueFolderButton.connect("clicked()", self.onFolder)
        ui.queueListButton.connect("clicked()", self.onList)
        ui.queueBackButton.connect("clicked()", self.onBack)
        ui.queueNextButton.connect("clicked()", self.onNext)
        ui.queueSkipButton.connect("clicked()", self.onSkip)

    @property
    def isActive(self):
        """Whether the chosen CT is the queue's case at hand."""
        return self._case() is not None

    def update(self):
        """Show how many are left, which case is at hand, and what can be pressed now."""
        if self.panel.parameterNode is None:
            return
        case = self.panel.parameterNode.queueCase
        self.ui.queueLabel.text, following, before = self._state(case)
        reason = self._whyNot()
        running = bool(self.panel.run.running)
        back, next_, skip = self.ui.queueBackButton, self.ui.queueNextButton, self.ui.queueSkipButton
        back.enabled = not reason and before is not None and not running
        back.toolTip = reason or _("Open the case before again, as it was set, to set it anew.  Key: Shift+B")
        next_.text = _("Next case") if case else _("Begin")
        next_.enabled = not reason and following is not None and not running
        next_.toolTip = reason or _("Open the next case; this one stays in the queue unless it is confirmed.  Key: N")
        skip.enabled = not reason and bool(case) and not running and bool(self._skipReason())
        skip.toolTip = reason or _("Take the case at hand out of the queue for the reason given.  Key: Shift+N")
        self.ui.queueLineEdit.enabled = not running

    def canTake(self):
        """Return whether the case at hand is confirmed, so that it can be written."""
        try:
            levels = StudyLevels(self.panel.volumeNode) if self.isActive else None
        except Exception:  # a volume that cannot be measured has no levels; section 1 says why
            return False
        return levels is not None and all(levels.isConfirmed(name) for name in self.panel.names)

    def isFresh(self):
        """Return whether a case was shown only just now, so that a key cannot be meant for it."""
        return self.isActive and time.monotonic() - self._shownAt < _LOOK_S

    def onConfirmed(self):
        """The reader confirmed what is shown: of the case at hand, write it and open the next one."""
        if not self.canTake():
            return
        queue, case = self._queue, self._case()
        with self.attempt(_("The levels could not be written."), waitCursor=True):
            levels = StudyLevels(self.panel.volumeNode)
            levels.engineLevels(self.panel.names)
            queue.take(case, self._heights(levels), self._reader())
            self.panel.run.say(_("✓ {case} is written.").format(case=case.id))
            if self._mayLeave(queue):
                self._goOn(queue, case.id)

    def onNext(self):
        """Open the next case that is left."""
        with self.attempt(_("The next case could not be opened.")):
            queue, case = self._requireQueue(), self.panel.parameterNode.queueCase
            self._reader()
            if queue.nextAfter(case) is None:
                raise ModuleError(_("No other case is left."))
            if self._mayLeave(queue):
                self._goOn(queue, case)

    def onBack(self):
        """Open the case again that was set or skipped before; what is written of it stays until it is confirmed."""
        with self.attempt(_("The case before could not be opened.")):
            queue, case = self._requireQueue(), self.panel.parameterNode.queueCase
            before = queue.before(case)
            if before is None:
                raise ModuleError(_("No case was set before."))
            self._reader()
            if self._mayLeave(queue):
                self._goTo(queue, before)

    def onSkip(self):
        """Take the case at hand out of the queue, with the reason, and open the next one."""
        with self.attempt(_("The case could not be skipped.")):
            queue = self._requireQueue()
            case, reason = queue.case(self.panel.parameterNode.queueCase), self._skipReason()
            if case is None or not reason:
                raise ModuleError(_("Open a case, and give the reason for skipping it, first."))
            reader = self._reader()
            if self._mayLeave(queue):
                queue.skip(case, reason, reader)
                self.ui.queueReasonComboBox.setEditText("")
                self._goOn(queue, case.id)

    def onFolder(self):
        """Ask for the folder that a batch wrote to."""
        title = _("The folder that osteoscreen batch wrote to")
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, "")
        if folder:
            self.panel.parameterNode.queuePath = folder

    def onList(self):
        """Ask for the list of open levels."""
        title, kind = _("The batch's list of open levels"), _("List (*.csv)")
        path = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, "", kind)
        if path:
            self.panel.parameterNode.queuePath = path

    # -- from case to case

    def _goOn(self, queue, caseID):
        """Open the next case that is left after one, or say that none is."""
        following = queue.nextAfter(caseID)
        self._goTo(queue, following)
        if following is None:
            told = _("✓ No case is left. Give {path} to `osteoscreen batch` in the place of its first list.")
            self.panel.run.say(told.format(path=queue.filledPath))

    def _goTo(self, queue, case):
        """Take the case at hand away, and open another (None: none)."""
        for volume in self.logic.queue.volumes():
            self.logic.queue.remove(volume)
        self.panel.parameterNode.queueCase = "" if case is None else case.id
        if case is None:
            self.panel.updatePanel()
        else:
            self._open(queue, case)

    def _mayLeave(self, queue):
        """Return whether the case at hand may go: all of it is kept, or the reader agrees to lose the rest."""
        caseID = self.panel.parameterNode.queueCase
        lost = []
        for volume in self.logic.queue.volumes():
            taken = queue.isTaken(volume.GetAttribute(CASE_ATTRIBUTE), self._heights(StudyLevels(volume)))
            lost += self.logic.queue.unkept(volume, taken)
        question = _("Not kept of {case}: {what}. Go on all the same?")
        return not lost or slicer.util.confirmYesNoDisplay(question.format(what=", ".join(lost), case=caseID))

    def _heights(self, levels):
        heights = {name: levels.height(name) for name in self.panel.names}
        return {name: height for name, height in heights.items() if height is not None}

    def _open(self, queue, case):
        # Each case begins with both levels: L1 alone is decided for one scan, not for those that follow.
        self.panel.parameterNode.useL2 = True
        names = list(self.panel.names)
        self.panel.run.start(
            _("Opening {case}").format(case=case.id),
            lambda *callbacks: self.logic.queue.startLoading(case, names, self._options(), *callbacks),
            lambda loaded: self._onLoaded(queue, case, loaded),
        )

    def _onLoaded(self, queue, case, loaded):
        panel = self.panel
        panel.parameterNode.inputVolume = loaded.volumeNode
        levels = StudyLevels(loaded.volumeNode)
        Views.showLayout(loaded.volumeNode, levels)
        if loaded.found is not None:
            panel.suggest.showSuggested(loaded.found)
        else:
            panel.suggest.show(levels.names())
            panel.run.say(self._told(case, levels.names(), loaded.trouble))
        panel.updatePanel()
        following = queue.nextAfter(case.id)
        if following is not None:
            self.logic.queue.prepareAhead(following, list(panel.names), self._options())
        self._shownAt = time.monotonic()

    def _told(self, case, names, trouble):
        if trouble:
            return _("! {case}: no level could be suggested ({why}) Set them by hand, then confirm (C).").format(
                case=case.id, why=inPanel(trouble)
            )
        if case.kept:
            return _("{case}, as it was set: change it, and confirm it anew (C), or go on (N).").format(case=case.id)
        if names:
            told = _("{case}: {levels} as the batch suggested it: check the count and the slices, then confirm (C).")
            return told.format(case=case.id, levels=_(" and ").join(names))
        return _("{case}: set the levels by hand (Alt+1, Alt+2), then confirm (C).").format(case=case.id)

    def _options(self):
        """Return the options of "suggest", None where no network is there for it."""
        return self.logic.options.suggestingOrNone(self.panel.parameterNode)

    # -- the queue

    def _case(self):
        """Return the case at hand where the chosen CT is its, None otherwise."""
        volume, node = self.panel.volumeNode, self.panel.parameterNode
        if volume is None or not node.queueCase or volume.GetAttribute(CASE_ATTRIBUTE) != node.queueCase:
            return None
        queue = self._readQueue()
        return queue.case(node.queueCase) if queue is not None else None

    def _readQueue(self):
        """Return the queue that is chosen, None where there is none; ``_fault`` says why it cannot be read."""
        path = self.panel.parameterNode.queuePath.strip()
        if path != self._opened:
            self._queue, self._opened, self._fault = None, path, ""
            if path:
                try:
                    self._queue = LevelsQueue(path)
                except Exception as error:  # told in the section
                    self._fault = inPanel(str(error))
        return self._queue

    def _requireQueue(self):
        queue = self._readQueue()
        if queue is None or not queue.isCurrent():
            self._opened = None
            queue = self._readQueue()
        if queue is None:
            raise ModuleError(self._fault or _("Choose the folder that a batch wrote to, or its list, first."))
        return queue

    def _state(self, case):
        """Return how the queue stands, in words, and the cases that come next and came before, None where none is."""
        queue = self._readQueue()
        if queue is None:
            return (_("✕ {reason}").format(reason=self._fault) if self._fault else _("No queue is chosen.")), None, None
        try:
            left, skipped = len(queue.left()), queue.skipped()
            following, before = queue.nextAfter(case), queue.before(case)
        except Exception as error:  # the filled-in list was damaged meanwhile
            return _("✕ {reason}").format(reason=inPanel(str(error))), None, None
        total = len(queue.cases)
        told = _("{left} of {total} left; {taken} set, {skipped} skipped.").format(
            left=left, total=total, taken=total - left - skipped, skipped=skipped
        )
        return (_("{told} At hand: {case}").format(told=told, case=case) if case else told), following, before

    def _whyNot(self):
        if self._queue is None:
            return self._fault or _("Choose the folder that a batch wrote to, or its list of open levels, first.")
        if not self.ui.queueReaderLineEdit.text.strip():
            return _("Type who sets the levels first; it is written beside them.")
        return ""

    def _reader(self):
        reader = self.ui.queueReaderLineEdit.text.strip()
        if not reader:
            raise ModuleError(_("Type who sets the levels first; it is written beside them."))
        return reader

    def _skipReason(self):
        return self.ui.queueReasonComboBox.currentText.strip()

    def _onReader(self, text):
        _setText(self.ui.readerLineEdit, text)
        self.update()


def _setText(lineEdit, text):
    if lineEdit.text != text:
        lineEdit.text = text
