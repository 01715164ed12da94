"""The result in the scene: result.json as a text node, every measure as a table, and earlier results of the patient."""

import json

import vtk

import slicer
from slicer.i18n import tr as _

from .Diagnostics import LOGGER
from .Levels import StudyLevels
from .StudyNodes import LEVEL_NAMES, StudyNodes, patientItem, studiesInScene

_COLUMNS = ("measure", "level", "value", "unit")


class StudyResult:
    """The result of one CT, as the scene keeps it.

    :param volumeNode: the CT (vtkMRMLScalarVolumeNode).
    """

    def __init__(self, volumeNode):
        self.volumeNode = volumeNode
        self.nodes = StudyNodes(volumeNode)

    def document(self):
        """Return the result.json document (dict), None without a result; a damaged one counts as none."""
        return documentOf(self.nodes.result)

    def write(self, document, studyDate=None):
        """Keep a result.json document (dict) and its table in the scene."""
        node = self.nodes.getOrCreate("result", "vtkMRMLTextNode", _("result"))
        node.SetText(json.dumps(document, indent=2, ensure_ascii=False))
        node.SetForceCreateStorageNode(slicer.vtkMRMLTextNode.CreateStorageNodeAlways)
        node.SetAttribute("OsteoScreen.StudyDate", studyDate or "")
        table = self.nodes.getOrCreate("table", "vtkMRMLTableNode", _("measures"))
        fillTable(table, measures(document))

    def studyDate(self):
        """Return the date of the scan as ISO text, empty where the scan does not say."""
        return (self.nodes.result.GetAttribute("OsteoScreen.StudyDate") or "") if self.nodes.result else ""

    def outdated(self, levels, edited):
        """Return why the result is not that of the scene as it is now, in words; empty where it is.

        :param levels: {name: {slice_index, confirmed, ...}} of the scene now.
        :param edited: the levels whose outline differs from the one that was measured.
        """
        document = self.document()
        if document is None:
            return []
        measured = document.get("levels", {})
        reasons = self.remeasure(levels, edited)
        for name in sorted(set(measured) & set(levels)):
            before, now = measured[name], levels[name]
            if before["slice_index"] == now["slice_index"] and before["confirmed"] != now["confirmed"]:
                said = _("{level} was confirmed since.") if now["confirmed"] else _("{level} is no longer confirmed.")
                reasons.append(said.format(level=name))
        return reasons

    def remeasure(self, levels, edited):
        """Return why the result's measures are not those of the scene as it is now; arguments as for ``outdated``."""
        measured = (self.document() or {}).get("levels", {})
        reasons = []
        for name in sorted(set(measured) | set(levels)):
            before, now = measured.get(name), levels.get(name)
            if before is None or now is None:
                reasons.append(_("{level} was added or left out since.").format(level=name))
            elif before["slice_index"] != now["slice_index"]:
                reasons.append(_("{level} was moved since.").format(level=name))
        return reasons + [_("The outline of {level} was edited since.").format(level=name) for name in edited]


def documentOf(textNode):
    """Return the result.json document (dict) in a text node; None without one, or where it is damaged."""
    try:
        document = json.loads(textNode.GetText() or "") if textNode is not None else None
    except ValueError:
        return None
    return document if isinstance(document, dict) and "schema" in document else None


def unconfirmed(levels):
    """Return in a sentence (with a space before it) which levels no reader has confirmed; empty where all are.

    :param levels: {name: the engine's Level} of a result.
    """
    names = [
        _("{level} (suggested)").format(level=name) if level.set_by == "suggested" else name
        for name, level in levels.items()
        if not level.confirmed
    ]
    told = _(" ! No reader has confirmed {levels}: every value holds only if the level is right.")
    return told.format(levels=_(" and ").join(names)) if names else ""


def resultsOfPatient(volumeNode):
    """Return the StudyResults of the CT's patient in the scene, by date; those of the CT alone without a patient.

    Two CTs are of one patient where the subject hierarchy says so (it does for what comes from the DICOM database).
    """
    patient = patientItem(volumeNode)
    found = []
    for study in studiesInScene(volumeNode.GetScene()):
        same = study.volumeNode is volumeNode or (patient and patientItem(study.volumeNode) == patient)
        if same and StudyResult(study.volumeNode).document() is not None:
            found.append(StudyResult(study.volumeNode))
    return sorted(found, key=lambda result: result.studyDate())


def measures(document):
    """Return every measure of a result.json document (dict) as rows (measure, level, value, unit), all text.

    What was measured at a level that no reader has confirmed, or made from such, says so beside the level.
    """
    open_ = [name for name, level in document["levels"].items() if not level["confirmed"]]
    rows = [("status", "", document["status"], f"{' and '.join(open_)} not confirmed" if open_ else "")]
    rows += _decisionRows(document)
    for name, level in document["levels"].items():
        rows.append(("slice", name, str(level["slice_index"]), "index"))
        rows.append(("height (RAS S)", name, _number(level["z_mm"]), "mm"))
        rows.append(("set by", name, level["set_by"], ""))
        rows.append(("confirmed", name, "yes" if level["confirmed"] else "no", ""))
    for name, told in ((document.get("numbering") or {}).get("levels") or {}).items():
        rows.append(("probability of the level's name", name, _number(told["probability"]), "0 to 1"))
        rows.append(("lean of the body", name, _number(told["tilt_deg"]), "degrees"))
    measured = []
    for name, roi in document["roi"].items():
        known = [(label, roi[key], unit) for label, key, unit in _ROI_ROWS if roi.get(key) is not None]
        measured += [(label, name, _number(value), unit) for label, value, unit in known]
        measured.append(("outline from", name, roi["mask_source"], ""))
    measured += _densityRows(document["densitometry"])
    measured += _classRows(document)
    rows += [(label, _marked(level, open_), value, unit) for label, level, value, unit in measured]
    rows += _calibrationRows(document["densitometry"])
    rows += _changeRows(document)
    rows += [(f"check: {check['check']}", "", check["outcome"], check["message"]) for check in document["eligibility"]]
    rows += [
        (f"bundle: {use['role']}", "", f"{use['name']} {use['version']}", use["sha256"]) for use in document["bundles"]
    ]
    rows += [(f"software: {key}", "", str(value), "") for key, value in document["software"].items()]
    return rows


_ROI_ROWS = (
    ("mean attenuation", "mean_hu", "HU"),
    ("median attenuation", "median_hu", "HU"),
    ("SD of attenuation", "sd_hu", "HU"),
    ("pixels", "pixels", "count"),
    ("inset", "inset_mm", "mm"),
    ("area inside the inset", "area_mm2", "mm2"),
    ("area of the outline", "outline_area_mm2", "mm2"),
    ("mean attenuation of the outline", "outline_mean_hu", "HU"),
    ("mean attenuation of the circle", "circle_mean_hu", "HU"),
    ("area of the circle", "circle_area_mm2", "mm2"),
    ("confidence", "confidence", "0 to 1"),
)


def _marked(level, unconfirmedLevels):
    """Return a row's level, and that it is not confirmed; a row of no level of its own is made from all of them."""
    stands = level not in unconfirmedLevels if level in LEVEL_NAMES else not unconfirmedLevels
    return level if stands else f"{level} (not confirmed)".strip()


def _decisionRows(document):
    decisions = document.get("decisions") or []
    rows = []
    for number, decision in enumerate(decisions, 1):
        inForce = _("in force") if number == len(decisions) else _("earlier")
        rows.append(("decision", inForce, decision["decision"], ", ".join(decision["corrections"])))
        rows.append(("decided by", inForce, decision["by"], decision["at"]))
        if decision["comment"]:
            rows.append(("comment", inForce, decision["comment"], ""))
    return rows


def _changeRows(document):
    rows = []
    for number, change in enumerate(document.get("follow_up") or [], 1):
        days = change["interval_days"]
        which = _("earlier result {number}").format(number=number)
        if days is not None:
            rows.append(("interval", which, str(days), "days"))
        rows += [
            (f"change of BMD of {name}", which, _number(value), "mg/cm³")
            for name, value in change["change_mg_cm3"].items()
        ]
        rows.append(("least significant change", which, _number(change["least_significant_change_mg_cm3"]), "mg/cm³"))
        rows += [("not comparable", which, reason, "") for reason in change["not_comparable"]]
    return rows


def _densityRows(densitometry):
    if densitometry is None:
        return []
    unit = f"mg/cm³ {densitometry['calibration']['mineral']}"
    rows = [("BMD", name, _number(value), unit) for name, value in densitometry["bmd_mg_cm3"].items()]
    return [*rows, ("category (QCT)", "individual", densitometry["category"], "")]


def _calibrationRows(densitometry):
    if densitometry is None:
        return []
    calibration = densitometry["calibration"]
    return [
        ("calibration", "", calibration["source"], calibration.get("description", "")),
        ("calibration slope", "", _number(calibration["slope"]), "mg/cm³ per HU"),
        ("calibration intercept", "", _number(calibration["intercept"]), "mg/cm³"),
        ("calibration uncertainty", "", _number(calibration["uncertainty_mg_cm3"]), "mg/cm³"),
    ]


def _classRows(document):
    found = document["classification"]
    if found is None or found["category"] is None:
        return [("class", "", _("none"), (found or {}).get("reason") or "")]
    rows = [("class", "", found["category"], found["model"] or "")]
    rows += [(f"probability of {name}", "", _number(share), "0 to 1") for name, share in found["probabilities"].items()]
    if document["agreement"] is not None:
        rows.append(("agreement of class and BMD", "", "yes" if document["agreement"] else "no", ""))
    return rows


def fillTable(tableNode, rows):
    """Make the table hold ``rows`` (measure, level, value, unit), and nothing else."""
    with slicer.util.NodeModify(tableNode):
        tableNode.RemoveAllColumns()
        for index, title in enumerate(_COLUMNS):
            column = vtk.vtkStringArray()
            column.SetName(title)
            for row in rows:
                column.InsertNextValue(row[index])
            tableNode.AddColumn(column)
        tableNode.SetUseColumnTitleAsColumnHeader(False)


def _number(value):
    return repr(float(value)) if isinstance(value, float) else str(value)


def currentResult(volumeNode, names, classification):
    """Return a CT's result (the engine's ScreeningResult) and why it is outdated; (None, []) without one.

    :param names: the levels that are used.
    :param classification: Networks.ClassificationLogic, which knows the outlines that were measured.
    """
    from OsteoScreenLib.results_io import assemble

    study = StudyResult(volumeNode)
    document = study.document()
    if document is None:
        return None, []
    try:
        result = assemble(document)
        now = levelsNow(volumeNode, names)
        return result, study.outdated(now, classification.editedSince(volumeNode, document))
    except Exception as error:  # a result of another version, or a CT that was moved since
        LOGGER.warning("The result in the scene cannot be shown: %s", type(error).__name__)
        return None, []


def levelsNow(volumeNode, names):
    """Return {name: {slice_index, confirmed}} of the levels among ``names`` that the scene has."""
    levels = StudyLevels(volumeNode)
    return {
        name: {"slice_index": levels.sliceIndex(name), "confirmed": levels.isConfirmed(name)}
        for name in names
        if levels.position(name) is not None
    }
