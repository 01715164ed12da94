"""From Screen to the result: by script and by button, edited, refused, cancelled, and gone wrong."""

import os
import tempfile
from unittest import mock

import numpy as np

import slicer

from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenSlicerLib.Outlines import StudyOutlines, segmentName
from OsteoScreenSlicerLib.Parameters import ClassifierChoice, DeviceChoice
from OsteoScreenSlicerLib.Volumes import ijkToRas
from OsteoScreenTestCase import (
    L1_SLICE,
    L2_SLICE,
    SLICE_MM,
    OsteoScreenTestCase,
    addPhantom,
    phantomVoxels,
    tilted,
)

HEIGHTS = {"l1": L1_SLICE * SLICE_MM, "l2": L2_SLICE * SLICE_MM}


def measured(document):
    """Return what of a result.json document must not depend on the way it was made."""
    kept = ("status", "levels", "roi", "densitometry", "classification", "agreement", "bundles", "eligibility")
    return {key: document[key] for key in kept}


class ScriptTest(OsteoScreenTestCase):
    """The logic as a script uses it."""

    def test_the_numbers_are_the_engines_to_the_digit(self):
        from OsteoScreenLib.ct import ct_from_array
        from OsteoScreenLib.request import ScreeningRequest
        from OsteoScreenLib.results_io import to_dict
        from OsteoScreenLib.screening import screen

        volume = self.phantom()
        self.logic.screen(volume, **HEIGHTS)
        voxels, matrix = phantomVoxels()
        direct = screen(ScreeningRequest(ct_from_array(voxels, matrix), l1=f"#{L1_SLICE}", l2=f"#{L2_SLICE}"))
        self.assertEqual(measured(self.document(volume)), measured(to_dict(direct.result)))
        self.assertEqual(self.document(volume)["input"]["sha256"], direct.result.input.sha256)

    def test_l1_alone_is_model_2(self):
        result = self.logic.screen(self.phantom(), l1=f"#{L1_SLICE}")
        self.assertEqual(result.classification.model, "model2")
        self.assertEqual(list(result.roi), ["L1"])

    def test_levels_of_a_program_are_not_confirmed(self):
        volume = self.phantom()
        result = self.logic.screen(volume, confirmed=False, **HEIGHTS)
        self.assertFalse(result.levels["L1"].confirmed)
        self.assertTrue(self.logic.screen(volume, **HEIGHTS).levels["L1"].confirmed)

    def test_without_a_level_it_says_so(self):
        with self.assertRaisesRegex(ModuleError, "centre slice of L1"):
            self.logic.screen(self.phantom())

    def test_a_level_outside_the_scan_is_told_with_its_range(self):
        with self.assertRaisesRegex(Exception, "covers S 0.0 to 106.0 mm"):
            self.logic.screen(self.phantom(), l1=5000.0)

    def test_progress_may_cancel_and_changes_nothing(self):
        volume = self.phantom()

        def stop(step, done, total):
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.logic.screen(volume, onProgress=stop, **HEIGHTS)
        self.assertIsNone(self.document(volume))
        self.assertIsNone(volume.GetNodeReference("OsteoScreenOutlines"))

    def test_a_report_is_written_and_names_no_path(self):
        volume = self.phantom()
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(ModuleError, "no result"):
                self.logic.saveReport(volume, os.path.join(folder, "r.html"))
            self.logic.screen(volume, **HEIGHTS)
            path = self.logic.saveReport(volume, os.path.join(folder, "r.html"))
            with open(path, encoding="utf-8") as file:
                page = file.read()
            self.assertEqual(os.listdir(folder), ["r.html"])
        self.assertIn("Bone density of L1 and L2", page)
        self.assertGreater(page.count("data:image/"), 4)
        self.assertNotIn(folder, page)


# How a phantom's array may be stored: a rotation of the patient, and the order and direction of its axes.
STORED = {
    "feet first": (None, (-1, 1, 2)),
    "coronal": (None, (1, 0, 2)),
    "sagittal, flipped": (None, (2, -2, 0)),
    "mirrored rows and columns": (None, (0, -2, -3)),
    "oblique": (tilted(20), (0, 1, 2)),
    "oblique and coronal": (tilted(-15), (1, -1, 2)),
}  # fmt: skip


class GeometryTest(OsteoScreenTestCase):
    """Outlines lie on the vertebra, however the volume is stored."""

    def test_masks_overlay_the_body_exactly(self):
        straight = self.outlinePoints(addPhantom("straight"), np.eye(3))
        self.assertGreater(len(straight), 1000)
        for name, (directions, axes) in STORED.items():
            with self.subTest(name):
                rotation = np.eye(3) if directions is None else directions
                self.assertEqual(self.outlinePoints(addPhantom(name, directions, axes), rotation), straight)

    def outlinePoints(self, volume, rotation):
        """Screen a volume; return where in the phantom (RAS, in 0.01 mm) its exported L1 mask has voxels."""
        middle = np.array([0.0, 0.0, L1_SLICE * SLICE_MM])
        levels = StudyLevels(volume)
        levels.setPosition("L1", rotation @ middle)
        self.logic.screen(volume, force=True)
        segmentation = volume.GetNodeReference("OsteoScreenOutlines")
        segmentID = segmentation.GetSegmentation().GetSegmentIdBySegmentName(segmentName("L1"))
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentID, volume)
        self.assertEqual(mask.shape, slicer.util.arrayFromVolume(volume).shape)
        k, j, i = np.nonzero(mask)
        ras = ijkToRas(volume)[:3] @ np.stack([i, j, k, np.ones(len(i))])
        phantom = np.rint(np.linalg.inv(rotation) @ ras * 100).astype(int)
        return {tuple(point) for point in phantom.T}

    def test_the_segments_have_names_codes_and_colours(self):
        volume = self.phantom()
        self.logic.screen(volume, **HEIGHTS)
        segmentation = volume.GetNodeReference("OsteoScreenOutlines").GetSegmentation()
        found = {}
        for segmentID in segmentation.GetSegmentIDs():
            segment = segmentation.GetSegment(segmentID)
            entry = slicer.vtkSlicerTerminologyEntry()
            slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(segment.GetTerminology(), entry)
            code = entry.GetTypeObject()
            found[segment.GetName()] = (code.GetCodingSchemeDesignator(), code.GetCodeValue())
        self.assertEqual(found, {"L1 vertebral body": ("SCT", "66794005"), "L2 vertebral body": ("SCT", "14293000")})
        self.assertTrue(slicer.modules.terminologies.logic().IsTerminologyContextLoaded("OsteoScreen vertebrae"))

    def test_a_transform_is_refused_with_advice_and_can_be_hardened(self):
        volume = self.choose(self.phantom())
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
        matrix = np.eye(4)
        matrix[2, 3] = 100.0
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
        volume.SetAndObserveTransformNodeID(transform.GetID())
        self.settle()
        self.assertIn("lies under the transform moved", self.ui.scanLabel.text)
        self.assertFalse(self.ui.screenButton.enabled)
        with self.assertRaisesRegex(ModuleError, "Harden the transform"):
            self.logic.screen(volume, **HEIGHTS)
        self.ui.hardenButton.click()
        self.settle()
        self.assertIsNone(volume.GetParentTransformNode())
        result = self.logic.screen(volume, l1=HEIGHTS["l1"] + 100.0)
        self.assertAlmostEqual(result.levels["L1"].z_mm, HEIGHTS["l1"] + 100.0)

    def test_the_label_map_is_on_the_ct(self):
        volume = self.choose(self.phantom())
        self.logic.screen(volume, **HEIGHTS)
        self.settle()
        self.ui.labelmapButton.click()
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLabelMapVolumeNode")
        labels = slicer.util.arrayFromVolume(node)
        self.assertEqual(labels.shape, slicer.util.arrayFromVolume(volume).shape)
        np.testing.assert_allclose(ijkToRas(node), ijkToRas(volume))
        self.assertEqual(sorted(np.unique(labels)), [0, 1, 2])
        self.assertEqual(sorted({int(k) for k in np.nonzero(labels == 2)[0]}), [L2_SLICE])


class PanelScreeningTest(OsteoScreenTestCase):
    """Screening by button, in the worker process."""

    def setUp(self):
        OsteoScreenTestCase.setUp(self)
        self.volume = self.choose(self.phantom())
        levels = StudyLevels(self.volume)
        levels.setSlice("L1", L1_SLICE)
        levels.setSlice("L2", L2_SLICE)
        self.settle()

    def screen(self):
        self.ui.screenButton.click()
        self.waitUntilDone()

    def test_screen_gives_outlines_measures_class_and_table(self):
        self.screen()
        document = self.document(self.volume)
        self.assertEqual(document["status"], "screened")
        self.assertIn("Screened on", self.ui.statusLabel.text)
        bmd = document["densitometry"]["bmd_mg_cm3"]["individual"]
        self.assertIn(f"BMD {bmd:.0f}", self.ui.bmdLabel.text)
        shares = document["classification"]["probabilities"]
        for name, share in shares.items():
            self.assertEqual(getattr(self.ui, f"{name}Bar").value, round(100 * share))
        self.assertIn(document["classification"]["category"], self.ui.classLabel.text)
        table = self.volume.GetNodeReference("OsteoScreenTable")
        rows = {
            (table.GetCellText(row, 0), table.GetCellText(row, 1).replace(" (not confirmed)", "")): table.GetCellText(
                row, 2
            )
            for row in range(table.GetNumberOfRows())
        }
        self.assertEqual(float(rows["mean attenuation", "L2"]), document["roi"]["L2"]["mean_hu"])
        self.assertEqual(float(rows["BMD", "individual"]), bmd)
        self.assertEqual(self.ui.earlierTable.rowCount, 1)

    def test_the_networks_are_loaded_while_the_reader_looks_at_the_levels(self):
        self.logic.recentLog.lines.clear()
        with mock.patch.object(self.logic, "warmUp", self.warmUp):
            self.ui.l1Slider.value = (L1_SLICE + 1) * SLICE_MM
        self.assertTrue(self.logic.workerProcess.busy)
        self.assertTrue(self.ui.screenButton.enabled)
        self.waitFor(lambda: not self.logic.workerProcess.busy, "the networks' loading")
        said = "\n".join(self.logic.recentLog.lines)
        self.assertIn("The networks are loaded, on", said)
        self.assertIsNone(self.document(self.volume))

    def test_the_worker_and_the_script_agree_to_the_digit(self):
        self.screen()
        by_button = measured(self.document(self.volume))
        self.logic.screen(self.volume)
        self.assertEqual(measured(self.document(self.volume)), by_button)

    def test_unconfirmed_levels_stay_unconfirmed_and_confirming_is_told(self):
        self.screen()
        self.assertFalse(self.document(self.volume)["levels"]["L1"]["confirmed"])
        self.assertIn("not confirmed", self.ui.earlierTable.item(0, 1).text())
        self.ui.l1ConfirmCheckBox.click()
        self.settle()
        self.assertIn("L1 was confirmed since", self.ui.outdatedLabel.text)
        self.ui.classifyButton.click()
        self.waitUntilDone()
        self.assertTrue(self.document(self.volume)["levels"]["L1"]["confirmed"])
        self.assertEqual(self.ui.outdatedLabel.text, "")

    def edit(self, name):
        """Erase the left half of a level's outline, as a reader would."""
        segmentation = self.volume.GetNodeReference("OsteoScreenOutlines")
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, name, self.volume)
        columns = np.nonzero(mask)[2]
        mask[:, :, int(columns.mean()) :] = 0
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, name, self.volume)
        self.settle()
        return mask

    def test_an_edited_outline_is_noticed_kept_and_measured_as_edited(self):
        self.screen()
        before = self.document(self.volume)["roi"]
        mask = self.edit("L1")
        self.assertIn("L1: edited by the user", self.ui.outlinesLabel.text)
        self.assertIn("The outline of L1 was edited since", self.ui.outdatedLabel.text)
        self.screen()
        after = self.document(self.volume)["roi"]
        self.assertEqual((after["L1"]["mask_source"], after["L2"]["mask_source"]), ("user", "model"))
        self.assertLess(after["L1"]["outline_area_mm2"], 0.7 * before["L1"]["outline_area_mm2"])
        self.assertEqual(after["L2"], before["L2"])
        segmentation = self.volume.GetNodeReference("OsteoScreenOutlines")
        kept = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "L1", self.volume)
        np.testing.assert_array_equal(kept, mask)
        self.assertEqual(self.ui.outdatedLabel.text, "")

    def test_outline_asks_before_it_replaces_an_edit(self):
        self.screen()
        mask = self.edit("L1")
        segmentation = self.volume.GetNodeReference("OsteoScreenOutlines")
        for agreed in (False, True):
            with mock.patch("slicer.util.confirmYesNoDisplay", return_value=agreed) as asked:
                self.ui.segmentButton.click()
            self.assertIn("The outline of L1 was edited", asked.call_args[0][0])
            self.waitUntilDone()
            kept = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "L1", self.volume)
            self.assertEqual(np.array_equal(kept, mask), not agreed)
        self.assertIn("L1: by the network", self.ui.outlinesLabel.text)

    def test_outline_draws_without_measuring(self):
        self.ui.segmentButton.click()
        self.waitUntilDone()
        self.assertIsNone(self.document(self.volume))
        self.assertIn("L1: by the network", self.ui.outlinesLabel.text)
        outlines = StudyOutlines(self.volume, self.logic.ctReader.read(self.volume))
        self.assertGreater(outlines.read("L2", L2_SLICE).sum(), 1000)

    def test_the_probability_map_lies_where_the_outline_is(self):
        self.screen()
        outlines = StudyOutlines(self.volume, self.logic.ctReader.read(self.volume))
        for name, k in (("L1", L1_SLICE), ("L2", L2_SLICE)):
            np.testing.assert_array_equal(outlines.readProbability(k) >= 0.5, outlines.read(name, k))
        self.ui.layoutButton.click()
        self.ui.showProbabilityCheckBox.checked = True
        self.settle()
        composite = slicer.app.layoutManager().sliceWidget("OsteoScreenL1").sliceLogic().GetSliceCompositeNode()
        probability = self.volume.GetNodeReference("OsteoScreenProbability")
        self.assertEqual(composite.GetForegroundVolumeID(), probability.GetID())
        self.ui.showProbabilityCheckBox.checked = False
        self.settle()
        self.assertNotEqual(composite.GetForegroundVolumeID(), probability.GetID())

    def test_a_moved_level_makes_the_result_old_and_gets_a_new_outline(self):
        self.screen()
        StudyLevels(self.volume).setSlice("L1", L1_SLICE + 2)
        self.settle()
        self.assertIn("L1 was moved since", self.ui.outdatedLabel.text)
        self.screen()
        self.assertEqual(self.document(self.volume)["levels"]["L1"]["slice_index"], L1_SLICE + 2)
        outlines = StudyOutlines(self.volume, self.logic.ctReader.read(self.volume))
        self.assertIsNone(outlines.read("L1", L1_SLICE))
        self.assertIsNotNone(outlines.read("L1", L1_SLICE + 2))

    def test_a_refused_ct_says_why_and_can_be_screened_all_the_same(self):
        self.ui.ageSpinBox.value = 10
        self.settle()
        self.assertIn("Not eligible", self.ui.eligibilityLabel.text)
        self.screen()
        self.assertEqual(self.document(self.volume)["status"], "refused")
        self.assertIn("Refused", self.ui.statusLabel.text)
        self.ui.forceCheckBox.checked = True
        self.screen()
        self.assertEqual(self.document(self.volume)["status"], "screened")
        self.ui.forceCheckBox.checked = False
        self.ui.ageSpinBox.value = 0

    def test_model_2_may_be_asked_with_both_levels(self):
        self.widget.parameterNode.classifier = ClassifierChoice.MODEL_2
        self.settle()
        self.screen()
        self.assertEqual(self.document(self.volume)["classification"]["model"], "model2")
        self.assertEqual(set(self.document(self.volume)["roi"]), {"L1", "L2"})
        self.widget.parameterNode.classifier = ClassifierChoice.AUTOMATIC

    def test_the_device_is_chosen_and_named(self):
        self.widget.parameterNode.device = DeviceChoice.CPU
        self.screen()
        self.assertEqual(self.document(self.volume)["software"]["device"], "cpu")
        self.assertIn("on cpu", self.ui.classLabel.text)
        self.widget.parameterNode.device = DeviceChoice.AUTOMATIC

    def test_cancel_leaves_the_scene_as_it_was(self):
        self.ui.screenButton.click()
        self.assertTrue(self.ui.cancelButton.enabled)
        self.assertFalse(self.ui.screenButton.enabled)
        self.ui.cancelButton.click()
        self.assertIn("Cancelled", self.ui.statusLabel.text)
        self.settle(1.0)
        self.assertIsNone(self.document(self.volume))
        self.screen()
        self.assertEqual(self.document(self.volume)["status"], "screened")

    def test_a_ct_that_vanishes_while_the_networks_run_is_told(self):
        self.ui.screenButton.click()
        slicer.mrmlScene.RemoveNode(self.volume)
        self.waitUntilDone()
        self.assertIn("removed while the networks ran", self.ui.statusLabel.text)

    def test_a_worker_that_dies_is_told_and_started_again(self):
        self.screen()
        self.ui.screenButton.click()
        self.logic.workerProcess._process.kill()
        self.waitUntilDone()
        self.assertIn("ended unexpectedly", self.ui.statusLabel.text)
        self.screen()
        self.assertIn("Screened on", self.ui.statusLabel.text)

    def test_a_missing_calibration_file_is_told_in_the_panels_words(self):
        self.widget.parameterNode.calibrationFile = "/nowhere/calibration.json"
        self.screen()
        self.assertIn("/nowhere/calibration.json", self.ui.statusLabel.text)
        self.assertNotIn("--", self.ui.statusLabel.text)

    def test_the_report_is_saved_from_the_panel(self):
        self.screen()
        with tempfile.TemporaryDirectory() as folder:
            self.widget.keep.savePage(os.path.join(folder, "page"))
            self.waitUntilDone()
            self.assertEqual(os.listdir(folder), ["page.html"])
        self.assertIn("page.html", self.ui.statusLabel.text)
