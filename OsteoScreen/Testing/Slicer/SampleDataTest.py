"""The sample data: offered by Slicer's module Sample Data without a network, and what the tutorial makes of them."""

import json
import pathlib

import SampleData
import slicer

from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenTestCase import OsteoScreenTestCase

NAME = "OsteoScreenSimulatedCT"
# How near a suggested level has to be to the true centre: half a slice of the CT more than the localiser's own 4 mm.
NEAR_MM = 5.5


class SampleDataTest(OsteoScreenTestCase):
    """The simulated chest CT that ships with the module."""

    def truth(self):
        """Return what is known of the CT."""
        module = pathlib.Path(slicer.util.modulePath("OsteoScreen")).parent
        return json.loads((module / "Resources" / "SampleData" / f"{NAME}.json").read_text(encoding="utf-8"))

    def test_the_tutorial_finds_levels_and_bone_density_of_the_sample(self):
        volume = SampleData.downloadSample(NAME)
        self.assertEqual(volume.GetName(), NAME)
        truth = self.truth()
        self.assertEqual(volume.GetImageData().GetDimensions()[2], truth["slices"])
        self.logic.suggest(volume)
        levels = StudyLevels(volume)
        for name in ("L1", "L2"):
            self.assertFalse(levels.isConfirmed(name))
            suggested = levels.position(name)[2]
            self.assertAlmostEqual(suggested, truth["levels"][name]["centre_ras_mm"][2], delta=NEAR_MM)
            levels.confirm(name, True)
        result = self.logic.screen(volume, ageYears=67, sex="F")
        measured = result.densitometry.bmd_mg_cm3
        for name in ("L1", "L2"):
            off = measured[name] - truth["levels"][name]["bmd_mg_cm3"]
            self.assertLess(abs(off), result.densitometry.calibration.uncertainty_mg_cm3)
        self.choose(volume)
        self.assertIn("osteopenia", self.document(volume)["densitometry"]["category"])
