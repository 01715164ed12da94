"""Section 6: what is kept of the result: its page, result.json, every kind of output, DICOM objects for the archive."""

import os

import qt

import slicer
from slicer.i18n import tr as _

from ..Database import add, checkOpen
from ..Exports import copyInto
from ..Results import StudyResult
from ..StudyNodes import StudyNodes
from ..Views import showTable
from ..Words import inPanel
from .Saving import askForFile, withEnding
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
        self.kindsMenu = qt.QMenu(ui.saveAsButton)
        self.kindsMenu.toolTipsVisible = True
        # The engine's kinds are read when somebody wants one, so that opening the panel imports nothing for it.
        self.kindsMenu.connect("aboutToShow()", self.showKinds)
        ui.saveAsButton.setMenu(self.kindsMenu)
        ui.tableButton.connect("clicked()", self.onShowTable)
        ui.databaseButton.connect("clicked()", self.addToDatabase)
        ui.dicomFolderButton.connect("clicked()", self.onSaveDicom)

    def update(self):
        """Show what can be saved now, and why not where it cannot."""
        volume, running = self.panel.volumeNode, bool(self.panel.run.running)
        there = volume is not None and StudyResult(volume).document() is not None
        ui = self.ui
        for button in (ui.reportButton, ui.pdfButton, ui.csvButton, ui.resultButton, ui.saveAsButton):
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
        panel, path = self.panel, withEnding(path, ".html")
        panel.run.start(
            _("Saving the report"),
            lambda *callbacks: self.logic.exports.startPage(
                self.logic.workerProcess, panel.volumeNode, path, *callbacks
            ),
            self._saved,
        )

    def savePdf(self, path):
        """Save the result as a PDF of one sheet."""
        self.saveAs("pdf", path)

    def showKinds(self):
        """List in the menu what the result can be saved as, and why not where it cannot."""
        self.kindsMenu.clear()
        with self.attempt(_("The kinds of output could not be listed.")):
            for name, kind in self.logic.exports.kinds().items():
                action = self.kindsMenu.addAction(f"{name}: {kind.words}".replace("&", "&&"))
                action.connect("triggered()", lambda name=name: self.onSaveAs(name))
                reason = self.whyNoDicom if kind.is_dicom else ""
                action.enabled = not reason
                action.toolTip = reason or ", ".join(self.logic.exports.files(name))

    def onSaveAs(self, kind):
        """Ask for a file, or for a folder where the kind has several, and save the result there."""
        name, *more = self.logic.exports.files(kind)
        if not more:
            self._ask(f"{kind} (*{os.path.splitext(name)[1]})", name, lambda path: self.saveAs(kind, path))
            return
        title = _("Save {names} to a folder").format(names=", ".join((name, *more)))
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, "")
        if folder:
            self.saveAs(kind, folder)

    def saveAs(self, kind, path):
        """Save the result as a kind of output: to a file, or into a folder where the kind has several."""
        panel, exports = self.panel, self.logic.exports
        with self.attempt(_("The result could not be saved.")):
            name, *more = exports.files(kind)
        path = path if more else withEnding(path, os.path.splitext(name)[1])
        panel.run.start(
            _("Saving {kind}").format(kind=kind),
            lambda *callbacks: exports.start(self.logic.workerProcess, panel.volumeNode, kind, path, *callbacks),
            lambda paths: self._saved(", ".join(paths)),
            [exports.packages] if exports.kinds()[kind].packages else [],
        )

    def saveTable(self, path):
        """Save the result as a CSV table of one row."""
        with self.attempt(_("The table could not be saved."), waitCursor=True):
            self._saved(self.logic.exports.saveTable(self.panel.volumeNode, withEnding(path, ".csv")))

    def saveResult(self, path):
        """Save result.json."""
        with self.attempt(_("The result could not be saved."), waitCursor=True):
            self._saved(self.logic.exports.saveResult(self.panel.volumeNode, withEnding(path, ".json")))

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
        path = askForFile(_("Save the result"), kind, name, os.path.splitext(name)[1])
        if path:
            save(path)

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
