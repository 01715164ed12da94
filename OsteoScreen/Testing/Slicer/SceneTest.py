"""The scene: saved and reopened, closed, several CTs, nodes that vanish, leaving and entering the module."""

import os
import tempfile

import slicer

from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenSlicerLib.Parameters import DeviceChoice
from OsteoScreenTestCase import L1_SLICE, L2_SLICE, OsteoScreenTestCase


class SceneTest(OsteoScreenTestCase):
    """What the module does when the scene changes around it."""

    def screened(self, name, levels=(L1_SLICE, L2_SLICE)):
        """Return a phantom that is screened and chosen in the panel, L1 confirmed."""
        volume = self.choose(self.phantom(name))
        study = StudyLevels(volume)
        for level, k in zip(("L1", "L2"), levels, strict=True):
            study.setSlice(level, k)
        study.confirm("L1")
        self.settle()
        self.ui.screenButton.click()
        self.waitUntilDone()
        return volume

    def test_a_saved_scene_gives_the_module_back_as_it_was(self):
        volume = self.screened("patient one")
        self.widget.parameterNode.device = DeviceChoice.CPU
        self.widget.parameterNode.ageYears = 66
        self.settle()
        document = self.document(volume)
        before = self.shown()
        with tempfile.TemporaryDirectory() as folder:
            saveScene(folder)
            slicer.mrmlScene.Clear(0)
            self.settle()
            self.assertEqual(self.ui.bmdLabel.text, "No result yet.")
            slicer.util.loadScene(os.path.join(folder, "scene.mrml"))
            self.settle()
            again = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            self.assertEqual(self.widget.parameterNode.inputVolume.GetName(), "patient one")
            self.assertEqual(self.document(again), document)
            self.assertEqual(self.shown(), before)
            self.assertEqual(self.widget.parameterNode.device, DeviceChoice.CPU)
            self.assertEqual(self.widget.parameterNode.ageYears, 66)
            levels = StudyLevels(again)
            self.assertTrue(levels.isConfirmed("L1"))
            self.assertFalse(levels.isConfirmed("L2"))
            # What was saved can be worked on: the report needs outlines and probability from the loaded nodes.
            self.widget.keep.savePage(os.path.join(folder, "page.html"))
            self.waitUntilDone()
            self.assertIn("✓ Saved", self.ui.statusLabel.text)
            self.assertGreater(os.path.getsize(os.path.join(folder, "page.html")), 100_000)
        self.widget.parameterNode.ageYears = 0

    def shown(self):
        """Return what the panel shows of levels, outlines and result."""
        ui = self.ui
        labels = (ui.l1StatusLabel, ui.l2StatusLabel, ui.outlinesLabel, ui.outdatedLabel, ui.bmdLabel, ui.classLabel,
                  ui.agreementLabel)  # fmt: skip
        shown = [label.text for label in labels]
        shown += [ui.l1ConfirmCheckBox.checked, ui.l2ConfirmCheckBox.checked]
        shown += [round(ui.l1Slider.value, 2), round(ui.l2Slider.value, 2)]
        return shown + [bar.value for bar in (ui.normalBar, ui.osteopeniaBar, ui.osteoporosisBar)]

    def test_two_cts_keep_their_own_levels_outlines_and_results(self):
        first = self.screened("first")
        second = self.choose(self.phantom("second"))
        self.assertEqual(self.ui.l1StatusLabel.text, "not set")
        self.assertEqual(self.ui.bmdLabel.text, "No result yet.")
        study = StudyLevels(second)
        study.setSlice("L1", L2_SLICE)
        self.ui.useL2CheckBox.checked = False
        self.settle()
        self.ui.screenButton.click()
        self.waitUntilDone()
        self.assertEqual(self.document(second)["levels"]["L1"]["slice_index"], L2_SLICE)
        self.assertEqual(self.document(first)["levels"]["L1"]["slice_index"], L1_SLICE)
        self.ui.useL2CheckBox.checked = True
        self.choose(first)
        self.assertIn(f"#{L1_SLICE}", self.ui.l1StatusLabel.text)
        self.assertIn("BMD", self.ui.bmdLabel.text)
        self.assertEqual(self.ui.earlierTable.rowCount, 1, "another CT is another patient unless the scene says so")

    def test_earlier_results_of_the_same_patient_are_listed_by_date(self):
        volumes = [self.screened("later"), self.screened("earlier")]
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "somebody")
        for volume, date in zip(volumes, ("2026-05-01", "2024-05-01"), strict=True):
            study = hierarchy.CreateStudyItem(patient, date)
            hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), study)
            volume.GetNodeReference("OsteoScreenResult").SetAttribute("OsteoScreen.StudyDate", date)
        self.choose(volumes[0])
        self.widget.updatePanel()
        table = self.ui.earlierTable
        self.assertEqual([table.item(row, 0).text() for row in range(table.rowCount)], ["2024-05-01", "2026-05-01"])
        self.assertEqual([table.item(row, 0).font().bold() for row in range(2)], [False, True])

    def test_closing_the_scene_empties_the_panel(self):
        self.screened("gone")
        slicer.mrmlScene.Clear(0)
        self.settle()
        self.assertIsNone(self.widget.volumeNode)
        self.assertIn("Choose a CT", self.ui.scanLabel.text)
        self.assertEqual(self.ui.earlierTable.rowCount, 0)
        self.assertFalse(self.ui.screenButton.enabled)

    def test_closing_the_scene_ends_what_runs(self):
        volume = self.choose(self.phantom())
        StudyLevels(volume).setSlice("L1", L1_SLICE)
        self.ui.useL2CheckBox.checked = False
        self.settle()
        self.ui.screenButton.click()
        self.assertTrue(self.widget.run.running)
        slicer.mrmlScene.Clear(0)
        self.assertFalse(self.widget.run.running)
        self.settle(1.0)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"), 0)
        self.ui.useL2CheckBox.checked = True

    def test_nodes_that_vanish_are_no_longer_shown(self):
        volume = self.screened("half")
        slicer.mrmlScene.RemoveNode(volume.GetNodeReference("OsteoScreenResult"))
        self.settle()
        self.assertEqual(self.ui.bmdLabel.text, "No result yet.")
        slicer.mrmlScene.RemoveNode(volume.GetNodeReference("OsteoScreenOutlines"))
        self.settle()
        self.assertIn("No outlines yet", self.ui.outlinesLabel.text)
        slicer.mrmlScene.RemoveNode(volume.GetNodeReference("OsteoScreenLevels"))
        self.settle()
        self.assertEqual(self.ui.l1StatusLabel.text, "not set")
        slicer.mrmlScene.RemoveNode(volume)
        self.settle()
        self.assertIsNone(self.widget.volumeNode)

    def test_another_module_leaves_no_trace_and_coming_back_shows_all(self):
        volume = self.screened("kept")
        slicer.util.selectModule("Data")
        StudyLevels(volume).setSlice("L1", L1_SLICE + 1)
        self.settle()
        slicer.util.selectModule("OsteoScreen")
        self.settle()
        self.assertIn("L1 was moved since", self.ui.outdatedLabel.text)

    def test_the_first_ct_is_chosen_by_itself_and_only_scalar_volumes_are_offered(self):
        labelmap = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
        self.assertNotEqual(self.widget.volumeNode, labelmap)
        selector = self.ui.inputSelector
        before = selector.nodeCount()
        volume = self.phantom()
        self.assertEqual(selector.nodeCount(), before + 1)
        slicer.util.selectModule("Data")
        slicer.util.selectModule("OsteoScreen")
        self.assertEqual(self.widget.volumeNode, volume)


def saveScene(folder):
    """Save the scene as a .mrml file with every node's data beside it, as Slicer's save dialog does."""
    scene = slicer.mrmlScene
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        if not node.IsA("vtkMRMLStorableNode") or not node.GetSaveWithScene() or node.GetHideFromEditors():
            continue
        if node.IsA("vtkMRMLColorNode"):
            continue
        node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        if storage is None:
            continue
        extension = storage.GetDefaultWriteFileExtension()
        storage.SetFileName(os.path.join(folder, f"{node.GetID()}.{extension}"))
        assert storage.WriteData(node), node.GetName()
    scene.SetRootDirectory(folder)
    scene.SetURL(os.path.join(folder, "scene.mrml"))
    assert scene.Commit()
