"""The reader's decision and the change in BMD: accepted, corrected, discarded, compared, and what keeps them."""

import os
import tempfile

import numpy as np

import slicer

from DicomPhantom import FIRST, LATER, DicomTestCase
from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenTestCase import L1_SLICE, L2_SLICE, OsteoScreenTestCase

READER = "A. Reader"


class DecisionTest(OsteoScreenTestCase):
    """What a reader does in section 5."""

    def setUp(self):
        OsteoScreenTestCase.setUp(self)
        self.addCleanup(self.forgetReader)
        self.volume = self.choose(self.phantom())
        levels = StudyLevels(self.volume)
        levels.setSlice("L1", L1_SLICE)
        levels.setSlice("L2", L2_SLICE)
        self.settle()
        self.ui.readerLineEdit.text = READER

    def forgetReader(self):
        self.ui.rememberReaderCheckBox.checked = False
        self.ui.readerLineEdit.text = ""

    def screen(self):
        self.ui.screenButton.click()
        self.waitUntilDone()

    def decisions(self):
        return [(made["decision"], made["corrections"]) for made in self.document(self.volume)["decisions"]]

    def erase(self, name):
        """Erase the left half of a level's outline, as a reader would in the Segment Editor."""
        segmentation = self.volume.GetNodeReference("OsteoScreenOutlines")
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, name, self.volume)
        mask[:, :, int(np.nonzero(mask)[2].mean()) :] = 0
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, name, self.volume)
        self.settle()

    def page(self):
        """Return the text of the saved page."""
        with tempfile.TemporaryDirectory() as folder:
            self.widget.keep.savePage(os.path.join(folder, "page.html"))
            self.waitUntilDone()
            with open(os.path.join(folder, "page.html"), encoding="utf-8") as file:
                return file.read()

    def rows(self):
        table = self.volume.GetNodeReference("OsteoScreenTable")
        return [[table.GetCellText(row, column) for column in range(4)] for row in range(table.GetNumberOfRows())]

    def test_accepting_signs_confirms_and_is_kept_everywhere(self):
        self.assertFalse(self.ui.acceptButton.enabled)
        self.screen()
        self.assertFalse(self.document(self.volume)["levels"]["L1"]["confirmed"])
        self.ui.decisionCommentLineEdit.text = "second look"
        self.ui.acceptButton.click()
        self.settle()
        (made,) = self.document(self.volume)["decisions"]
        self.assertEqual((made["decision"], made["by"], made["comment"]), ("accepted", READER, "second look"))
        self.assertRegex(made["at"], r"^20\d\d-\d\d-\d\dT.*[+-]\d\d:\d\d$")
        self.assertIn(f"Accepted by {READER}", self.ui.decisionLabel.text)
        self.assertIn("Comment: second look", self.ui.decisionLabel.text)
        self.assertTrue(StudyLevels(self.volume).isConfirmed("L2"))
        self.assertEqual(self.ui.outdatedLabel.text, "")
        self.assertIn(["decided by", "in force", READER, made["at"]], self.rows())
        self.assertIn(f"Accepted by {READER}", self.page())

    def test_nobody_decides_without_a_name(self):
        self.screen()
        self.ui.readerLineEdit.text = "  "
        self.assertFalse(self.ui.acceptButton.enabled)
        self.assertIn("Type who decides", self.ui.acceptButton.toolTip)
        with self.assertRaisesRegex(OsteoScreenError, "Nobody is named"):
            self.logic.decisions.accept(self.volume, "  ")
        self.assertEqual(self.decisions(), [])

    def test_a_name_is_remembered_only_where_that_is_asked(self):
        settings = slicer.app.userSettings()
        self.assertIsNone(settings.value("OsteoScreen/Reader"))
        self.ui.rememberReaderCheckBox.checked = True
        self.assertEqual(settings.value("OsteoScreen/Reader"), READER)
        self.ui.rememberReaderCheckBox.checked = False
        self.assertIsNone(settings.value("OsteoScreen/Reader"))
        scene = slicer.mrmlScene
        for index in range(scene.GetNumberOfNodes()):
            node = scene.GetNthNode(index)
            told = [node.GetAttribute(name) or "" for name in node.GetAttributeNames()]
            parameters = [node.GetParameter(key) for key in node.GetParameterNames()] if hasattr(
                node, "GetParameterNames") else []  # fmt: skip
            self.assertNotIn(READER, " ".join([*told, *parameters]), "a scene signs for nobody")

    def test_a_moved_level_is_signed_as_corrected_and_cannot_be_merely_accepted(self):
        self.screen()
        self.assertFalse(self.ui.correctButton.enabled)
        self.assertIn("Nothing is corrected yet", self.ui.correctButton.toolTip)
        StudyLevels(self.volume).setSlice("L1", L1_SLICE + 2)
        self.settle()
        self.assertFalse(self.ui.acceptButton.enabled)
        self.assertIn("L1 was moved since", self.ui.acceptButton.toolTip)
        with self.assertRaisesRegex(ModuleError, "L1 was moved since"):
            self.logic.decisions.accept(self.volume, READER)
        self.screen()
        self.assertIn("Changed since the one before: level L1", self.ui.decisionLabel.text)
        self.assertFalse(self.ui.acceptButton.enabled)
        self.ui.correctButton.click()
        self.settle()
        self.assertEqual(self.decisions(), [("corrected", ["level L1"])])
        self.assertIn("Corrected (level L1)", self.page())

    def test_an_edited_outline_is_signed_as_corrected_after_more_than_one_measurement(self):
        self.screen()
        self.erase("L2")
        self.screen()
        self.screen()
        self.ui.correctButton.click()
        self.settle()
        self.assertEqual(self.decisions(), [("corrected", ["outline L2"])])

    def test_earlier_decisions_stay_in_front(self):
        self.screen()
        self.ui.acceptButton.click()
        self.settle()
        StudyLevels(self.volume).setSlice("L2", L2_SLICE + 1)
        self.settle()
        self.screen()
        self.assertEqual(self.decisions(), [], "the new result is nobody's yet")
        self.ui.correctButton.click()
        self.settle()
        self.assertEqual(self.decisions(), [("accepted", []), ("corrected", ["level L2"])])
        self.ui.discardButton.click()
        self.settle()
        self.assertEqual([kind for kind, _changes in self.decisions()], ["accepted", "corrected", "discarded"])

    def test_a_discarded_result_says_so_and_shows_no_value(self):
        self.screen()
        bmd = self.document(self.volume)["densitometry"]["bmd_mg_cm3"]["individual"]
        self.assertIn(f"{bmd:.0f}", self.ui.bmdLabel.text)
        self.ui.discardButton.click()
        self.settle()
        self.assertIn(f"Discarded by {READER}", self.ui.bmdLabel.text)
        self.assertIn("do not use them", self.ui.bmdLabel.text)
        self.assertNotIn(f"{bmd:.0f}", self.ui.bmdLabel.text)
        self.assertTrue(self.ui.normalBar.isHidden())
        row = [self.ui.earlierTable.item(0, column).text() for column in range(2, 5)]
        self.assertEqual(row, ["–", "discarded", "–"])
        self.assertEqual(self.rows()[1][:3], ["decision", "in force", "discarded"])
        self.assertIn(f"Discarded by {READER}", self.page())

    def test_a_refused_study_holds_nothing_to_decide_on(self):
        self.widget.parameterNode.ageYears = 10
        self.addCleanup(setattr, self.widget.parameterNode, "ageYears", 0)
        self.settle()
        self.screen()
        self.assertEqual(self.document(self.volume)["status"], "refused")
        for name in ("acceptButton", "correctButton", "discardButton"):
            self.assertFalse(getattr(self.ui, name).enabled, name)
        self.assertIn("The study was refused", self.ui.discardButton.toolTip)

    def test_a_saved_scene_keeps_the_decision_and_what_it_corrected(self):
        self.screen()
        self.ui.acceptButton.click()
        self.settle()
        StudyLevels(self.volume).setSlice("L1", L1_SLICE + 2)
        self.settle()
        self.screen()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "scene.mrb")
            self.assertTrue(slicer.util.saveScene(path))
            slicer.mrmlScene.Clear(0)
            slicer.util.loadScene(path)
        self.settle()
        self.volume = self.widget.parameterNode.inputVolume
        self.ui.correctButton.click()
        self.settle()
        self.assertEqual(self.decisions(), [("accepted", []), ("corrected", ["level L1"])])


class FollowUpTest(DicomTestCase):
    """The change in BMD since earlier scans of the same patient."""

    def test_the_change_is_told_with_its_least_significant_change_on_page_and_panel(self):
        first = self.screened(FIRST, denser=40)
        later = self.screened(LATER)
        (change,) = self.document(later)["follow_up"]
        then, now = (self.document(node)["densitometry"]["bmd_mg_cm3"]["individual"] for node in (first, later))
        self.assertAlmostEqual(change["change_mg_cm3"]["individual"], now - then)
        self.assertEqual(change["interval_days"], 396)
        self.assertIsNone(change["earlier"]["date"], "dates belong to the patient's identity")
        self.assertEqual(self.document(first)["follow_up"], [])
        self.assertIn(f"{then:.1f} mg/cm³", self.ui.changeLabel.text)
        told = " ".join(change["not_comparable"])
        self.assertNotIn("same patient", told)
        # The phantom's line is the nominal one, which must not be followed: the panel says so and claims nothing.
        self.assertIn("nominal line", told)
        self.assertIn("not comparable", self.ui.changeLabel.text)
        self.widget.keep.savePage(self.path("page.html"))
        self.waitUntilDone()
        with open(self.path("page.html"), encoding="utf-8") as file:
            self.assertIn("not comparable", file.read())

    def test_with_a_calibration_the_two_are_compared(self):
        import json

        calibration = {
            "slope": 0.8, "intercept": -2.0, "mineral": "CaHA", "uncertainty_mg_cm3": 8.0, "precision_mg_cm3": 2.0,
            "scanner": "Phantom 1", "kvp": 120, "kernel": "STANDARD", "date": "2025-01-01", "expires": "2027-01-01",
        }  # fmt: skip
        with open(self.path("calibration.json"), "w", encoding="utf-8") as file:
            json.dump(calibration, file)
        scans = {}
        for date, denser in ((FIRST, 40), (LATER, 0)):
            volume = scans[date] = self.loaded(date, denser=denser)
            self.logic.screen(volume, l1=f"#{L1_SLICE}", l2=f"#{L2_SLICE}", calibration=self.path("calibration.json"))
        self.settle()
        (change,) = self.document(scans[LATER])["follow_up"]
        self.assertAlmostEqual(change["least_significant_change_mg_cm3"], 2.77 * 2.0, places=2)
        self.assertLess(change["change_mg_cm3"]["individual"], -20)
        self.assertEqual(change["not_comparable"], [])
        self.assertIn("That is more than the least significant change of 5.5 mg/cm³", self.ui.changeLabel.text)
        self.ui.readerLineEdit.text = READER
        self.addCleanup(setattr, self.ui.readerLineEdit, "text", "")
        self.logic.decisions.discard(scans[FIRST], READER)
        self.settle()
        (change,) = self.document(scans[LATER])["follow_up"]
        self.assertTrue(any("discarded the earlier result" in reason for reason in change["not_comparable"]))

    def test_an_earlier_result_comes_from_a_file_and_can_be_left_out(self):
        self.screened(FIRST, denser=40)
        self.widget.keep.saveResult(self.path("earlier"))
        slicer.mrmlScene.Clear(0)
        later = self.screened(LATER)
        self.assertEqual(self.document(later)["follow_up"], [])
        self.widget.earlier.add(self.path("earlier.json"))
        self.settle()
        self.assertEqual(len(self.document(later)["follow_up"]), 1)
        self.assertEqual(self.ui.earlierTable.rowCount, 2)
        # It is compared again with what is measured next.
        self.logic.screen(later, l1=f"#{L1_SLICE + 1}", l2=f"#{L2_SLICE}")
        self.settle()
        self.assertEqual(len(self.document(later)["follow_up"]), 1)
        names = [self.ui.earlierTable.item(row, 0).text() for row in range(2)]
        self.ui.earlierTable.setCurrentCell(names.index("earlier.json"), 0)
        self.assertTrue(self.ui.leaveOutButton.enabled)
        self.ui.leaveOutButton.click()
        self.settle()
        self.assertEqual(self.document(later)["follow_up"], [])

    def test_what_is_no_earlier_result_is_refused(self):
        volume = self.screened(FIRST)
        self.widget.keep.saveResult(self.path("own.json"))
        with self.assertRaisesRegex(OsteoScreenError, "of this very scan"):
            self.widget.earlier.add(self.path("own.json"))
        with open(self.path("other.json"), "w", encoding="utf-8") as file:
            file.write("{}")
        with self.assertRaisesRegex(OsteoScreenError, "not a valid OsteoScreen result"):
            self.widget.earlier.add(self.path("other.json"))
        self.assertEqual(self.document(volume)["follow_up"], [])
        self.assertTrue(self.ui.statusLabel.text.startswith("✕"))
