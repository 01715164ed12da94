"""What the module's tests share: an empty scene, the open panel, a phantom CT, and waiting for Qt's events.

These files run in Slicer (CTest, Reload and Test) and, through Testing/slicer_host, in continuous integration.
"""

import functools
import json
import math
import time
import unittest
from unittest import mock

import numpy as np

import slicer

# The phantom's vertebrae: bodies of 26 mm with discs of 10 mm between them (about an adult L1; Panjabi 1992).
SLICE_MM, BODY_MM, DISC_MM = 2.0, 26.0, 10.0
SLICES = 54
# In the phantom as it is made (slice 0 at the feet, S 0 mm), the middles of the bodies that are used as L1 and L2.
L1_SLICE, L2_SLICE = 42, 24


class OsteoScreenTestCase(unittest.TestCase):
    """A test in an empty scene with the module's panel open."""

    @classmethod
    def setUpClass(cls):
        # Between two tests the next one does it: the panel shows every closed scene, which takes time.
        cls.addClassCleanup(slicer.mrmlScene.Clear, 0)

    def setUp(self):
        slicer.mrmlScene.Clear(0)
        slicer.util.selectModule("OsteoScreen")
        self.widget = slicer.util.getModuleWidget("OsteoScreen")
        self.logic = self.widget.logic
        self.ui = self.widget.ui
        parameters = self.widget.parameterNode
        parameters.calibrationFile = parameters.segmentationBundle = parameters.classificationBundle = ""
        # What is loaded ahead would be stopped with the test, and the process started anew for the next one.
        self.warmUp = self.logic.warmUp
        ahead = mock.patch.object(self.logic, "warmUp")
        ahead.start()
        self.addCleanup(ahead.stop)

    def tearDown(self):
        self.widget.run.cancel()

    def settle(self, seconds=0.0):
        """Let what was put off happen, for so long at least: the panel follows changes 0.1 s after the last of them."""
        slicer.app.processEvents()
        until = time.monotonic() + seconds
        self.waitFor(lambda: time.monotonic() >= until and not self.widget.updateTimer.active, "the panel's update")
        slicer.app.processEvents()

    def waitFor(self, condition, what, seconds=900):
        """Let Qt work until ``condition()`` holds; fail with ``what`` where it never does."""
        until = time.monotonic() + seconds
        while not condition():
            slicer.app.processEvents()
            time.sleep(0.01)
            if time.monotonic() > until:
                self.fail(f"{what} did not happen in {seconds} s; the panel says: {self.ui.statusLabel.text}")

    def waitUntilDone(self):
        """Wait until what the panel runs is done."""
        self.waitFor(lambda: not self.widget.run.running, "the end of the work")
        self.settle()

    def choose(self, volumeNode):
        """Choose a CT in the panel."""
        self.widget.parameterNode.inputVolume = volumeNode
        self.settle()
        return volumeNode

    def phantom(self, name="phantom", directions=None, axes=(0, 1, 2)):
        """Return a phantom CT as a volume node in the scene."""
        return addPhantom(name, directions, axes)

    def document(self, volumeNode):
        """Return the result.json document of a CT in the scene."""
        node = volumeNode.GetNodeReference("OsteoScreenResult")
        return None if node is None else json.loads(node.GetText())


def phantomVoxels():
    """Return the phantom's HU (slices, rows, columns) int16 in RAS-aligned axial order, and its matrix to RAS mm.

    Rows run to the back and columns to the patient's left, as in a CT that lies on its back, head first. The array is
    the same each time, and cannot be written to.
    """
    from OsteoScreenLib.benchmark_phantom import PIXEL_MM, SIDE

    matrix = np.diag([-PIXEL_MM, -PIXEL_MM, SLICE_MM, 1.0])
    matrix[:2, 3] = SIDE / 2 * PIXEL_MM
    return _voxels(), matrix


@functools.lru_cache(maxsize=1)
def _voxels():
    from OsteoScreenLib.benchmark_phantom import PIXEL_MM, SIDE, phantom_slice

    bodies = [phantom_slice(seed) for seed in range(4)]
    y, x = (np.mgrid[:SIDE, :SIDE] - SIDE / 2) * PIXEL_MM
    inside = (x / 22) ** 2 + ((y - 20) / 17) ** 2 < 1
    voxels = np.empty((SLICES, SIDE, SIDE), dtype=np.int16)
    for k in range(SLICES):
        voxels[k] = bodies[k % 4]
        # Bodies are centred on L2_SLICE and on every 36 mm from there.
        away = (k - L2_SLICE) * SLICE_MM % (BODY_MM + DISC_MM)
        away = min(away, BODY_MM + DISC_MM - away)
        if away > BODY_MM / 2:
            voxels[k][inside] = 70
        elif away > BODY_MM / 2 - SLICE_MM:
            voxels[k][inside] = 420
    voxels.flags.writeable = False
    return voxels


def addPhantom(name, directions=None, axes=(0, 1, 2)):
    """Add the phantom as a volume node.

    :param directions: a rotation (3 x 3) of the patient in RAS, for an oblique scan.
    :param axes: in which order the stored array has (slices, rows, columns); an axis given as -1 - n runs backwards.
    """
    voxels, matrix = phantomVoxels()
    for wanted in axes:
        if wanted < 0:
            voxels = np.flip(voxels, -1 - wanted)
            column = 2 - (-1 - wanted)
            matrix[:3, 3] += matrix[:3, column] * (voxels.shape[-1 - wanted] - 1)
            matrix[:3, column] *= -1
    order = [wanted if wanted >= 0 else -1 - wanted for wanted in axes]
    voxels = voxels.transpose(order)
    matrix = matrix[:, [2 - order[2], 2 - order[1], 2 - order[0], 3]]
    if directions is not None:
        matrix[:3] = np.asarray(directions) @ matrix[:3]
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(voxels), matrix, name)


def tilted(degrees):
    """Return the rotation (3 x 3) about the patient's left-right axis."""
    angle = math.radians(degrees)
    return np.array([[1, 0, 0], [0, math.cos(angle), -math.sin(angle)], [0, math.sin(angle), math.cos(angle)]])
