"""The change in BMD since earlier results of the patient: those of the scene, and those that were added from files."""

import json
from dataclasses import asdict
from datetime import date

import slicer
from slicer.i18n import tr as _

from .Diagnostics import LOGGER
from .Errors import ModuleError
from .Results import StudyResult, resultsOfPatient
from .StudyNodes import StudyNodes, patientItem

# On a result's node: the facility's own precision error in mg/cm3, where its calibration file has it.
PRECISION_ATTRIBUTE = "OsteoScreen.Precision"


class FollowUpLogic:
    """Compares results of the same patient in the scene; the comparisons are part of the results.

    :param ctReader: Volumes.CtReader, which knows the DICOM headers.
    """

    def __init__(self, ctReader):
        self._ctReader = ctReader

    def refresh(self, volumeNode):
        """Compare every result of the CT's patient in the scene with those before it, anew."""
        for study in resultsOfPatient(volumeNode):
            try:
                self._compareAnew(study)
            except Exception as error:  # a result of another version, or a header that is gone: it stays as it is
                LOGGER.warning("A result could not be compared with earlier ones: %s", type(error).__name__)

    def addEarlier(self, volumeNode, path):
        """Compare the CT's result with an earlier one from a file (result.json, or a DICOM SR of this program).

        Returns the FollowUp.

        :raises ModuleError: there is no BMD to compare. OsteoScreenError where the file cannot be used.
        """
        from OsteoScreenLib.follow_up import EarlierResults, read_earlier
        from OsteoScreenLib.results_io import assemble

        study = StudyResult(volumeNode)
        document = study.document()
        now = self._scan(study, assemble(document)) if document is not None else None
        if now is None:
            raise ModuleError(_("There is no BMD of this CT to compare with yet; press Screen first."))
        # Refuses what is of another patient, or of this very scan.
        (change,) = EarlierResults([path]).changes(now, _precision(study))
        kept = [entry for entry in earlierFromFiles(volumeNode) if entry["name"] != read_earlier(path).name]
        _keepEarlier(volumeNode, [*kept, _described(read_earlier(path))])
        self.refresh(volumeNode)
        return change

    def leaveOut(self, volumeNode, name):
        """Compare the CT's result with the file ``name`` no more."""
        _keepEarlier(volumeNode, [entry for entry in earlierFromFiles(volumeNode) if entry["name"] != name])
        self.refresh(volumeNode)

    def _compareAnew(self, study):
        from OsteoScreenLib.results_io import assemble, to_dict

        document = study.document()
        result = assemble(document)
        result.follow_up = self._changes(study, result)
        changed = to_dict(result)
        if changed["follow_up"] != (document.get("follow_up") or []):
            study.write(changed, study.studyDate())

    def _changes(self, study, result):
        """Return the changes since the earlier results, the oldest first and those of unknown age last."""
        from OsteoScreenLib.follow_up import compared

        now = self._scan(study, result)
        if now is None:
            return []
        earlier = [*self._earlierInScene(study, now), *map(_read, earlierFromFiles(study.volumeNode))]
        found = [compared(now, then, kept, _precision(study)) for then, kept in earlier]
        return sorted(found, key=lambda change: (change.interval_days is None, -(change.interval_days or 0)))

    def _earlierInScene(self, study, now):
        """Return (ComparedScan, EarlierResult) of each result of the patient whose scan was made before this one."""
        from OsteoScreenLib.follow_up.comparing import EARLIER_RESULT
        from OsteoScreenLib.results import EarlierResult
        from OsteoScreenLib.results_io import assemble

        found = []
        for other in resultsOfPatient(study.volumeNode):
            then = self._scan(other, assemble(other.document()), EARLIER_RESULT)
            if then is None or None in (then.study_date, now.study_date) or then.study_date >= now.study_date:
                continue
            # A date belongs to the patient's identity, which a result holds only where it was asked for.
            kept = EarlierResult(None, dict(then.bmd_mg_cm3), then.mineral, then.calibration, "result.json")
            found.append((then, kept))
        return found

    def _scan(self, study, result, called=None):
        from OsteoScreenLib.follow_up import THIS_RESULT, parsed_date, scan_of_result

        patient = self._patientID(study.volumeNode)
        return scan_of_result(result, parsed_date(study.studyDate()), patient, called=called or THIS_RESULT)

    def _patientID(self, volumeNode):
        """Return the patient's number, by the CT's header or by the subject hierarchy; empty where neither has it."""
        found = self._ctReader.patientID(volumeNode)
        item = patientItem(volumeNode)
        if found or not item:
            return found
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volumeNode.GetScene())
        attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMPatientIDAttributeName()
        return (hierarchy.GetItemAttribute(item, attribute) or "").strip()


def earlierFromFiles(volumeNode):
    """Return the earlier results that were added to a CT from files, as dicts with name, kept and scan."""
    node = StudyNodes(volumeNode).earlier
    try:
        entries = json.loads(node.GetText() or "[]") if node is not None else []
        return [entry for entry in entries if entry["name"] and _read(entry)]
    except (ValueError, KeyError, TypeError):  # a damaged scene
        return []


def _keepEarlier(volumeNode, entries):
    text = json.dumps(entries, ensure_ascii=False)
    StudyNodes(volumeNode).keepText("earlier", _("earlier results"), text)


def _described(study):
    """Return an EarlierStudy as plain JSON values."""
    scan = asdict(study.scan)
    scan["study_date"] = study.scan.study_date.isoformat() if study.scan.study_date else None
    return {"name": study.name, "kept": asdict(study.kept), "scan": scan}


def _read(entry):
    """Return the (ComparedScan, EarlierResult) of ``_described``; the result is without its date."""
    from OsteoScreenLib.follow_up import ComparedScan
    from OsteoScreenLib.results import EarlierResult

    scan = dict(entry["scan"])
    scan["study_date"] = date.fromisoformat(scan["study_date"]) if scan["study_date"] else None
    scan["problems"] = tuple(scan["problems"])
    return ComparedScan(**scan), EarlierResult(**{**entry["kept"], "date": None})


def _precision(study):
    text = study.nodes.result.GetAttribute(PRECISION_ATTRIBUTE)
    return float(text) if text else None
