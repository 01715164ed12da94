"""The centre slices: set, dragged, snapped, confirmed, taken from a segmentation."""

import numpy as np

import slicer

from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenTestCase import L1_SLICE, L2_SLICE, SLICE_MM, OsteoScreenTestCase, addPhantom, tilted


class LevelsTest(OsteoScreenTestCase):
    """Levels in the panel and in the scene."""

    def setUp(self):
        OsteoScreenTestCase.setUp(self)
        self.volume = self.choose(self.phantom())

    def levels(self):
        return StudyLevels(self.volume)

    def test_a_slider_sets_the_level_on_a_slice_and_does_not_confirm_it(self):
        self.ui.l1Slider.value = L1_SLICE * SLICE_MM + 0.7
        self.settle()
        self.assertEqual(self.levels().sliceIndex("L1"), L1_SLICE)
        self.assertEqual(self.levels().setBy("L1"), "user")
        self.assertFalse(self.levels().isConfirmed("L1"))
        self.assertFalse(self.ui.l1ConfirmCheckBox.checked)
        self.assertIn("not confirmed", self.ui.l1StatusLabel.text)
        self.assertAlmostEqual(self.ui.l1Slider.value, L1_SLICE * SLICE_MM)

    def test_use_current_takes_the_slice_of_the_levels_own_view(self):
        self.ui.layoutButton.click()
        node = slicer.app.layoutManager().sliceWidget("OsteoScreenL2").mrmlSliceNode()
        node.SetSliceOffset(L2_SLICE * SLICE_MM)
        self.ui.l2UseCurrentButton.click()
        self.assertEqual(self.levels().sliceIndex("L2"), L2_SLICE)
        self.assertIsNone(self.levels().sliceIndex("L1"))

    def test_go_to_shows_the_level_in_its_view_and_leaves_the_other_alone(self):
        self.levels().setSlice("L1", L1_SLICE)
        self.levels().setSlice("L2", L2_SLICE)
        self.ui.layoutButton.click()
        views = {
            name: slicer.app.layoutManager().sliceWidget(f"OsteoScreen{name}").mrmlSliceNode() for name in ("L1", "L2")
        }
        views["L1"].SetSliceOffset(0.0)
        self.ui.l1GoToButton.click()
        self.assertAlmostEqual(views["L1"].GetSliceOffset(), L1_SLICE * SLICE_MM, places=3)
        self.assertAlmostEqual(views["L2"].GetSliceOffset(), L2_SLICE * SLICE_MM, places=3)

    def test_confirming_is_the_readers_alone_and_falls_when_the_point_is_dragged(self):
        self.levels().setSlice("L1", L1_SLICE)
        self.settle()
        self.ui.l1ConfirmCheckBox.click()
        self.assertTrue(self.levels().isConfirmed("L1"))
        markups = self.volume.GetNodeReference("OsteoScreenLevels")
        self.assertEqual(
            [markups.GetNthControlPointLabel(n) for n in range(markups.GetNumberOfControlPoints())], ["L1"]
        )
        place = np.array(markups.GetNthControlPointPositionWorld(0))
        markups.SetNthControlPointPositionWorld(0, [float(v) for v in place + (5.0, -3.0, 0.0)])
        self.settle()
        self.assertTrue(self.levels().isConfirmed("L1"), "a move in the plane leaves the level where it is")
        markups.SetNthControlPointPositionWorld(0, [float(v) for v in place + (0.0, 0.0, 3 * SLICE_MM)])
        self.settle()
        self.assertFalse(self.levels().isConfirmed("L1"))
        self.assertFalse(self.ui.l1ConfirmCheckBox.checked)
        self.assertEqual(self.levels().sliceIndex("L1"), L1_SLICE + 3)

    def test_snap_goes_to_the_middle_of_the_body_and_unconfirms(self):
        for start in (L1_SLICE - 4, L1_SLICE + 4):
            levels = self.levels()
            levels.setSlice("L1", start)
            levels.confirm("L1")
            self.settle()
            self.ui.l1SnapButton.click()
            self.assertLessEqual(abs(self.levels().sliceIndex("L1") - L1_SLICE), 1)
            self.assertEqual(self.levels().setBy("L1"), "snapped")
            self.assertFalse(self.levels().isConfirmed("L1"))

    def test_lines_in_sagittal_views_follow_the_levels(self):
        self.ui.layoutButton.click()
        self.levels().setSlice("L1", L1_SLICE)
        self.levels().setSlice("L2", L2_SLICE)
        self.settle()
        lines = slicer.util.getNodesByClass("vtkMRMLMarkupsLineNode")
        self.assertEqual(len(lines), 2)
        heights = sorted(line.GetNthControlPointPositionWorld(0)[2] for line in lines)
        self.assertEqual([round(height, 3) for height in heights], [L2_SLICE * SLICE_MM, L1_SLICE * SLICE_MM])
        sagittal = slicer.app.layoutManager().sliceWidget("OsteoScreenSagittal").mrmlSliceNode()
        axial = slicer.app.layoutManager().sliceWidget("OsteoScreenL1").mrmlSliceNode()
        for line in lines:
            self.assertTrue(line.GetDisplayNode().IsDisplayableInView(sagittal.GetID()))
            self.assertFalse(line.GetDisplayNode().IsDisplayableInView(axial.GetID()))
            self.assertTrue(line.GetLocked())
            self.assertFalse(line.GetSaveWithScene())
        self.ui.useL2CheckBox.checked = False
        self.levels().remove("L1")
        self.settle()
        self.assertEqual(len(slicer.util.getNodesByClass("vtkMRMLMarkupsLineNode")), 1)

    def test_l2_may_be_left_out(self):
        self.ui.useL2CheckBox.checked = False
        self.settle()
        self.assertFalse(self.ui.l2GroupBox.enabled)
        self.assertIn("L1", self.ui.screenButton.toolTip)
        self.levels().setSlice("L1", L1_SLICE)
        self.settle()
        self.assertTrue(self.ui.screenButton.enabled)

    def test_levels_in_the_wrong_order_are_refused_with_the_reason(self):
        self.levels().setSlice("L1", L2_SLICE)
        self.levels().setSlice("L2", L1_SLICE)
        self.settle()
        self.assertFalse(self.ui.screenButton.enabled)
        self.assertIn("L2 does not lie below L1", self.ui.screenButton.toolTip)

    def test_a_point_outside_the_scan_is_told(self):
        self.levels().setSlice("L1", L1_SLICE)
        markups = self.volume.GetNodeReference("OsteoScreenLevels")
        markups.SetNthControlPointPositionWorld(0, [0.0, 0.0, 5000.0])
        self.settle()
        self.assertIn("outside the scan", self.ui.l1StatusLabel.text)
        self.assertFalse(self.ui.screenButton.enabled)
        with self.assertRaisesRegex(ModuleError, "outside the scan"):
            self.levels().engineLevels(["L1"])

    def test_an_oblique_volume_keeps_level_and_slice_together(self):
        self.volume = self.choose(addPhantom("oblique", directions=tilted(20)))
        levels = self.levels()
        for k in (0, L2_SLICE, L1_SLICE):
            levels.setSlice("L1", k)
            self.assertEqual(levels.sliceIndex("L1"), k)
            self.assertAlmostEqual(levels.height("L1"), levels.geometry.slice_z(k))


class LevelsFromSegmentationTest(OsteoScreenTestCase):
    """Levels taken from segmentations as they are met."""

    def setUp(self):
        OsteoScreenTestCase.setUp(self)
        self.volume = self.choose(self.phantom())

    def segmentation(self, names, terminology=()):
        """Return a segmentation with one box-like vertebra per name, at the phantom's bodies."""
        from OsteoScreenTestCase import BODY_MM

        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "vertebrae")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        shape = slicer.util.arrayFromVolume(self.volume).shape
        reach = int(BODY_MM / 2 / SLICE_MM)
        for number, (name, middle) in enumerate(zip(names, (L1_SLICE, L2_SLICE), strict=True)):
            labels = np.zeros(shape, dtype=np.uint8)
            # The phantom's body: 20 mm before its middle, on 0.7 mm pixels.
            labels[middle - reach : middle + reach + 1, 262:308, 226:287] = 1
            segmentID = node.GetSegmentation().AddEmptySegment("", name)
            slicer.util.updateSegmentBinaryLabelmapFromArray(labels, node, segmentID, self.volume)
            if number < len(terminology):
                tag = slicer.vtkSegment.GetTerminologyEntryTagName()
                node.GetSegmentation().GetSegment(segmentID).SetTag(tag, terminology[number])
        return node

    def take(self, node):
        self.widget.parameterNode.levelsSegmentation = node
        self.settle()
        self.ui.fromSegmentationButton.click()
        return StudyLevels(self.volume)

    def test_by_the_names_of_known_tools(self):
        for names in (("vertebrae_L1", "vertebrae_L2"), ("L1 vertebra", "L2 vertebra"), ("L1", "L2")):
            levels = self.take(self.segmentation(names))
            self.assertLessEqual(abs(levels.sliceIndex("L1") - L1_SLICE), 1, names)
            self.assertLessEqual(abs(levels.sliceIndex("L2") - L2_SLICE), 1, names)
            self.assertEqual(levels.setBy("L1"), "segmentation")
            self.assertFalse(levels.isConfirmed("L1"), "the module never confirms a level by itself")

    def test_by_code_where_the_names_say_nothing(self):
        entry = "any~SCT^123037004^Anatomical Structure~SCT^{}^{}~^^~Anatomic codes - DICOM master list~^^~^^"
        codes = [entry.format("66794005", "L1 vertebra"), entry.format("14293000", "L2 vertebra")]
        levels = self.take(self.segmentation(("Segment_1", "Segment_2"), codes))
        self.assertLessEqual(abs(levels.sliceIndex("L2") - L2_SLICE), 1)

    def test_a_segmentation_without_l1_says_what_to_do(self):
        node = self.segmentation(("liver", "spleen"))
        self.take(node)
        self.assertIn("rename them", self.ui.statusLabel.text)
        self.assertIsNone(StudyLevels(self.volume).sliceIndex("L1"))

    def test_without_a_segmentation_it_asks_for_one(self):
        self.take(None)
        self.assertIn("Choose a segmentation", self.ui.statusLabel.text)
