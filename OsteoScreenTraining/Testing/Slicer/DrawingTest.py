"""The walk through the cases: outlined by the network, edited, accepted, rejected, resumed."""

import csv
import os
import pathlib

import numpy as np

import slicer

from OsteoScreenSlicerLib.StudyNodes import StudyNodes
from TrainingTestCase import TrainingTestCase


SLICES = 12
# Where the levels lie, from the feet.
PLACES = {"L1": 9, "L2": 2}


class DrawingTest(TrainingTestCase):
    """Two phantoms without outlines, as DICOM series."""

    def setUp(self):
        from OsteoScreenLib.benchmark_phantom import write_phantom

        TrainingTestCase.setUp(self)
        with open(self.place("subjects.csv"), "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["subject", "ct", "l1_z_mm", "l2_z_mm", "bmd_l1", "bmd_l2", "mineral"])
            for name in ("A", "B"):
                ct = pathlib.Path(self.place(name, "ct"))
                ct.mkdir(parents=True)
                heights = write_phantom(ct, SLICES)
                writer.writerow([name, f"{name}/ct", *(heights[k] for k in PLACES.values()), "100", "104", "CaHA"])
        self.widget.parameterNode.dataFolder = self.folder
        self.ui.drawCollapsibleButton.collapsed = False

    def openNext(self):
        self.ui.nextCaseButton.click()
        self.waitFor(lambda: "edit where needed" in self.ui.statusLabel.text, "the outline")

    def rows(self):
        with open(self.place("subjects.csv"), newline="", encoding="utf-8") as file:
            return {row["subject"]: row for row in csv.DictReader(file)}

    def test_accept_edit_and_reject_are_on_the_disk_at_once(self):
        self.openNext()
        self.assertIn("A: 0 accepted, 0 rejected, 2 left", self.ui.drawLabel.text)
        walk = self.widget.draw.walk
        segmentation = walk.volumeNode.GetNodeReference("OsteoScreenOutlines")
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "L1", walk.volumeNode)
        columns = np.nonzero(mask)[2]
        mask[:, :, int(columns.mean()) :] = 0
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, "L1", walk.volumeNode)
        beside = StudyNodes(walk.volumeNode).keepText("earlier", "earlier results", "[]")
        self.ui.acceptCaseButton.click()
        self.assertIn("Kept the outlines of A", self.ui.statusLabel.text)
        self.assertIsNone(beside.GetScene(), "what hangs on the case goes with it")
        masks = self.rows()["A"]["masks"]
        self.assertTrue(os.path.isfile(self.place(masks)))
        self.assertEqual(self.rows()["A"]["bmd_l1"], "100")
        self.assertIsNone(walk.volumeNode)

        from OsteoScreenLib.levels import read_vertebrae

        kept = read_vertebrae(self.place(masks), ["L1", "L2"])
        self.assertEqual(int(kept["L1"].mask.sum()), int(mask.sum()), "what was edited is what was kept")

        self.openNext()
        self.widget.draw.reject("the level is fractured")
        self.assertIn("1 accepted, 1 rejected, 0 left", self.ui.drawLabel.text)
        self.ui.nextCaseButton.click()
        self.assertIn("Every case has outlines", self.ui.statusLabel.text)

    def test_the_walk_goes_on_where_it_was_left(self):
        self.openNext()
        self.ui.acceptCaseButton.click()
        self.widget.draw.close()
        slicer.mrmlScene.Clear(0)
        self.widget.parameterNode.dataFolder = self.folder
        self.openNext()
        self.assertEqual(self.widget.draw.walk.subject.subject, "B")

    def test_a_level_without_an_outline_is_not_accepted(self):
        self.openNext()
        walk = self.widget.draw.walk
        walk.volumeNode.GetNodeReference("OsteoScreenOutlines").GetSegmentation().RemoveSegment("L2")
        self.ui.acceptCaseButton.click()
        self.assertIn("L2 has no outline", self.ui.statusLabel.text)
        self.assertFalse(self.rows()["A"].get("masks"))

    def test_a_case_without_its_ct_is_told(self):
        os.rename(self.place("A", "ct"), self.place("A", "gone"))
        self.ui.nextCaseButton.click()
        self.assertIn("no CT at the place", self.ui.statusLabel.text)
