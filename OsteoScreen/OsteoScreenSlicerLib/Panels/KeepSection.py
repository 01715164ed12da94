"""Section 6: what is kept of the result: page, PDF, table, result.json, and DICOM objects for the archive."""

import qt

import slicer
from slicer.i18n import tr as _

from ..Database import add, checkOpen
from ..Exports import copyInto
from ..Results import StudyResult
from ..StudyNodes import StudyNodes
from ..Views import showTable
from ..Words import inPanel
from .Section import Section


class KeepSection(Section):
    """Saves the result where the user says."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        # Why no DICOM object can be made of the result, in words; empty where one can. As of the last update.
        self.whyNoDicom = ""
        ui = self.ui
        ui.reportButton.connect("clicked()", lambda: self._ask(_("HTML page (*.html)"), "report.html", self.savePage))
        ui.pdfButton.connect("clicked()", lambda: self._ask(_("PDF (*.pdf)"), "report.pdf", self.savePdf))
        ui.csvButton.connect("clicked()", lambda: self._ask(_("Table (*.csv)"), "measures.csv", self.saveTable))
        ui.resultButton.connect("clicked()", lambda: self._ask(_("Result (*.json)"), "result.json", self.saveResult))
        ui.tableButton.connect("clicked()", self.onShowTable)
        ui.databaseButton.connect("clicked()", self.addToDatabase)
        ui.dicomFolderButton.connect("clicked()", self.onSaveDicom)

    def update(self):
        """Show what can be saved now, and why not where it cannot."""
        volume, running = self.panel.volumeNode, bool(self.panel.run.running)
        there = volume is not None and StudyResult(volume).document() is not None
        for button in (self.ui.reportButton, self.ui.pdfButton, self.ui.csvButton, self.ui.resultButton):
            button.enabled = there and not running
        self.ui.tableButton.enabled = there
        self.whyNoDicom = reason = self._whyNoDicom()
        self.ui.dicomLabel.text = reason if there else ""
        self.ui.dicomLabel.visible = bool(self.ui.dicomLabel.text)
        tip = _("Segmentation, report of measurements (SR), pictures and PDF of this result, as DICOM objects.")
        for button in (self.ui.databaseButton, self.ui.dicomFolderButton):
            button.enabled = not reason and not running
            button.toolTip = reason or tip

    def savePage(self, path):
        """Save the page of the result to a file."""
        path = _ending(path, ".html", ".htm")
        self._start(_("Saving the report"), self.logic.exports.startPage, path)

    def savePdf(self, path):
        """Save the result as a PDF of one sheet."""
        path = _ending(path, ".pdf")
        self._start(_("Saving the PDF"), self.logic.exports.startPdf, path, [self.logic.exports.packages])

    def saveTable(self, path):
        """Save the result as a CSV table of one row."""
        with self.attempt(_("The table could not be saved."), waitCursor=True):
            self._saved(self.logic.exports.saveTable(self.panel.volumeNode, _ending(path, ".csv")))

    def saveResult(self, path):
        """Save result.json."""
        with self.attempt(_("The result could not be saved."), waitCursor=True):
            self._saved(self.logic.exports.saveResult(self.panel.volumeNode, _ending(path, ".json")))

    def addToDatabase(self):
        """Add the result's DICOM objects to Slicer's DICOM database."""

        def accept(paths):
            add(paths)
            return paths

        with self.attempt(_("The DICOM objects could not be added.")):
            checkOpen()
        told = _("✓ {count} DICOM objects of this result are in Slicer's DICOM database.")
        self._startDicom(_("Writing the DICOM objects"), accept, told)

    def onSaveDicom(self):
        """Ask for a folder, and write the result's DICOM objects into it."""
        title = _("Save the DICOM objects to a folder")
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, "")
        if folder:
            self.saveDicom(folder)

    def saveDicom(self, folder):
        """Write the result's DICOM objects into a folder."""
        told = _("✓ Saved {count} DICOM objects.")
        self._startDicom(_("Saving the DICOM objects"), lambda paths: copyInto(paths, folder), told)

    def onShowTable(self):
        """Show the table of every measure in the views."""
        with self.attempt(_("The table could not be shown.")):
            showTable(StudyNodes(self.panel.volumeNode).table)

    def _whyNoDicom(self):
        try:
            return self.logic.exports.whyNoDicom(self.panel.volumeNode)
        except Exception as error:  # a CT that cannot be measured, or a result of another version
            return inPanel(str(error))

    def _ask(self, kind, name, save):
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Save the result"), name, kind)
        if path:
            save(path)

    def _start(self, what, start, path, packages=()):
        panel = self.panel
        panel.run.start(
            what,
            lambda *callbacks: start(self.logic.workerProcess, panel.volumeNode, path, *callbacks),
            self._saved,
            packages,
        )

    def _startDicom(self, what, accept, told):
        panel, exports = self.panel, self.logic.exports
        panel.run.start(
            what,
            lambda *callbacks: exports.startDicom(self.logic.workerProcess, panel.volumeNode, accept, *callbacks),
            lambda paths: panel.run.say(told.format(count=len(paths))),
            [exports.packages],
        )

    def _saved(self, path):
        self.panel.run.say(_("✓ Saved {path}").format(path=path))


def _ending(path, *endings):
    return path if path.lower().endswith(endings) else f"{path}{endings[0]}"
