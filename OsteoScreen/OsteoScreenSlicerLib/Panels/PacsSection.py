"""The section of the PACS: find a study on a DICOMweb server, fetch and load a series, send the result's objects.

What stands in its fields is no part of the parameter node: a scene must neither carry patients' numbers that were
searched for, nor bring the address of a server that data and passwords would go to.
"""

import qt

from slicer.i18n import tr as _

from ..Pacs import PacsAccess
from ..Words import inPanel
from .CheckTable import fitHeight, toolTip
from .WorkSection import WorkSection

_STORED = ("stored", "stored with a warning", "was there already", "was sent before")


class PacsSection(WorkSection):
    """Talks to the server that is typed in, one thing at a time, beside what else runs."""

    def __init__(self, panel):
        WorkSection.__init__(self, panel, panel.ui.pacsLabel, panel.ui.pacsProgressBar)
        self._studies, self._series = [], []
        ui = self.ui
        ui.serverComboBox.addItems(self.logic.pacs.servers())
        ui.serverComboBox.setCurrentIndex(-1)
        ui.serverComboBox.setEditText("")
        ui.serverComboBox.connect("editTextChanged(QString)", lambda _text: self.onServer())
        ui.insecureHttpCheckBox.connect("toggled(bool)", lambda _checked: self.onServer())
        ui.findStudiesButton.connect("clicked()", self.onFind)
        ui.studiesTable.connect("itemSelectionChanged()", self.onStudy)
        ui.seriesTable.connect("itemSelectionChanged()", self.update)
        ui.fetchSeriesButton.connect("clicked()", self.onFetch)
        ui.sendObjectsButton.connect("clicked()", self.onSend)
        ui.pacsCancelButton.connect("clicked()", self.onCancel)
        self._showStudies([])

    def packages(self):
        """Return what talking to a server needs."""
        return self.logic.pacs.packages

    def stop(self):
        """Stop what runs; what a server has taken already is remembered."""
        self.logic.pacs.cancel()

    def update(self):
        """Show which server is meant, and what can be done with it now."""
        ui, running = self.ui, bool(self._running)
        host, reason = self._host()
        ui.findStudiesButton.text = _("Find on {host}").format(host=host) if host else _("Find")
        ui.findStudiesButton.toolTip = reason or _("Ask {host} for studies; what is empty does not matter.").format(
            host=host
        )
        ui.findStudiesButton.enabled = bool(host) and not running
        ui.fetchSeriesButton.enabled = bool(host) and not running and self._chosenSeries() is not None
        ui.studiesTable.enabled = ui.seriesTable.enabled = not running
        whyNot = reason or self.panel.keep.whyNoDicom
        ui.sendObjectsButton.text = _("Send this result to {host}").format(host=host) if host else _("Send this result")
        told = _("Send the segmentation, SR, pictures and PDF of this result to {host}, with the patient's identity.")
        ui.sendObjectsButton.toolTip = whyNot or told.format(host=host)
        ui.sendObjectsButton.enabled = not whyNot and not running
        ui.pacsCancelButton.enabled = ui.pacsProgressBar.visible = running

    def onServer(self):
        """Another server is meant: what the one before had is not there."""
        self._showStudies([])
        self.say("")
        self.update()

    def onFind(self):
        """Find studies on the server."""
        ui = self.ui
        wanted = {
            "patient_id": ui.patientIdLineEdit.text.strip(),
            "accession": ui.accessionLineEdit.text.strip(),
            "study_date": ui.studyDateLineEdit.text.strip(),
            "modality": "CT",
        }
        self._showStudies([])
        self.start(
            _("Finding studies"),
            lambda *callbacks: self.logic.pacs.startFinding(self.access(), wanted, *callbacks),
            self._onFound,
        )

    def onStudy(self):
        """Another study was chosen: ask for its series."""
        study = _chosen(self.ui.studiesTable, self._studies)
        self._showSeries([])
        if study is not None and not self._running:
            self.start(
                _("Looking into the study"),
                lambda *callbacks: self.logic.pacs.startLooking(self.access(), study["uid"], *callbacks),
                self._onLooked,
            )

    def onFetch(self):
        """Fetch the chosen series into Slicer's DICOM database, and load it."""
        study, series = _chosen(self.ui.studiesTable, self._studies), self._chosenSeries()
        self.start(
            _("Fetching"),
            lambda *callbacks: self.logic.pacs.startFetching(self.access(), study["uid"], series["uid"], *callbacks),
            self._onFetched,
        )

    def onSend(self):
        """Send the result's DICOM objects to the server that the button names."""
        self.start(
            _("Sending"),
            lambda *callbacks: self.logic.pacs.startSending(self.access(), self.panel.volumeNode, *callbacks),
            self._onSent,
            [self.logic.exports.packages],
        )

    def onCancel(self):
        """Stop what is running."""
        if self._running:
            self.cancel()
            self.say(_("Stopped; the same again goes on where it was."))

    def access(self):
        """Return which server is meant, and as whom."""
        ui = self.ui
        return PacsAccess(
            ui.serverComboBox.currentText,
            ui.pacsUserLineEdit.text,
            ui.pacsPasswordLineEdit.text,
            ui.keepCredentialsCheckBox.checked,
            ui.insecureHttpCheckBox.checked,
        )

    def _host(self):
        """Return host and port of the server, and "" or why there is none."""
        if not self.ui.serverComboBox.currentText.strip():
            return "", _("Give the server's address first, such as https://host/dicom-web.")
        try:
            return self.access().host, ""
        except Exception as error:  # half an address, while it is typed
            return "", inPanel(str(error))

    def _onFound(self, found):
        studies, more = found
        self._forgetPassword()
        self._showStudies(studies)
        told = _("Studies with CT: {count}.") if studies else _("No study with CT fits; change what is searched for.")
        told = told.format(count=len(studies))
        self.say(told + (" " + _("There are more; narrow the search.") if more else ""))

    def _onLooked(self, series):
        self._showSeries(series)
        self.say(_("Choose a series, and press Fetch and load."))

    def _onFetched(self, volumeNode):
        # The panel may have been left meanwhile, and follows no parameter node then.
        self.logic.getParameterNode().inputVolume = volumeNode
        self.say(_("✓ {name} is in Slicer's DICOM database, and chosen as the CT.").format(name=volumeNode.GetName()))

    def _onSent(self, results):
        self._forgetPassword()
        lines = [
            f"{each['name']}: {each['outcome']}" + (f" ({each['reason']})" if each["reason"] else "")
            for each in results
        ]
        stored = sum(each["outcome"] in _STORED for each in results)
        told = _("✓ All {total} objects are on {host}.") if stored == len(results) else _("✕ {stored} of {total} sent.")
        lines.insert(0, told.format(stored=stored, total=len(results), host=self._host()[0]))
        self.say("\n".join(lines))

    def _forgetPassword(self):
        """Empty the password, once the keyring has it."""
        if self.ui.keepCredentialsCheckBox.checked and self.ui.pacsPasswordLineEdit.text:
            self.ui.pacsUserLineEdit.text = self.ui.pacsPasswordLineEdit.text = ""
            self.ui.keepCredentialsCheckBox.checked = False

    def _chosenSeries(self):
        return _chosen(self.ui.seriesTable, self._series)

    def _showStudies(self, studies):
        self._studies = studies
        rows = [(study["date"], study["patient_id"], study["description"]) for study in studies]
        _fill(self.ui.studiesTable, rows, [_wholeStudy(study) for study in studies])
        self._showSeries([])

    def _showSeries(self, series):
        self._series = series
        rows = [(each["modality"], _number(each["instances"]), each["description"]) for each in series]
        _fill(self.ui.seriesTable, rows, [_wholeSeries(each) for each in series])


def _chosen(table, entries):
    row = table.currentRow()
    chosen = table.selectionModel() is not None and table.selectionModel().hasSelection
    return entries[row] if chosen and 0 <= row < len(entries) else None


def _fill(table, rows, tips):
    table.blockSignals(True)
    table.clearSelection()
    table.setRowCount(len(rows))
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(toolTip(tips[row]))
            table.setItem(row, column, item)
    fitHeight(table, len(rows))
    table.blockSignals(False)


def _wholeStudy(study):
    told = (study["patient_name"], study["patient_id"], study["date"], study["description"], study["accession"])
    return ", ".join(text for text in (*told, "/".join(study["modalities"])) if text)


def _wholeSeries(series):
    thickness = _("{thickness} mm").format(thickness=series["thickness_mm"]) if series["thickness_mm"] else ""
    told = (series["modality"], series["description"], series["kernel"], thickness)
    return ", ".join(text for text in told if text)


def _number(value):
    return "" if value is None else str(value)
