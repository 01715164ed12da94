"""What the training module's tests share: the open panel, a small simulated data set, and waiting for jobs.

These files run in Slicer (CTest, Reload and Test) and, through Testing/slicer_host, in continuous integration.
"""

import os
import shutil
import tempfile
import time
import unittest

import slicer

SUBJECTS = 90


class TrainingTestCase(unittest.TestCase):
    """A test in an empty scene with the training panel open and a folder of its own."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)
        slicer.util.selectModule("OsteoScreenTraining")
        self.widget = slicer.util.getModuleWidget("OsteoScreenTraining")
        self.logic = self.widget.logic
        self.ui = self.widget.ui
        self.folder = tempfile.mkdtemp(prefix="OsteoScreenTraining-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def tearDown(self):
        slicer.mrmlScene.Clear(0)

    def place(self, *names):
        """Return a path in the test's folder."""
        return os.path.join(self.folder, *names)

    def waitFor(self, condition, what, seconds=240):
        """Let Qt work until ``condition()`` holds; fail with ``what`` where it never does."""
        until = time.monotonic() + seconds
        while not condition():
            slicer.app.processEvents()
            time.sleep(0.05)
            if time.monotonic() > until:
                self.fail(f"{what} did not happen in {seconds} s")

    def waitForJob(self, folder, ending="finished"):
        """Wait until the job in ``folder`` has ended, as ``ending``."""
        self.waitFor(
            lambda: self.logic.state(folder).state not in ("none", "running"), f"the end of the job in {folder}"
        )
        state = self.logic.state(folder)
        self.assertEqual(state.state, ending, f"{state.message}\n{state.log_tail}")
        self.widget.updatePanel()

    def simulatedDataSet(self):
        """Return the folder of a small simulated data set, made by the command line as a job."""
        data = self.place("data")
        words = ["simulate", "cohort", "-o", data, "--count", str(SUBJECTS), "--seed", "3"]
        self.logic.start(words, self.place("simulating"))
        self.waitForJob(self.place("simulating"))
        return data
