"""What the training module's tests share: the open panel, a small simulated data set, and waiting for jobs.

These files run in Slicer (CTest, Reload and Test) and, through Testing/slicer_host, in continuous integration.
"""

import atexit
import os
import shutil
import tempfile
import time
import unittest

import slicer

SUBJECTS = 90
# Where lies what was made once in this process, by its name.
_MADE = {}


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

    def made(self, name, *words):
        """Return the test's own copy of what a command writes to ``-o``; it runs once in a process, as a job."""
        if name not in _MADE:
            folder = tempfile.mkdtemp(prefix="OsteoScreenTraining-made-")
            atexit.register(shutil.rmtree, folder, True)
            job, place = os.path.join(folder, "job"), os.path.join(folder, name)
            self.logic.start([*words, "-o", place], job)
            self.waitForJob(job)
            _MADE[name] = place
        return shutil.copytree(_MADE[name], self.place(name))

    def simulatedDataSet(self):
        """Return the folder of a small simulated data set."""
        return self.made("data", "simulate", "cohort", "--count", str(SUBJECTS), "--seed", "3")
