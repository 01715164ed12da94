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

from OsteoScreenTrainingSlicerLib import Jobs

# Few, and enough for a random split, which takes five of each bone status for each part.
SUBJECTS = 45


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

    def waitFor(self, condition, what, seconds=900):
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

    def endless(self, folder):
        """Return ``folder`` for a job that only a request ends; what runs there when the test has ended is killed."""
        self.addCleanup(self._kill, folder)
        return folder

    def _kill(self, folder):
        Jobs.kill(folder)
        self.waitFor(lambda: self.logic.state(folder).state != "running", f"the end of the job in {folder}")

    def simulatedDataSet(self):
        """Return the folder of the test's own copy of a small simulated data set, which a job makes once a process."""
        if not _simulated:
            folder = tempfile.mkdtemp(prefix="OsteoScreenTraining-made-")
            atexit.register(shutil.rmtree, folder, True)
            job, place = os.path.join(folder, "job"), os.path.join(folder, "data")
            self.logic.start(["simulate", "cohort", "--count", str(SUBJECTS), "--seed", "3", "-o", place], job)
            self.waitForJob(job)
            _simulated.append(place)
        return shutil.copytree(_simulated[0], self.place("data"))


# Where the simulated data set lies, once there is one.
_simulated = []
