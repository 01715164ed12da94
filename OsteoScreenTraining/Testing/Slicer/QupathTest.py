"""Outlines drawn in QuPath: slices out of the CT that is open in OsteoScreen, and what was drawn on them in again."""

import csv
import json
import math
import os

import numpy as np

import slicer

from OsteoScreenSlicerLib.Levels import StudyLevels
from TrainingTestCase import TrainingTestCase

SLICE_MM, SLICES = 3.0, 30
# Where the levels are set, from the feet.
PLACES = {"L1": 22, "L2": 8}
# The inner edge of the phantom's body, in mm about (0, 20 to the back): see OsteoScreenLib/benchmark_phantom.py.
CENTRE_MM, HALF_MM = (0.0, 20.0), (20.5, 15.5)


class QupathTest(TrainingTestCase):
    """A CT in a file, with levels set in OsteoScreen."""

    def setUp(self):
        TrainingTestCase.setUp(self)
        parameters = self.widget.parameterNode
        parameters.dataFolder, parameters.drawingsFolder = self.place("data"), self.place("drawings")
        parameters.drawingsSubject = "A"

    def openCt(self, name="ct.nrrd"):
        """Choose a phantom in OsteoScreen, with its levels; it lies in a file, unless ``name`` is empty."""
        from OsteoScreenLib.benchmark_phantom import PIXEL_MM, SIDE, phantom_slice

        voxels = np.stack([phantom_slice(number % 2) for number in range(SLICES)])
        matrix = np.diag([-PIXEL_MM, -PIXEL_MM, SLICE_MM, 1.0])
        matrix[:2, 3] = SIDE / 2 * PIXEL_MM
        volume = slicer.util.addVolumeFromArray(voxels, matrix, "CT")
        if name:
            self.assertTrue(slicer.util.saveNode(volume, self.place(name)))
        slicer.util.getModuleLogic("OsteoScreen").getParameterNode().inputVolume = volume
        return volume

    def setLevels(self, volume):
        levels = StudyLevels(volume)
        for name, k in PLACES.items():
            levels.setSlice(name, k)
        return {name: levels.height(name) for name in PLACES}

    def draw(self, level):
        """Write the GeoJSON that QuPath exports of an ellipse drawn on a level's slice; return its area in pixels."""
        from OsteoScreenLib.benchmark_phantom import PIXEL_MM, SIDE

        # QuPath counts from the upper left corner of the picture, RAS from the centres of its pixels.
        angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
        column, row = (SIDE / 2 + 0.5 + place / PIXEL_MM for place in CENTRE_MM)
        across, along = (half / PIXEL_MM for half in HALF_MM)
        ring = np.stack([column + across * np.cos(angles), row + along * np.sin(angles)], axis=1).round(3).tolist()
        drawn = {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            "properties": {"objectType": "annotation", "classification": {"name": level}},
        }
        with open(self.place("drawings", f"A_{level}.geojson"), "w", encoding="utf-8") as file:
            json.dump({"type": "FeatureCollection", "features": [drawn]}, file)
        return math.pi * across * along

    def test_what_is_drawn_on_exported_slices_becomes_the_outlines_of_the_subject(self):
        heights = self.setLevels(self.openCt())
        self.ui.exportSlicesButton.click()
        self.waitForJob(self.place("data", "jobs", "export"))
        for level in PLACES:
            self.assertTrue(os.path.isfile(self.place("drawings", f"A_{level}.png")))
            area = self.draw(level)
        self.assertIn("✓ Exporting slices is done.", self.ui.dataJobLabel.text)
        self.ui.importDrawingsButton.click()
        self.waitForJob(self.place("data", "jobs", "import"))
        self.assertIn("A: L1 and L2", self.ui.dataJobLabel.text)
        with open(self.place("data", "subjects.csv"), newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        self.assertEqual(row["subject"], "A")

        from OsteoScreenLib.levels import read_vertebrae

        masks = read_vertebrae(self.place("data", row["masks"]), list(PLACES))
        for level, height in heights.items():
            self.assertAlmostEqual(float(row[f"{level.lower()}_z_mm"]), height, places=3)
            self.assertAlmostEqual(int(masks[level].mask.sum()) / area, 1.0, delta=0.01)

    def test_what_was_left_out_is_told(self):
        self.setLevels(self.openCt())
        self.ui.exportSlicesButton.click()
        self.waitForJob(self.place("data", "jobs", "export"))
        self.draw("L1")
        os.rename(self.place("drawings", "A_L1.geojson"), self.place("drawings", "B_L1.geojson"))
        self.draw("L2")
        self.ui.importDrawingsButton.click()
        self.waitForJob(self.place("data", "jobs", "import"), "failed")
        self.assertIn("left out: B_L1.geojson: no exported slice has that name", self.ui.dataJobLabel.text)

    def test_what_is_missing_is_told(self):
        def exporting():
            self.ui.exportSlicesButton.click()
            return self.ui.statusLabel.text

        self.assertIn("Choose a CT in the module OsteoScreen", exporting())
        volume = self.openCt(name="")
        self.assertIn("Set L1 or L2 of CT", exporting())
        self.setLevels(volume)
        self.assertIn("CT lies in no file", exporting())
        self.widget.parameterNode.drawingsFolder = ""
        self.assertFalse(self.ui.exportSlicesButton.enabled or self.ui.importDrawingsButton.enabled)
