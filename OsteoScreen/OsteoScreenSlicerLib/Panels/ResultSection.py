"""Section 4: the measured BMD, the network's class beside it, and what stands against them."""

from slicer.i18n import tr as _

from ..Results import currentResult, unconfirmed
from ..Words import inPanel
from .CheckTable import showChecks
from .Section import Section

_BARS = {"normal": "normalBar", "osteopenia": "osteopeniaBar", "osteoporosis": "osteoporosisBar"}


class ResultSection(Section):
    """Has outlines measured and classified, and shows what came of it."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        self.ui.classifyButton.connect("clicked()", self.onClassify)

    def update(self):
        """Show the CT's result, and whether it is that of the scene as it is now."""
        volume = self.panel.volumeNode
        result, outdated = None, []
        if volume is not None:
            result, outdated = currentResult(volume, self.panel.names, self.logic.classification)
        self.ui.classifierComboBox.enabled = not self.panel.parameterNode.classificationBundle
        self.ui.outdatedLabel.visible = bool(outdated)
        told = _("! This result is older than the scene: {reasons} Press Measure and classify.")
        self.ui.outdatedLabel.text = told.format(reasons=" ".join(outdated)) if outdated else ""
        self._showBmd(result)
        self._showClass(result)
        for label in (self.ui.classLabel, self.ui.agreementLabel):
            label.visible = bool(label.text)
        against = [check for check in result.eligibility if check.outcome != "pass"] if result is not None else []
        showChecks(self.ui.warningsTable, against)

    def onClassify(self):
        """Measure the outlines as they are, and classify."""
        self.panel.run.screen(_("Measuring"))

    def _showBmd(self, result):
        if result is None:
            self.ui.bmdLabel.text = _("No result yet.")
        elif result.status == "refused":
            from OsteoScreenLib.reports import wording

            reasons = [check.message for check in result.eligibility if check.outcome == "refuse"]
            self.ui.bmdLabel.text = inPanel("\n".join([wording.title(result), *reasons]))
        elif _isDiscarded(result):
            from OsteoScreenLib.reports import decided

            told = _("✕ {sentence} {warning} They are in the table of every measure.")
            sentence = decided.decision_sentence(result)
            self.ui.bmdLabel.text = told.format(sentence=sentence, warning=decided.NOT_TO_BE_USED)
        else:
            self.ui.bmdLabel.text = inPanel("\n".join(_measured(result)))

    def _showClass(self, result):
        shown = result is not None and result.status != "refused" and not _isDiscarded(result)
        found = result.classification if shown else None
        shares = (found.probabilities or {}) if found is not None else {}
        for name, bar in _BARS.items():
            widget = getattr(self.ui, bar)
            widget.visible = bool(shares)
            widget.value = round(100 * shares.get(name, 0.0))
        if not shown:
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


def _isDiscarded(result):
    return bool(result.decisions) and result.decisions[-1].decision == "discarded"


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
