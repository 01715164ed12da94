"""Section 4: the measured BMD, the network's class beside it, what stands against them, and earlier results."""

import qt

import slicer
from slicer.i18n import tr as _

from ..Results import currentResult, resultsOfPatient, unconfirmed
from ..Words import inPanel
from .CheckTable import fitHeight, showChecks, toolTip
from .Section import Section

_BARS = {"normal": "normalBar", "osteopenia": "osteopeniaBar", "osteoporosis": "osteoporosisBar"}


class ResultSection(Section):
    """Has outlines measured and classified, shows what came of it, and keeps it."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        self.ui.classifyButton.connect("clicked()", self.onClassify)
        self.ui.reportButton.connect("clicked()", self.onSaveReport)
        self.ui.tableButton.connect("clicked()", self.onShowTable)

    def update(self):
        """Show the CT's result, whether it is that of the scene as it is now, and the patient's other results."""
        volume = self.panel.volumeNode
        result, outdated, earlier = None, [], []
        if volume is not None:
            result, outdated = currentResult(volume, self.panel.names, self.logic.classification)
            earlier = resultsOfPatient(volume)
        self.ui.classifierComboBox.enabled = not self.panel.parameterNode.classificationBundle
        self.ui.outdatedLabel.visible = bool(outdated)
        told = _("! This result is older than the scene: {reasons} Press Measure and classify.")
        self.ui.outdatedLabel.text = told.format(reasons=" ".join(outdated)) if outdated else ""
        self.ui.reportButton.enabled = self.ui.tableButton.enabled = result is not None
        self._showBmd(result)
        self._showClass(result)
        against = [check for check in result.eligibility if check.outcome != "pass"] if result is not None else []
        showChecks(self.ui.warningsTable, against)
        self._showEarlier(earlier)

    def onClassify(self):
        """Measure the outlines as they are, and classify."""
        self.panel.run.screen(_("Measuring"))

    def onSaveReport(self):
        """Ask for a file, and save the page of the result."""
        title, kind = _("Save the report"), _("HTML page (*.html)")
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, "report.html", kind)
        if path:
            self.saveReport(path)

    def saveReport(self, path):
        """Save the page of the result to a file."""
        path = path if path.lower().endswith((".html", ".htm")) else f"{path}.html"
        self.panel.run.start(
            _("Saving the report"),
            lambda *callbacks: self.logic.startReport(self.panel.volumeNode, path, *callbacks),
            lambda done: self.panel.run.say(_("✓ Saved {path}").format(path=done["written"])),
        )

    def onShowTable(self):
        """Show the table of every measure in the views."""
        with self.attempt(_("The table could not be shown.")):
            self.logic.showTable(self.panel.volumeNode)

    def _showBmd(self, result):
        if result is None:
            self.ui.bmdLabel.text = _("No result yet.")
        elif result.status == "refused":
            from OsteoScreenLib.reports import wording

            reasons = [check.message for check in result.eligibility if check.outcome == "refuse"]
            self.ui.bmdLabel.text = inPanel("\n".join([wording.title(result), *reasons]))
        else:
            self.ui.bmdLabel.text = inPanel("\n".join(_measured(result)))

    def _showClass(self, result):
        found = result.classification if result is not None else None
        shares = (found.probabilities or {}) if found is not None else {}
        for name, bar in _BARS.items():
            widget = getattr(self.ui, bar)
            widget.visible = bool(shares)
            widget.value = round(100 * shares.get(name, 0.0))
        if result is None or result.status == "refused":
            self.ui.classLabel.text = self.ui.agreementLabel.text = ""
            return
        from OsteoScreenLib.reports import opinion

        if found is None or found.category is None:
            self.ui.classLabel.text, self.ui.agreementLabel.text = inPanel(opinion.sentence(result)), ""
            return
        told = _("Network's class: {category}, by {model}, on {device}.").format(
            category=found.category, model=opinion.model(found), device=result.software.get("device", "")
        )
        self.ui.classLabel.text = told + _levelNote(result)
        lines = [opinion.agreement(result), *opinion.notes(result)]
        places = opinion.places_to_look(result)
        lines += [_("Where to look, in this order:"), *places] if places else []
        self.ui.agreementLabel.text = "\n".join(lines)

    def _showEarlier(self, results):
        table = self.ui.earlierTable
        table.setRowCount(len(results))
        for row, result in enumerate(results):
            for column, text in enumerate(_row(result)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(toolTip(f"{result.volumeNode.GetName()}: {text}"))
                font = item.font()
                font.setBold(result.volumeNode is self.panel.volumeNode)
                item.setFont(font)
                table.setItem(row, column, item)
        self.ui.earlierLabel.visible = bool(results)
        fitHeight(table, len(results))


def _measured(result):
    """Return what was measured: BMD with its category and calibration, the attenuation, and the confidence."""
    from OsteoScreenLib.reports import wording
    from OsteoScreenLib.reports.phrases import bmd_number, mineral, number

    measured, lines = result.densitometry, [unconfirmed(result.levels).strip()]
    if measured is not None:
        calibration = measured.calibration
        lines.append(
            _("BMD {bmd} ± {reach} mg/cm³ {mineral}: {category} (QCT criterion)").format(
                bmd=bmd_number(measured.bmd_mg_cm3["individual"]),
                reach=number(calibration.uncertainty_mg_cm3, 0),
                mineral=mineral(calibration.mineral),
                category=measured.category,
            )
        )
        lines.append(_("Calibration: {source}.").format(source=wording.CALIBRATION_SOURCES[calibration.source]))
        lines.append(wording.borderline(measured) or "")
    means = [f"{name} {number(roi.mean_hu, 0)} HU" for name, roi in result.roi.items()]
    lines.append(_("Trabecular attenuation: {means}.").format(means=", ".join(means)))
    lines.append(_confidence(result))
    return [line for line in lines if line]


def _levelNote(result):
    everyone = all(level.confirmed for level in result.levels.values())
    return "" if everyone else " " + _("(level not confirmed)")


def _confidence(result):
    from OsteoScreenLib.reports.phrases import number

    told = [
        _("{level} {value}").format(level=name, value=number(roi.confidence, 2))
        if roi.mask_source == "model"
        else _("{level} drawn or edited by the user").format(level=name)
        for name, roi in result.roi.items()
    ]
    return _("Confidence of the outlines (0 to 1): {told}.").format(told=", ".join(told))


def _row(result):
    document = result.document()
    density, found = document["densitometry"], document["classification"] or {}
    scan = result.studyDate() or result.volumeNode.GetName()
    bmd = f"{density['bmd_mg_cm3']['individual']:.0f}" if density else "–"
    levels = ", ".join(
        name if level["confirmed"] else _("{level} (not confirmed)").format(level=name)
        for name, level in document["levels"].items()
    )
    category = density["category"] if density else document["status"]
    return scan, levels, bmd, category, found.get("category") or "–"
