"""The end of section 4: the patient's results by date, those from files among them, and the change in BMD."""

import os

import qt

import slicer
from slicer.i18n import tr as _

from ..FollowUp import earlierFromFiles
from ..Results import StudyResult, resultsOfPatient
from ..Words import inPanel
from .CheckTable import fitHeight, toolTip
from .Section import Section


class EarlierSection(Section):
    """Lists earlier results, says what changed since, and takes results from files."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        self._files = []
        self.ui.addEarlierButton.connect("clicked()", self.onAdd)
        self.ui.leaveOutButton.connect("clicked()", self.onLeaveOut)
        self.ui.earlierTable.connect("itemSelectionChanged()", self.onSelected)

    def update(self):
        """Show the patient's results, and the change in BMD since the earlier ones."""
        volume = self.panel.volumeNode
        results = resultsOfPatient(volume) if volume is not None else []
        files = earlierFromFiles(volume) if volume is not None else []
        document = StudyResult(volume).document() if volume is not None else None
        rows = [(_dateOf(entry), _fileRow(entry), entry["name"], False) for entry in files]
        rows += [
            (result.studyDate(), _row(result), result.volumeNode.GetName(), result.volumeNode is volume)
            for result in results
        ]
        rows.sort(key=lambda row: row[0])
        names = {entry["name"] for entry in files}
        self._files = [name if name in names and not own else "" for _date, _texts, name, own in rows]
        self._fill(rows)
        self.ui.earlierLabel.visible = bool(rows)
        self.ui.changeLabel.text = _change(document)
        self.ui.changeLabel.visible = bool(self.ui.changeLabel.text)
        self.ui.addEarlierButton.enabled = bool((document or {}).get("densitometry"))
        self.onSelected()

    def onAdd(self):
        """Ask for the file of an earlier result."""
        title = _("Add an earlier result of this patient")
        kinds = _("Result or DICOM SR (*.json *.dcm);;All files (*)")
        path = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, "", kinds)
        if path:
            self.add(path)

    def add(self, path):
        """Compare the result with an earlier one from a file."""
        with self.attempt(_("The earlier result could not be added."), waitCursor=True):
            self.logic.followUp.addEarlier(self.panel.volumeNode, path)
            self.panel.run.say(_("✓ Compared with {name}.").format(name=os.path.basename(path)))
            self.panel.updatePanel()

    def onLeaveOut(self):
        """Compare with the chosen file no more."""
        with self.attempt(_("The earlier result could not be left out.")):
            self.logic.followUp.leaveOut(self.panel.volumeNode, self._chosen())
            self.panel.updatePanel()

    def onSelected(self):
        """Another row was chosen: only what came from a file can be left out."""
        self.ui.leaveOutButton.enabled = bool(self._chosen())

    def _chosen(self):
        row = self.ui.earlierTable.currentRow()
        return self._files[row] if 0 <= row < len(self._files) else ""

    def _fill(self, rows):
        table = self.ui.earlierTable
        table.setRowCount(len(rows))
        for row, (_date, texts, name, own) in enumerate(rows):
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(toolTip(f"{name}: {text}"))
                font = item.font()
                font.setBold(own)
                item.setFont(font)
                table.setItem(row, column, item)
        fitHeight(table, len(rows))


def _change(document):
    """Return what the engine says of the change in BMD, and what the least significant change is."""
    if document is None or not document.get("follow_up"):
        return ""
    from OsteoScreenLib.reports import change
    from OsteoScreenLib.results_io import assemble

    result = assemble(document)
    sentences = change.follow_up_sentences(result)
    comparable = any(not each.not_comparable for each in result.follow_up)
    return inPanel("\n".join([*sentences, change.EXPLANATION] if comparable else sentences))


def _dateOf(entry):
    return entry["scan"]["study_date"] or ""


def _fileRow(entry):
    bmd = entry["kept"]["bmd_mg_cm3"]
    levels = ", ".join(name for name in bmd if name != "individual")
    return _dateOf(entry) or entry["name"], levels, f"{bmd['individual']:.0f}", _("from a file"), "–"


def _row(result):
    document = result.document()
    density, found = document["densitometry"], document["classification"] or {}
    scan = result.studyDate() or result.volumeNode.GetName()
    bmd = f"{density['bmd_mg_cm3']['individual']:.0f}" if density else "–"
    levels = ", ".join(
        name if level["confirmed"] else _("{level} (not confirmed)").format(level=name)
        for name, level in document["levels"].items()
    )
    decisions = document.get("decisions") or []
    if decisions and decisions[-1]["decision"] == "discarded":
        return scan, levels, "–", _("discarded"), "–"
    category = density["category"] if density else document["status"]
    return scan, levels, bmd, category, found.get("category") or "–"
