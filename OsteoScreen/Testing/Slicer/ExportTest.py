"""What is kept of a result: PDF, table, result.json and DICOM objects, and why there are none where there are none."""

import csv
import glob
import os
import sys
import tempfile
from unittest import mock

import numpy as np

import slicer

from DicomPhantom import PATIENT, DicomTestCase
from OsteoScreenSlicerLib import Packages as packages
from OsteoScreenSlicerLib.Errors import MissingPackages, ModuleError
from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenTestCase import L1_SLICE, L2_SLICE, OsteoScreenTestCase


def headers(paths):
    """Return the data sets of DICOM files."""
    import pydicom

    return [pydicom.dcmread(path) for path in paths]


class FileTest(OsteoScreenTestCase):
    """PDF, table and result.json, which any CT may have."""

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
        for name in ("reportButton", "pdfButton", "csvButton", "resultButton", "databaseButton", "dicomFolderButton"):
            self.assertFalse(getattr(self.ui, name).enabled, name)
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
