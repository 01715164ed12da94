"""What is kept of a result: PDF, table, result.json, FHIR, added kinds and DICOM objects, and why there are none."""

import csv
import glob
import json
import os
import shutil
import sys
import tempfile
from unittest import mock

import numpy as np

import slicer

from DicomPhantom import PATIENT, DicomTestCase
from OsteoScreenSlicerLib import Packages as packages
from OsteoScreenSlicerLib import Worker as worker
from OsteoScreenSlicerLib.Errors import MissingPackages, ModuleError
from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenTestCase import L1_SLICE, L2_SLICE, OsteoScreenTestCase


# A kind of output as Docs/extending.md tells to add one, of a single file.
ADDED = """
from .registry import OutputKind, writes


@writes({"words": OutputKind(("words.txt",), "the result in words & sentences")})
def write_words(output):
    from ...results_io import write_text_atomically
    from ..wording import summary

    decisions = output.screening.result.decisions
    if decisions and decisions[-1].decision == "accepted":
        return {}
    if decisions:
        return {"words": "The result was decided on, so there are no words."}
    write_text_atomically("\\n".join(summary(output.screening.result)), output.folder / "words.txt")
"""


def headers(paths):
    """Return the data sets of DICOM files."""
    import pydicom

    return [pydicom.dcmread(path) for path in paths]


def listed(keep):
    """Return the actions of the menu of kinds by the kind's name, as it opens."""
    keep.showKinds()
    return {action.text.split(":")[0]: action for action in keep.kindsMenu.actions()}


def saveInto(keep, folder, kind):
    """Choose a kind in the menu; ``folder`` stands for what is answered to the dialog."""
    with mock.patch.object(keep, "_ask", lambda _kind, name, save: save(os.path.join(folder, name))):
        listed(keep)[kind].trigger()


class FileTest(OsteoScreenTestCase):
    """PDF, table, result.json and FHIR, which any CT may have."""

    def setUp(self):
        OsteoScreenTestCase.setUp(self)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.volume = self.choose(self.phantom())

    def screen(self):
        self.logic.screen(self.volume, l1=f"#{L1_SLICE}", l2=f"#{L2_SLICE}")
        self.settle()

    def test_without_a_result_nothing_can_be_kept(self):
        for name in ("report", "pdf", "csv", "result", "saveAs", "database", "dicomFolder"):
            self.assertFalse(getattr(self.ui, f"{name}Button").enabled, name)
        with self.assertRaisesRegex(ModuleError, "no result to save"):
            self.logic.exports.savePdf(self.volume, os.path.join(self.folder, "a.pdf"))

    def test_the_pdf_is_one_sheet_and_gets_its_ending(self):
        self.screen()
        self.widget.keep.savePdf(os.path.join(self.folder, "sheet"))
        self.waitUntilDone()
        with open(os.path.join(self.folder, "sheet.pdf"), "rb") as file:
            content = file.read()
        self.assertTrue(content.startswith(b"%PDF-"))
        self.assertEqual(content.count(b"/Type /Page\n") + content.count(b"/Type /Page "), 1)
        self.assertIn("sheet.pdf", self.ui.statusLabel.text)

    def test_a_file_that_the_dialog_did_not_ask_about_is_replaced_only_if_the_user_agrees(self):
        from OsteoScreenSlicerLib.Panels.Saving import agreedName

        typed = os.path.join(self.folder, "mine")
        self.assertEqual(agreedName(typed, ".csv"), f"{typed}.csv")
        with open(f"{typed}.csv", "w", encoding="utf-8") as file:
            file.write("kept")
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=False) as asked:
            self.assertEqual(agreedName(typed, ".csv"), "")
        self.assertIn("mine.csv", asked.call_args.args[0])
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=True):
            self.assertEqual(agreedName(typed, ".csv"), f"{typed}.csv")
        with mock.patch("slicer.util.confirmYesNoDisplay", side_effect=AssertionError("the dialog has asked")):
            self.assertEqual(agreedName(f"{typed}.csv", ".csv"), f"{typed}.csv")

    def test_the_table_and_the_result_hold_the_measures(self):
        from OsteoScreenLib.results_io import read_result

        self.screen()
        self.widget.keep.saveTable(os.path.join(self.folder, "measures.csv"))
        self.widget.keep.saveResult(os.path.join(self.folder, "result"))
        bmd = self.document(self.volume)["densitometry"]["bmd_mg_cm3"]["individual"]
        with open(os.path.join(self.folder, "measures.csv"), encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file)
        self.assertAlmostEqual(float(row["bmd_mg_cm3"]), bmd, places=3)
        result = read_result(os.path.join(self.folder, "result.json"))
        self.assertEqual(result.densitometry.bmd_mg_cm3["individual"], bmd)

    def test_fhir_holds_the_measures_and_not_the_patient(self):
        self.screen()
        self.assertTrue(self.ui.saveAsButton.enabled)
        saveInto(self.widget.keep, self.folder, "fhir")
        self.waitUntilDone()
        self.assertEqual(os.listdir(self.folder), ["fhir.json"], self.ui.statusLabel.text)
        with open(os.path.join(self.folder, "fhir.json"), encoding="utf-8") as file:
            entries = [entry["resource"] for entry in json.load(file)["entry"]]
        (report,) = [each for each in entries if each["resourceType"] == "DiagnosticReport"]
        self.assertEqual(report["status"], "preliminary")
        values = [each["valueQuantity"] for each in entries if "valueQuantity" in each]
        found = sorted(value["value"] for value in values if value["code"] == "mg/cm3")
        np.testing.assert_allclose(found, sorted(self.document(self.volume)["densitometry"]["bmd_mg_cm3"].values()))
        self.assertNotIn("Patient", [each["resourceType"] for each in entries])

    def test_the_menu_has_every_kind_and_says_what_this_ct_cannot_give(self):
        from OsteoScreenLib.reports.kinds import OUTPUT_KINDS

        self.screen()
        actions = listed(self.widget.keep)
        self.assertEqual(list(actions), list(OUTPUT_KINDS))
        for name, kind in OUTPUT_KINDS.items():
            self.assertEqual(actions[name].text, f"{name}: {kind.words}")
            self.assertEqual(actions[name].enabled, not kind.is_dicom, name)
        self.assertIn("did not come from Slicer's DICOM database", actions["sr"].toolTip)
        with self.assertRaisesRegex(ModuleError, "cannot be saved as picture; choose among .*fhir"):
            self.logic.exports.save(self.volume, "picture", os.path.join(self.folder, "a.png"))
        with self.assertRaisesRegex(ModuleError, "fhir.json cannot be written to .*nowhere: "):
            self.logic.exports.save(self.volume, "fhir", os.path.join(self.folder, "nowhere", "fhir.json"))
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_kind_that_somebody_added_is_in_the_menu_and_written_by_the_worker_process(self):
        self.screen()
        self.add(ADDED)
        self.assertEqual(listed(self.widget.keep)["words"].text, "words: the result in words && sentences")
        saveInto(self.widget.keep, self.folder, "words")
        self.waitUntilDone()
        self.assertIn("words.txt", self.ui.statusLabel.text)
        with open(os.path.join(self.folder, "words.txt"), encoding="utf-8") as file:
            self.assertIn("BMD", file.read())
        self.logic.decisions.accept(self.volume, "A. Reader")
        with self.assertRaisesRegex(ModuleError, "wrote no file of the kind words"):
            self.logic.exports.save(self.volume, "words", os.path.join(self.folder, "more.txt"))
        self.logic.decisions.discard(self.volume, "A. Reader")
        with self.assertRaisesRegex(ModuleError, "^The result was decided on, so there are no words.$"):
            self.logic.exports.save(self.volume, "words", os.path.join(self.folder, "more.txt"))
        self.assertEqual(os.listdir(self.folder), ["words.txt"])

    def add(self, text):
        """Have the engine with one file more in ``reports/kinds``, here and in the worker process."""
        from OsteoScreenLib.reports import kinds
        from OsteoScreenLib.reports.kinds.registry import OUTPUT_KINDS, WRITERS

        engine = os.path.dirname(os.path.dirname(os.path.dirname(kinds.__file__)))
        copy = tempfile.TemporaryDirectory()
        self.addCleanup(copy.cleanup)
        library = os.path.join(copy.name, "OsteoScreenLib")
        shutil.copytree(engine, library, ignore=shutil.ignore_patterns("__pycache__"))
        folder = os.path.join(library, "reports", "kinds")
        with open(os.path.join(folder, "words.py"), "w", encoding="utf-8") as file:
            file.write(text)
        program, paths = worker.pythonForWorker()
        known = mock.patch.object(worker, "pythonForWorker", lambda: (program, [copy.name, *paths]))
        known.start()
        for undo in (self.logic.workerProcess.stop, known.stop):
            self.addCleanup(undo)
        self.logic.workerProcess.stop()
        found = mock.patch.object(kinds, "__path__", [*kinds.__path__, folder])
        with found:
            kinds.find_kinds()
        for table in (OUTPUT_KINDS, WRITERS, sys.modules):
            for name in ("words", f"{kinds.__name__}.words"):
                self.addCleanup(table.pop, name, None)

    def test_a_volume_without_dicom_files_is_refused_with_the_reason(self):
        self.screen()
        self.assertFalse(self.ui.databaseButton.enabled)
        self.assertIn("did not come from Slicer's DICOM database", self.ui.dicomLabel.text)
        with self.assertRaisesRegex(ModuleError, "did not come from Slicer's DICOM database"):
            self.logic.exports.saveDicom(self.volume, self.folder)
        self.volume.SetAttribute("DICOM.instanceUIDs", "1.2.3.4 1.2.3.5")
        with self.assertRaisesRegex(ModuleError, "no longer in Slicer's DICOM database"):
            self.logic.exports.saveDicom(self.volume, self.folder)
        self.assertEqual(os.listdir(self.folder), [])

    def test_what_screening_does_not_need_is_installed_only_when_it_is_asked_for(self):
        known = packages.isInstalled
        lacking = mock.patch.object(packages, "isInstalled", lambda name: name not in ("highdicom",) and known(name))
        with lacking:
            self.assertEqual(self.logic.packages.missing(), [])
            self.screen()
            self.assertEqual(self.logic.exports.packages.missing(), ["highdicom"])
            with self.assertRaisesRegex(MissingPackages, "highdicom is not installed"):
                self.logic.exports.savePdf(self.volume, os.path.join(self.folder, "a.pdf"))
            with mock.patch.object(packages, "_pipEnsure", side_effect=MissingPackages("declined")) as asked:
                with self.assertRaisesRegex(MissingPackages, "declined"):
                    self.widget.keep.savePdf(os.path.join(self.folder, "a.pdf"))
                self.assertIn("requirements-export.txt", asked.call_args[0][0])
        self.assertEqual(os.listdir(self.folder), [])

    def test_opening_the_module_imports_nothing_of_it(self):
        for name in ("dicomweb_client", "keyring"):
            self.assertNotIn(name, sys.modules)


class DicomExportTest(DicomTestCase):
    """DICOM objects of a CT that came from the database."""

    def test_the_objects_are_added_to_the_database_beside_their_ct(self):
        volume = self.screened()
        self.assertEqual(self.ui.dicomLabel.text, "")
        self.ui.databaseButton.click()
        self.waitUntilDone()
        self.assertIn("in Slicer's DICOM database", self.ui.statusLabel.text)
        database = slicer.dicomDatabase
        (patient,) = database.patients()
        (study,) = database.studiesForPatient(patient)
        paths = [path for series in database.seriesForStudy(study) for path in database.filesForSeries(series)]
        made = [each for each in headers(paths) if each.Modality != "CT"]
        self.assertEqual(sorted({each.Modality for each in made}), ["DOC", "OT", "SEG", "SR"])
        ct = set(volume.GetAttribute("DICOM.instanceUIDs").split())
        for each in made:
            self.assertEqual((each.PatientID, str(each.PatientName)), (PATIENT, "Phantom^Simulated"))
        segmentation = next(each for each in made if each.Modality == "SEG")
        self.assertTrue(
            {
                item.ReferencedSOPInstanceUID
                for item in segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
            }
            <= ct
        )

    def test_the_segmentation_covers_the_outlines_voxels(self):
        import pydicom

        volume = self.screened()
        folder = self.path("objects")
        os.makedirs(folder)
        self.widget.keep.saveDicom(folder)
        self.waitUntilDone()
        node = volume.GetNodeReference("OsteoScreenOutlines")
        segmentation = pydicom.dcmread(os.path.join(folder, "seg.dcm"))
        frames = np.reshape(segmentation.pixel_array, (-1, segmentation.Rows, segmentation.Columns))
        for number, (name, k) in enumerate((("L1", L1_SLICE), ("L2", L2_SLICE)), 1):
            of = [
                index
                for index, item in enumerate(segmentation.PerFrameFunctionalGroupsSequence)
                if item.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number
            ]
            drawn = slicer.util.arrayFromSegmentBinaryLabelmap(node, name, volume)
            np.testing.assert_array_equal(frames[of].any(axis=0), drawn.any(axis=0), name)
            z = segmentation.PerFrameFunctionalGroupsSequence[of[0]].PlanePositionSequence[0].ImagePositionPatient[2]
            self.assertAlmostEqual(float(z), k * 2.0)

    def test_the_reader_stands_in_the_report(self):
        from OsteoScreenLib.reports.dicom import read_measurement_report

        volume = self.screened()
        self.logic.decisions.accept(volume, "A. Reader")
        folder = self.path("objects")
        os.makedirs(folder)
        self.logic.exports.saveDicom(volume, folder)
        report = read_measurement_report(os.path.join(folder, "sr.dcm"))
        self.assertEqual(report.decision, "accepted")
        bmd = self.document(volume)["densitometry"]["bmd_mg_cm3"]["individual"]
        self.assertAlmostEqual(report.earlier.bmd_mg_cm3["individual"], bmd, places=3)

    def test_the_same_objects_go_everywhere_until_the_result_changes(self):
        volume = self.screened()
        uids = []
        for name in ("one", "two", "three"):
            folder = self.path(name)
            os.makedirs(folder)
            if name == "three":
                self.logic.decisions.discard(volume, "A. Reader")
            self.logic.exports.saveDicom(volume, folder)
            uids.append({each.SOPInstanceUID for each in headers(glob.glob(os.path.join(folder, "*.dcm")))})
        self.assertEqual(uids[0], uids[1])
        self.assertFalse(uids[0] & uids[2])
        with self.assertRaisesRegex(ModuleError, "holds .*seg.dcm.* already"):
            self.logic.exports.saveDicom(volume, self.path("one"))

    def test_a_dicom_kind_is_the_same_object_as_everywhere(self):
        volume = self.screened()
        for name in ("all", "map"):
            os.makedirs(self.path(name))
        self.widget.keep.saveDicom(self.path("all"))
        self.waitUntilDone()
        self.logic.exports.save(volume, "probability", self.path("map"))
        self.assertEqual(sorted(os.listdir(self.path("map"))), ["seg-probability.dcm", "seg.dcm"])
        self.assertNotIn("seg-probability.dcm", os.listdir(self.path("all")))
        segmentations = headers([self.path("all/seg.dcm"), self.path("map/seg.dcm")])
        self.assertEqual(len({each.SOPInstanceUID for each in segmentations}), 1)
        (sheet,) = self.logic.exports.save(volume, "dicom-pdf", self.path("sheet.dcm"))
        same = headers([sheet, self.path("all/report.dcm")])
        self.assertEqual(same[0].SOPInstanceUID, same[1].SOPInstanceUID)

    def test_a_result_that_is_older_than_the_scene_is_not_written(self):
        volume = self.screened()
        StudyLevels(volume).setSlice("L1", L1_SLICE + 1)
        self.settle()
        self.assertFalse(self.ui.databaseButton.enabled)
        self.assertIn("L1 was moved since", self.ui.dicomLabel.text)
        with self.assertRaisesRegex(ModuleError, "L1 was moved since"):
            self.logic.exports.addToDatabase(volume)

    def test_a_source_without_valid_uids_is_refused_by_the_engine_with_its_reason(self):
        volume = self.screened(FrameOfReferenceUID="")
        self.ui.databaseButton.click()
        self.waitUntilDone()
        self.assertIn("no valid UID of their frame of reference", self.ui.statusLabel.text)
        self.assertEqual(len(slicer.dicomDatabase.seriesForStudy(self.study())), 1)
        self.assertIsNotNone(self.document(volume), "the result stays")

    def study(self):
        (patient,) = slicer.dicomDatabase.patients()
        return slicer.dicomDatabase.studiesForPatient(patient)[0]

    def test_an_sr_is_an_earlier_result_too(self):
        volume = self.screened("20250301", denser=40)
        folder = self.path("objects")
        os.makedirs(folder)
        self.logic.exports.saveDicom(volume, folder)
        slicer.mrmlScene.Clear(0)
        later = self.screened("20260401")
        self.widget.earlier.add(os.path.join(folder, "sr.dcm"))
        (change,) = self.document(later)["follow_up"]
        self.assertEqual((change["earlier"]["source"], change["interval_days"]), ("DICOM SR", 396))
