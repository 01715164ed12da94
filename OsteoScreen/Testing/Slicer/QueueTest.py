"""The levels queue: from a batch's list of open levels to the list that the batch screens by, one key per case."""

import csv
import importlib.util
import os
import shutil
import subprocess
import tempfile
import unittest
from unittest import mock

import slicer

import CountingBundle
from CountingBundle import sliceOf
from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenSlicerLib.Queue import READER, SKIPPED, WHEN, LevelsQueue
from OsteoScreenSlicerLib.Worker import pythonForWorker
from OsteoScreenTestCase import SLICE_MM, OsteoScreenTestCase, phantomVoxels

L1, L2 = sliceOf("L1"), sliceOf("L2")
# Where the scans begin (RAS S, mm): no two cases have their levels at the same height.
FEET_MM = {"case-a": 0.0, "case-b": 100.0, "case-c": -300.0}


class QueueTestCase(OsteoScreenTestCase):
    """A queue of three studies in the panel; ``NEEDING`` are those that the batch had not suggested levels for."""

    NEEDING = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.bundle = os.path.join(cls.folder, "bundle")
        CountingBundle.writeBundle(cls.bundle)
        for name, feet in FEET_MM.items():
            # Only the network needs the phantom's fine pixels.
            writeScan(os.path.join(cls.folder, f"{name}.nrrd"), feet, every=1 if cls.NEEDING else 8)

    def setUp(self):
        OsteoScreenTestCase.setUp(self)
        self.out = tempfile.mkdtemp(dir=self.folder)
        self.addCleanup(setattr, self.widget.parameterNode, "localisationBundle", "")
        self.writeQueue(os.path.join(self.out, "set-1"), self.rows())
        self.choose(None)
        self.begin()
        self.ui.queueReaderLineEdit.text = "Dr Reader"

    def rows(self):
        """Return the batch's rows of the open cases; the least certain is the first in the queue."""
        return [self.row("case-a", 0.7, age_years=70.0, sex="F"), self.row("case-c", 0.8), self.row("case-b", 0.9)]

    def row(self, name, probability, **given):
        from OsteoScreenLib.batch.study import BatchStudy, State, StudyRow

        scan = os.path.join(self.folder, f"{name}.nrrd")
        if name in self.NEEDING:
            return StudyRow(BatchStudy(name, scan, **given), State.NEEDS_LEVELS)
        measures = {}
        # Two slices off the middle, so that it is told from what the network would suggest.
        for level, k in (("l1", L1 + 2), ("l2", L2 + 2)):
            told = {"slice_index": k, "z_ras_mm": 0.0, "confirmed": "no", "name_probability": probability}
            measures.update({f"{level}_{key}": value for key, value in told.items()})
        return StudyRow(BatchStudy(name, scan, l1="auto", **given), State.SCREENED, measures=measures)

    def writeQueue(self, folder, rows):
        """Write a batch's list of open levels."""
        from OsteoScreenLib.batch.queue import open_cases, write_queue_list

        os.makedirs(folder)
        write_queue_list(open_cases(rows, "set-1"), os.path.join(folder, "levels-queue.csv"))

    def begin(self):
        """Choose the queue in the panel."""
        self.widget.parameterNode.localisationBundle = self.bundle
        self.widget.parameterNode.queuePath = self.out
        self.settle()

    @property
    def filledPath(self):
        return os.path.join(self.out, "set-1", "levels-queue-filled.csv")

    def filled(self):
        """Return {id: row} of the filled-in list."""
        if not os.path.exists(self.filledPath):
            return {}
        with open(self.filledPath, encoding="utf-8", newline="") as file:
            return {row["id"]: row for row in csv.DictReader(file)}

    def press(self, key):
        """Press a key in the module, having looked at what is to be confirmed, and wait for what comes of it."""
        self.settle(0.7 if key == "C" else 0.0)
        next(shortcut for shortcut in self.widget._shortcuts if shortcut.key.toString() == key).activated()
        self.waitUntilDone()

    def shown(self):
        """Return the id of the case that is shown."""
        return self.widget.volumeNode.GetName() if self.widget.volumeNode is not None else None

    def levels(self):
        return StudyLevels(self.widget.volumeNode)

    def slices(self):
        return {name: self.levels().sliceIndex(name) for name in self.levels().names()}


class WholeWayTest(QueueTestCase):
    """Two studies without levels, for which the network has to be asked, and one that the batch had suggested."""

    NEEDING = ("case-a", "case-c")

    def test_set_skipped_stopped_and_resumed(self):
        self.assertIn("3 of 3 left", self.ui.queueLabel.text)
        self.press("N")
        self.assertEqual((self.shown(), self.slices()), ("case-a", {"L1": L1, "L2": L2}))
        self.assertIn("L1 and L2 suggested", self.ui.statusLabel.text)
        self.assertIn("age 70", self.ui.scanLabel.text)
        self.assertFalse(any(self.levels().isConfirmed(name) for name in ("L1", "L2")))
        self.assertEqual(self.filled(), {}, "nothing is confirmed by itself")

        self.press("C")
        row = self.filled()["case-a"]
        self.assertEqual((float(row["l1"]), float(row["l2"])), (L1 * SLICE_MM, L2 * SLICE_MM))
        self.assertEqual((row[READER], row[SKIPPED], row["sex"]), ("Dr Reader", "", "F"))
        self.assertRegex(row[WHEN], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$")
        self.assertEqual(self.shown(), "case-c", "one key per case")
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"), 1)
        self.assertFalse(slicer.mrmlScene.GetNodesByName("case-a levels").GetNumberOfItems())

        self.ui.queueReasonComboBox.setEditText("metal")
        self.press("Shift+N")
        self.assertEqual((self.filled()["case-c"][SKIPPED], self.filled()["case-c"]["l1"]), ("metal", ""))
        self.assertEqual((self.shown(), self.slices()), ("case-b", {"L1": L1 + 2, "L2": L2 + 2}))
        self.assertEqual(self.levels().setBy("L1"), "suggested")
        self.assertIn("as the batch suggested", self.ui.statusLabel.text)

        slicer.mrmlScene.Clear(0)
        self.settle()
        self.begin()
        self.assertIn("1 of 3 left; 1 set, 1 skipped", self.ui.queueLabel.text)
        self.press("N")
        self.assertEqual(self.shown(), "case-b")
        self.levels().setSlice("L1", L1 - 1)
        self.press("C")
        self.assertIn("No case is left", self.ui.statusLabel.text)
        self.assertIn(self.filledPath, self.ui.statusLabel.text)
        self.assertIsNone(self.shown())
        self.assertFalse(self.ui.queueNextButton.enabled)


@unittest.skipUnless(importlib.util.find_spec("distributed"), "this Python cannot run a batch: distributed is missing")
class FromTheBatchTest(QueueTestCase):
    """The queue that `osteoscreen batch` itself wrote; the same command screens its studies when the reader is done."""

    NEEDING = ("case-a", "case-b", "case-c")

    def writeQueue(self, folder, rows):
        first = os.path.join(self.folder, "first.csv")
        with open(first, "w", encoding="utf-8") as file:
            file.write("id,ct,sex\n" + "".join(f"{name},{name}.nrrd,F\n" for name in self.NEEDING))
        self.assertIn("needs levels 3", self.batch(first))

    def batch(self, manifest):
        """Run the command as a user does, and return what it said."""
        program, paths = pythonForWorker()
        search = os.pathsep.join(filter(None, [*paths, os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [program, "-m", "OsteoScreenLib", "batch", manifest, "-o", self.out, "--workers=1", "--device=cpu"],
            env={**os.environ, "PYTHONPATH": search},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    @property
    def filledPath(self):
        return self.widget.queue._queue.filledPath

    def test_the_studies_that_needed_levels_are_screened_with_the_readers(self):
        from OsteoScreenLib.batch.store import Store
        from OsteoScreenLib.batch.study import State

        self.press("N")
        self.press("C")
        self.ui.queueReasonComboBox.setEditText("metal")
        self.press("Shift+N")
        self.levels().setSlice("L1", L1 - 1)
        self.press("C")
        self.assertIn("No case is left", self.ui.statusLabel.text)
        self.assertIn("screened 2, needs levels 1", self.batch(self.filledPath))
        with Store.read(self.out) as store:
            (only,) = store.sets()
            rows = {row.study.id: row for row in store.rows(only.id)}
        states = {name: row.state for name, row in rows.items()}
        self.assertEqual(states, {"case-a": State.SCREENED, "case-b": State.NEEDS_LEVELS, "case-c": State.SCREENED})
        for name, slices in (("case-a", (L1, L2)), ("case-c", (L1 - 1, L2))):
            measures = rows[name].measures
            found = tuple(measures[f"{level}_slice_index"] for level in ("l1", "l2"))
            self.assertEqual((found, measures["l1_confirmed"]), (slices, "yes"))


class QueueTest(QueueTestCase):
    """What may happen on the way."""

    def test_a_key_that_was_meant_for_the_case_before_confirms_nothing(self):
        self.press("N")
        self.widget.queue._shownAt = float("inf")
        self.press("C")
        self.assertIn("only just opened", self.ui.statusLabel.text)
        self.assertFalse(self.levels().isConfirmed("L1"))
        self.assertEqual(self.filled(), {})
        for shortcut in self.widget._shortcuts:
            if shortcut.key.toString() in ("C", "N", "Shift+N"):
                self.assertFalse(shortcut.autoRepeat)

    def test_what_is_not_kept_is_asked_about_and_l1_alone_is_for_one_case(self):
        self.press("N")
        self.levels().setSlice("L1", L1 + 3)
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=False) as asked:
            self.press("N")
        self.assertIn("the levels that you set", asked.call_args[0][0])
        self.assertEqual((self.shown(), self.slices()["L1"]), ("case-a", L1 + 3))
        self.ui.useL2CheckBox.checked = False
        with mock.patch("slicer.util.confirmYesNoDisplay", side_effect=AssertionError("all of it is kept")):
            self.press("C")
        row = self.filled()["case-a"]
        self.assertEqual((float(row["l1"]), row["l2"]), ((L1 + 3) * SLICE_MM, ""))
        self.assertEqual(self.shown(), "case-c")
        self.assertTrue(self.ui.useL2CheckBox.checked)

    def test_a_case_is_opened_again_and_set_anew(self):
        self.press("N")
        self.press("C")
        self.press("Shift+B")
        self.assertEqual((self.shown(), self.slices()), ("case-a", {"L1": L1 + 2, "L2": L2 + 2}))
        self.assertFalse(self.levels().isConfirmed("L1"))
        self.assertIn("as it was set", self.ui.statusLabel.text)
        self.assertIn("case-a", self.filled())
        self.levels().setSlice("L2", L2 - 1)
        self.press("C")
        self.assertEqual(float(self.filled()["case-a"]["l2"]), (L2 - 1) * SLICE_MM)
        self.assertEqual((list(self.filled()), self.shown()), (["case-a"], "case-c"))

    def test_a_scan_that_cannot_be_read_says_so_and_can_be_skipped(self):
        os.rename(os.path.join(self.folder, "case-a.nrrd"), os.path.join(self.folder, "away"))
        try:
            with mock.patch("slicer.util.errorDisplay") as shown:
                self.press("N")
        finally:
            os.rename(os.path.join(self.folder, "away"), os.path.join(self.folder, "case-a.nrrd"))
        self.assertIn("check the path", shown.call_args[0][0])
        self.assertIn("At hand: case-a", self.ui.queueLabel.text)
        self.ui.queueReasonComboBox.setEditText("not there")
        self.press("Shift+N")
        self.assertEqual((self.filled()["case-a"][SKIPPED], self.shown()), ("not there", "case-c"))

    def test_what_another_reader_wrote_meanwhile_stays(self):
        self.press("N")
        with open(os.path.join(self.out, "set-1", "levels-queue.csv"), encoding="utf-8", newline="") as file:
            row = next(row for row in csv.DictReader(file) if row["id"] == "case-c")
        with open(self.filledPath, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*row, READER])
            writer.writeheader()
            writer.writerow({**row, "l1": "-250", READER: "another"})
        self.press("C")
        self.assertEqual((self.filled()["case-c"]["l1"], self.filled()["case-c"][READER]), ("-250", "another"))
        self.assertEqual(self.filled()["case-a"][READER], "Dr Reader")
        self.assertEqual(self.shown(), "case-b")

    def test_a_case_that_another_reader_set_meanwhile_is_not_overwritten(self):
        self.press("N")
        other = LevelsQueue(self.out)
        other.take(other.case("case-a"), {"L1": (L1 + 5) * SLICE_MM}, "another")
        with mock.patch("slicer.util.errorDisplay"):
            self.press("C")
        self.assertIn("case-a was taken down by another meanwhile", self.ui.statusLabel.text)
        row = self.filled()["case-a"]
        self.assertEqual((float(row["l1"]), row[READER]), ((L1 + 5) * SLICE_MM, "another"))
        self.assertEqual(self.shown(), "case-a")
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=True):
            self.press("N")
        self.assertEqual(self.shown(), "case-c")
        self.press("Shift+B")
        self.levels().setSlice("L1", L1)
        self.levels().setSlice("L2", L2)
        self.press("C")
        self.assertEqual(self.filled()["case-a"][READER], "Dr Reader", "it was looked at")

    def test_without_a_queue_or_a_reader_the_section_says_what_is_missing(self):
        self.ui.queueReaderLineEdit.text = ""
        self.settle()
        self.assertFalse(self.ui.queueNextButton.enabled)
        self.assertIn("Type who", self.ui.queueNextButton.toolTip)
        self.ui.queueLineEdit.text = os.path.join(self.out, "nowhere")
        self.settle()
        self.assertIn("is not there", self.ui.queueLabel.text)
        self.ui.queueLineEdit.text = tempfile.mkdtemp(dir=self.folder)
        self.settle()
        self.assertIn("has no open levels", self.ui.queueLabel.text)
        self.ui.queueLineEdit.text = ""
        self.settle()
        self.assertIn("No queue is chosen", self.ui.queueLabel.text)


def writeScan(path, feet, every):
    """Write each ``every``-th row and column of the phantom with T11 to L3 and the rod, its feet at S ``feet`` mm."""
    import SimpleITK as sitk

    voxels, matrix = phantomVoxels()
    image = sitk.GetImageFromArray(CountingBundle.withRod(voxels)[:, ::every, ::every])
    image.SetSpacing([-matrix[0, 0] * every, -matrix[1, 1] * every, matrix[2, 2]])
    image.SetOrigin([-matrix[0, 3], -matrix[1, 3], feet])
    sitk.WriteImage(image, path)
