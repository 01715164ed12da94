"""Suggest: the vertebrae named and drawn, the names moved and taken by the reader, and nothing confirmed by itself."""

import functools
import os
import shutil
import tempfile
from unittest import mock

import numpy as np

import slicer

import CountingBundle
from CountingBundle import sliceOf
from OsteoScreenLib.reports import wording
from OsteoScreenLib.results_io import assemble
from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenSlicerLib.Vertebrae import StudyVertebrae
from OsteoScreenSlicerLib.Words import inPanel
from OsteoScreenTestCase import OsteoScreenTestCase, phantomVoxels
from SceneTest import saveScene

# At these temperatures the right names have more than 99 %, and about 82 %.
CERTAIN, UNCERTAIN = 1.0, 40.0


@functools.lru_cache(maxsize=1)
def withRod():
    """Return the phantom with T11 to L3 and the rod, without the air before and behind it, and its matrix to RAS mm."""
    voxels, matrix = phantomVoxels()
    body = slice(88, 424)
    matrix[:3, 3] += body.start * matrix[:3, 1]
    return np.ascontiguousarray(CountingBundle.withRod(voxels)[:, body]), matrix


class SuggestTestCase(OsteoScreenTestCase):
    """A phantom with five vertebrae, and bundles that can count them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.bundles = {name: os.path.join(cls.folder, name) for name in ("certain", "uncertain", "no ribs")}
        CountingBundle.writeBundle(cls.bundles["certain"], CERTAIN)
        CountingBundle.writeBundle(cls.bundles["uncertain"], UNCERTAIN)
        CountingBundle.writeBundle(cls.bundles["no ribs"], CERTAIN, ribs=False)

    def setUp(self):
        OsteoScreenTestCase.setUp(self)
        self.addCleanup(setattr, self.widget.parameterNode, "localisationBundle", "")
        self.volume = self.choose(self.fiveVertebrae())

    def fiveVertebrae(self, name="five"):
        """Return the phantom with T11 to L3 as a volume node in the scene."""
        voxels, matrix = withRod()
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(node, voxels)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
        node.CreateDefaultDisplayNodes()
        return node

    def suggest(self, bundle="certain"):
        """Press Suggest, and wait for what comes of it."""
        self.widget.parameterNode.localisationBundle = self.bundles[bundle]
        self.settle()
        self.ui.suggestButton.click()
        self.waitUntilDone()

    def press(self, key):
        """Press a key in the module."""
        next(shortcut for shortcut in self.widget._shortcuts if shortcut.key.toString() == key).activated()
        self.settle()

    def screen(self):
        self.ui.screenButton.click()
        self.waitUntilDone()
        return self.document(self.volume)

    def levels(self):
        return StudyLevels(self.volume)

    def slices(self):
        """Return {level: slice} of the levels that are set."""
        return {name: self.levels().sliceIndex(name) for name in self.levels().names()}

    def labels(self, volume=None):
        """Return the labels of the chain's points, from head to foot."""
        node = (volume or self.volume).GetNodeReference("OsteoScreenVertebrae")
        return [node.GetNthControlPointLabel(index) for index in range(node.GetNumberOfControlPoints())]


L1, L2, T12 = (sliceOf(name) for name in ("L1", "L2", "T12"))


class SuggestTest(SuggestTestCase):
    """A suggestion that is certain."""

    def test_the_levels_lie_on_their_vertebrae_and_are_not_confirmed(self):
        self.suggest()
        self.assertEqual(self.slices(), {"L1": L1, "L2": L2})
        for name in ("L1", "L2"):
            self.assertEqual(self.levels().setBy(name), "suggested")
            self.assertFalse(self.levels().isConfirmed(name))
            self.assertFalse(getattr(self.ui, f"{name.lower()}ConfirmCheckBox").checked)
            self.assertIn("suggested, not confirmed", getattr(self.ui, f"{name.lower()}StatusLabel").text)
        self.assertIn("L1 and L2 suggested", self.ui.statusLabel.text)
        self.assertIn("T12", self.ui.suggestionLabel.text)
        self.assertIn("count for yourself", self.ui.suggestionLabel.text)

    def test_every_vertebra_is_named_in_the_sagittal_and_coronal_views(self):
        self.suggest()
        self.assertEqual(self.labels(), ["T11", "T12", "L1", "L2", "L3 (cut)"])
        chain = self.volume.GetNodeReference("OsteoScreenVertebrae")
        heights = [round(chain.GetNthControlPointPositionWorld(index)[2] / 2) for index in range(5)]
        self.assertEqual(heights, [sliceOf(name) for name in CountingBundle.NAMES])
        manager = slicer.app.layoutManager()
        shown = {
            name: manager.sliceWidget(name).mrmlSliceNode()
            for name in manager.sliceViewNames()
            if manager.sliceWidget(name).mrmlSliceNode().IsMappedInLayout()
        }
        by = {}
        for node in shown.values():
            by.setdefault(node.GetOrientation(), []).append(chain.GetDisplayNode().IsDisplayableInView(node.GetID()))
        self.assertTrue(all(by["Sagittal"]) and all(by["Coronal"]), by)
        self.assertFalse(any(by["Axial"]), by)
        self.assertTrue(all(chain.GetNthControlPointLocked(index) for index in range(5)))

    def test_a_layout_without_a_coronal_view_gives_way_to_one_that_has_it(self):
        manager = slicer.app.layoutManager()
        manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
        self.settle()
        self.suggest()
        node = manager.sliceWidget("OsteoScreenCoronal").mrmlSliceNode()
        self.assertTrue(node.IsMappedInLayout())
        place = self.levels().position("L1")
        matrix = node.GetSliceToRAS()
        self.assertAlmostEqual(matrix.GetElement(1, 3), place[1], delta=0.5, msg="it cuts the body of L1")

    def test_the_result_says_everywhere_that_nobody_confirmed_it(self):
        self.suggest()
        document = self.screen()
        for name in ("L1", "L2"):
            level = document["levels"][name]
            self.assertEqual((level["set_by"], level["confirmed"]), ("suggested", False))
            self.assertGreater(document["numbering"]["levels"][name]["probability"], 0.99)
        self.assertEqual([v["name"] for v in document["numbering"]["vertebrae"]], list(CountingBundle.NAMES))
        self.assertIn(("localisation", "counting-rod"), [(use["role"], use["name"]) for use in document["bundles"]])
        for text in (self.ui.statusLabel.text, self.ui.bmdLabel.text):
            self.assertIn("No reader has confirmed L1 (suggested) and L2 (suggested)", text)
        self.assertIn("not confirmed", self.ui.classLabel.text)
        self.assertIn("L1 (not confirmed)", self.ui.earlierTable.item(0, 1).text())
        table = self.volume.GetNodeReference("OsteoScreenTable")
        rows = [[table.GetCellText(row, column) for column in range(4)] for row in range(table.GetNumberOfRows())]
        for measure in ("mean attenuation", "BMD", "category (QCT)", "class", "probability of normal"):
            found = [row for row in rows if row[0] == measure]
            self.assertTrue(found and all("not confirmed" in row[1] for row in found), (measure, found))
        self.assertIn(["set by", "L1", "suggested", ""], rows)
        path = os.path.join(self.folder, "page.html")
        self.widget.keep.savePage(path)
        self.waitUntilDone()
        with open(path, encoding="utf-8") as file:
            page = file.read()
        self.assertIn("Level not confirmed", page)
        self.assertIn("suggested by the software", page)
        self.assertIn("count for yourself", page)

    def test_one_key_confirms_what_is_in_the_views(self):
        self.suggest()
        self.press("C")
        self.assertTrue(self.ui.l1ConfirmCheckBox.checked and self.ui.l2ConfirmCheckBox.checked)
        self.assertIn("Confirmed: L1 and L2", self.ui.statusLabel.text)
        self.assertFalse(self.ui.confirmShownButton.enabled)
        document = self.screen()
        level = document["levels"]["L1"]
        self.assertEqual((level["set_by"], level["confirmed"]), ("suggested", True))
        self.assertNotIn("No reader", self.ui.statusLabel.text)
        self.assertNotIn("not confirmed", self.ui.bmdLabel.text)

    def test_what_is_not_in_the_views_is_shown_before_it_is_confirmed(self):
        self.suggest()
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
        red = slicer.app.layoutManager().sliceWidget("Red")
        red.sliceLogic().GetSliceCompositeNode().SetBackgroundVolumeID(self.volume.GetID())
        red.mrmlSliceNode().SetSliceOffset(2.0 * T12)
        self.ui.useL2CheckBox.checked = False
        self.addCleanup(setattr, self.ui.useL2CheckBox, "checked", True)
        self.settle()
        self.press("C")
        self.assertFalse(self.levels().isConfirmed("L1"))
        self.assertIn("L1 was not in the views", self.ui.statusLabel.text)
        self.press("C")
        self.assertTrue(self.levels().isConfirmed("L1"))

    def test_one_key_moves_the_names_and_the_levels_with_them(self):
        self.suggest()
        self.press("Shift+Up")
        self.assertEqual(self.slices(), {"L1": T12, "L2": L1})
        self.assertEqual([label.split()[0] for label in self.labels()], ["T12", "L1", "L2", "L3", "L4"])
        self.assertIn("L1 <1 % ?", self.labels())
        self.assertEqual(self.levels().setBy("L1"), "user")
        self.assertFalse(self.levels().isConfirmed("L1"))
        self.assertIn("You moved every name towards the head", self.ui.suggestionLabel.text)
        document = self.screen()
        self.assertEqual(document["levels"]["L1"]["set_by"], "user")
        self.assertFalse(document["levels"]["L1"]["confirmed"])
        numbering = document["numbering"]
        self.assertEqual([v["name"] for v in numbering["vertebrae"]], ["T12", "L1", "L2", "L3", "L4"])
        self.assertIn("A reader moved every name one vertebra towards the head", numbering["reasons"][0])
        self.assertEqual(numbering["levels"], {}, "the network suggested other levels than these")
        self.assertIn("a reader set them", wording.numbering(assemble(document))[0])
        self.assertGreater(numbering["shifted"]["-1"], 0.99)
        self.press("Shift+Down")
        self.assertEqual(self.slices(), {"L1": L1, "L2": L2})
        self.assertEqual(self.levels().setBy("L1"), "suggested")
        self.assertEqual(self.labels(), ["T11", "T12", "L1", "L2", "L3 (cut)"])

    def test_a_level_whose_vertebra_is_cut_is_taken_away(self):
        self.suggest()
        self.press("Shift+Down")
        self.assertEqual(self.slices(), {"L1": L2})
        self.assertIn("No whole vertebra of the scan is called L2", self.ui.statusLabel.text)
        self.assertIn("Set the centre slice of L2 first", self.ui.screenButton.toolTip)

    def test_vertebrae_for_which_no_name_is_left_are_left_out(self):
        self.suggest()
        self.logic.moveNames(self.volume, ["L1", "L2"], 4)
        self.assertEqual([label.split()[0] for label in self.labels()], ["L3", "L4", "L5", "S1"])
        self.assertEqual(self.slices(), {})
        self.logic.moveNames(self.volume, ["L1", "L2"], -4)
        self.assertEqual(self.slices(), {"L1": L1, "L2": L2})
        with self.assertRaisesRegex(ModuleError, "cannot be moved further"):
            self.logic.moveNames(self.volume, ["L1", "L2"], 40)
        self.assertEqual(self.slices(), {"L1": L1, "L2": L2})

    def test_what_a_reader_confirmed_stays_unless_the_reader_agrees(self):
        self.levels().setSlice("L1", L1 + 2)
        self.levels().confirm("L1")
        self.suggest()
        self.assertEqual(self.slices(), {"L1": L1 + 2, "L2": L2})
        self.assertTrue(self.levels().isConfirmed("L1"))
        self.assertIn("L1 stays where you confirmed it", self.ui.statusLabel.text)
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=False) as asked:
            self.press("Shift+Up")
        self.assertEqual(asked.call_count, 1)
        self.assertEqual(self.slices(), {"L1": L1 + 2, "L2": L2})
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=True):
            self.press("Shift+Up")
        self.assertEqual(self.slices(), {"L1": T12, "L2": L1})
        self.assertFalse(self.levels().isConfirmed("L1"))

    def test_l1_alone_may_be_suggested(self):
        self.ui.useL2CheckBox.checked = False
        self.addCleanup(setattr, self.ui.useL2CheckBox, "checked", True)
        self.settle()
        self.assertEqual(self.ui.suggestButton.text, "Suggest L1")
        self.suggest()
        self.assertEqual(self.slices(), {"L1": L1})

    def test_cancelling_changes_nothing(self):
        self.widget.parameterNode.localisationBundle = self.bundles["certain"]
        self.settle()
        self.ui.suggestButton.click()
        self.assertTrue(self.widget.run.running)
        self.ui.cancelButton.click()
        self.settle(1.0)
        self.assertIn("Cancelled", self.ui.statusLabel.text)
        self.assertIsNone(self.volume.GetNodeReference("OsteoScreenVertebrae"))
        self.assertEqual(self.slices(), {})

    def test_the_chain_of_another_ct_is_hidden(self):
        self.suggest()
        chain = self.volume.GetNodeReference("OsteoScreenVertebrae")
        other = self.choose(self.fiveVertebrae("other"))
        self.assertFalse(chain.GetDisplayNode().GetVisibility())
        self.assertFalse(self.ui.namesUpButton.enabled)
        self.assertEqual(self.ui.suggestionLabel.text, "")
        self.choose(self.volume)
        self.assertTrue(chain.GetDisplayNode().GetVisibility())
        labels = self.volume.GetNodeReference("OsteoScreenLevels").GetDisplayNode()
        self.assertFalse(labels.GetPointLabelsVisibility(), "L1 and L2 would be written over the chain's")
        slicer.mrmlScene.RemoveNode(chain)
        self.settle()
        self.assertTrue(labels.GetPointLabelsVisibility())
        self.assertIsNone(other.GetNodeReference("OsteoScreenVertebrae"))

    def test_a_script_is_suggested_the_same(self):
        steps = []
        found = self.logic.suggest(
            self.volume, localisationModel=self.bundles["certain"], onProgress=lambda *step: steps.append(step)
        )
        self.assertEqual({name: level["slice_index"] for name, level in found["levels"].items()}, {"L1": L1, "L2": L2})
        self.assertEqual(self.slices(), {"L1": L1, "L2": L2})
        self.assertIn("Looking for the spine", [step[0] for step in steps])
        result = self.logic.screen(self.volume)
        self.assertFalse(result.levels["L1"].confirmed)
        self.assertIsNotNone(result.numbering)

    def test_a_saved_scene_keeps_chain_names_and_state(self):
        self.suggest()
        self.press("Shift+Up")
        before = (self.labels(), self.slices(), self.ui.suggestionLabel.text, self.ui.l1StatusLabel.text)
        with tempfile.TemporaryDirectory() as folder:
            saveScene(folder)
            slicer.mrmlScene.Clear(0)
            self.settle()
            self.assertEqual(self.ui.suggestionLabel.text, "")
            slicer.util.loadScene(os.path.join(folder, "scene.mrml"))
            self.settle()
        self.volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        after = (self.labels(), self.slices(), self.ui.suggestionLabel.text, self.ui.l1StatusLabel.text)
        self.assertEqual(after, before)
        self.assertEqual(StudyVertebrae(self.volume).moved, 1)
        self.press("Shift+Down")
        self.assertEqual(self.slices(), {"L1": L1, "L2": L2})
        self.assertEqual(self.levels().setBy("L1"), "suggested")
        self.assertIn("counting-rod", [use["name"] for use in self.screen()["bundles"]])


class UncertainTest(SuggestTestCase):
    """A suggestion that is not certain, or none at all."""

    def test_no_level_is_set_and_the_reason_and_the_way_on_are_told(self):
        self.suggest("uncertain")
        self.assertEqual(self.slices(), {})
        self.assertIn("not certain enough which vertebra is L1", self.ui.suggestionLabel.text)
        self.assertIn("L1 and L2 not suggested", self.ui.statusLabel.text)
        self.assertIn("take them (C)", self.ui.statusLabel.text)
        for name, label in zip(("T12", "L1", "L2"), self.labels()[1:4], strict=True):
            self.assertRegex(label, rf"^{name} \d\d % \?$")
        chain = self.volume.GetNodeReference("OsteoScreenVertebrae")
        self.assertFalse(chain.GetNthControlPointSelected(2), "another colour")

    def test_the_reader_may_take_the_names_and_confirm_the_levels(self):
        self.suggest("uncertain")
        self.assertEqual(self.ui.confirmShownButton.text, "Take L1 and L2")
        self.press("C")
        self.assertEqual(self.slices(), {"L1": L1, "L2": L2})
        self.assertEqual(self.levels().setBy("L1"), "user")
        self.assertFalse(self.levels().isConfirmed("L1") or self.levels().isConfirmed("L2"))
        self.assertEqual(self.ui.confirmShownButton.text, "Confirm L1 and L2")
        self.press("C")
        self.assertTrue(self.levels().isConfirmed("L1") and self.levels().isConfirmed("L2"))
        document = self.screen()
        self.assertIn("a reader took them", document["numbering"]["reasons"][0])
        self.assertEqual(document["levels"]["L1"]["set_by"], "user")

    def test_where_nothing_fixes_the_count_no_vertebra_is_named(self):
        self.suggest("no ribs")
        self.assertEqual(self.slices(), {})
        self.assertEqual(self.labels(), [])
        self.assertIn("No vertebra is named: Neither the first rib", self.ui.suggestionLabel.text)
        self.assertIn("set the slice by hand", self.ui.statusLabel.text)
        for button in (self.ui.namesUpButton, self.ui.namesDownButton, self.ui.confirmShownButton):
            self.assertFalse(button.enabled)
        with self.assertRaisesRegex(ModuleError, "press Suggest first"):
            self.logic.moveNames(self.volume, ["L1"], 1)

    def test_an_earlier_suggestion_does_not_outlive_a_later_doubt_but_the_readers_level_does(self):
        self.suggest()
        self.levels().setSlice("L2", L2 + 1)
        self.suggest("uncertain")
        self.assertEqual(self.slices(), {"L2": L2 + 1})

    def test_without_a_bundle_it_says_so_and_what_to_do(self):
        self.widget.parameterNode.localisationBundle = "no-such-localiser"
        self.settle()
        self.ui.suggestButton.click()
        self.waitUntilDone()
        self.assertIn("no-such-localiser", self.ui.statusLabel.text)
        self.assertNotIn("--", self.ui.statusLabel.text)
        self.assertEqual(self.slices(), {})
        nothing = mock.patch("OsteoScreenLib.chosen_bundles.default_bundle", return_value=None)
        with nothing, self.assertRaises(ModuleError) as raised:
            self.logic.suggest(self.volume)
        told = inPanel(str(raised.exception))
        self.assertIn("import one under Models and calibration", told)
        self.assertNotIn("--", told)
