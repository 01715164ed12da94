"""Real CT through the module: the same numbers as the command line. Skips where there is none on the machine."""

import functools
import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np

import slicer

from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenTestCase import OsteoScreenTestCase

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.normpath(os.path.join(HERE, "..", "..", "..", "..", "shared", "data"))
ACRIN = os.path.join(DATA, "acrin-nsclc-fdg-pet-042", "dicom")
EXAMPLE = os.path.join(DATA, "totalsegmentator-example")


def loadSeries(folder):
    """Return a DICOM series as a volume node that knows its files, as Slicer's DICOM module loads it."""
    voxels, matrix, files = readSeries(folder)
    node = slicer.util.addVolumeFromArray(voxels, matrix, "chest CT")
    slicer.dicomDatabase = FilesByUid(files)
    node.SetAttribute("DICOM.instanceUIDs", " ".join(files))
    return node


@functools.lru_cache(maxsize=1)
def readSeries(folder):
    """Return a DICOM series: HU (slices, rows, columns) int16, its matrix to RAS mm, and {instance UID: file}."""
    import pydicom
    import SimpleITK as sitk

    files = sorted(glob.glob(os.path.join(folder, "*")))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    image = reader.Execute()
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    voxels = sitk.GetArrayFromImage(image).astype(np.int16)
    voxels.flags.writeable = False
    uids = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in files]
    return voxels, np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix, dict(zip(uids, files, strict=True))


class FilesByUid:
    """Where the files are; the module asks a DICOM database for nothing else."""

    # Slicer's own annotations of the views look no further then.
    isOpen = False

    def __init__(self, files):
        self._files = files

    def fileForInstance(self, uid):
        return self._files.get(uid, "")


def commandLine(*arguments):
    """Screen by the command line; return result.json as a dict."""
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.dirname(slicer.util.modulePath("OsteoScreen"))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([library, *sys.path])}
        command = [sys.executable, "-m", "OsteoScreenLib", "screen", *arguments, "-o", os.path.join(folder, "out")]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        with open(os.path.join(folder, "out", "result.json"), encoding="utf-8") as file:
            return json.load(file)


def digits(value):
    """Return a result's numbers to nine digits: geometry goes through text in DICOM and through single steps in ITK."""
    if isinstance(value, dict):
        return {key: digits(item) for key, item in value.items()}
    if isinstance(value, list):
        return [digits(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


@unittest.skipUnless(os.path.isdir(ACRIN), f"the real CT is not on this machine: no {ACRIN}")
class ChestCtTest(OsteoScreenTestCase):
    """A whole chest CT, loaded from DICOM."""

    def setUp(self):
        OsteoScreenTestCase.setUp(self)
        database = getattr(slicer, "dicomDatabase", None)
        self.addCleanup(setattr, slicer, "dicomDatabase", database)
        self.volume = self.choose(loadSeries(ACRIN))

    def test_the_numbers_are_those_of_the_command_line(self):
        expected = commandLine(ACRIN, "--l1=-291.51", "--l2=-330.75")
        self.logic.screen(self.volume, l1=-291.51, l2=-330.75)
        found = self.document(self.volume)
        for key in ("status", "levels", "roi", "densitometry", "classification", "agreement", "eligibility", "bundles"):
            self.assertEqual(digits(found[key]), digits(expected[key]), key)
        self.assertEqual(found["input"]["kvp"], 140.0)
        self.assertEqual(found["input"]["series_instance_uid"], expected["input"]["series_instance_uid"])
        self.assertEqual(round(found["roi"]["L1"]["mean_hu"]), round(expected["roi"]["L1"]["mean_hu"]))

    def test_the_panel_shows_the_scan_and_screens_it(self):
        self.assertIn("140 kVp", self.ui.scanLabel.text)
        self.assertIn("age 69", self.ui.scanLabel.text)
        levels = StudyLevels(self.volume)
        for name, height in (("L1", -291.51), ("L2", -330.75)):
            levels.setSlice(name, levels.geometry.nearest_slice(height))
            levels.confirm(name)
        self.settle()
        self.ui.screenButton.click()
        self.waitUntilDone()
        self.assertIn("Screened on", self.ui.statusLabel.text)
        self.assertIn("osteopenia", self.ui.bmdLabel.text)
        document = self.document(self.volume)
        self.assertTrue(document["levels"]["L2"]["confirmed"])

    def test_snap_stays_within_4_mm_of_the_reader(self):
        levels = StudyLevels(self.volume)
        for name, height in (("L1", -291.51), ("L2", -330.75)):
            k = levels.geometry.nearest_slice(height)
            for start in (k - 2, k + 2):
                levels.setSlice(name, start)
                self.logic.snap(self.volume, name)
                self.assertLessEqual(abs(levels.height(name) - height), 4.0)


@unittest.skipUnless(os.path.isdir(EXAMPLE), f"the real CT is not on this machine: no {EXAMPLE}")
class AbdomenCtTest(OsteoScreenTestCase):
    """A CT from NIfTI with TotalSegmentator's vertebrae as a segmentation."""

    def test_levels_from_the_segmentation_and_the_same_numbers(self):
        path = os.path.join(EXAMPLE, "ct.nii.gz")
        labels = os.path.join(EXAMPLE, "vertebrae.nii.gz")
        expected = commandLine(path, "--levels-from", labels)
        volume = slicer.util.loadVolume(path)
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "TotalSegmentator")
        labelmap = slicer.util.loadLabelVolume(labels)
        logic = slicer.modules.segmentations.logic()
        logic.ImportLabelmapToSegmentationNode(labelmap, segmentation)
        slicer.mrmlScene.RemoveNode(labelmap)
        segments = segmentation.GetSegmentation()
        # TotalSegmentator's own extension names them so; 31 is L1 and 30 is L2 in its scheme.
        values = {31: "L1 vertebra", 30: "L2 vertebra"}
        for segmentID in segments.GetSegmentIDs():
            segment = segments.GetSegment(segmentID)
            segment.SetName(values.get(segment.GetLabelValue(), segment.GetName()))
        self.choose(volume)
        self.widget.parameterNode.levelsSegmentation = segmentation
        self.settle()
        self.ui.fromSegmentationButton.click()
        levels = StudyLevels(volume)
        self.assertEqual(
            {name: levels.sliceIndex(name) for name in ("L1", "L2")},
            {name: level["slice_index"] for name, level in expected["levels"].items()},
        )
        self.logic.screen(volume)
        found = self.document(volume)
        for key in ("roi", "densitometry", "classification", "agreement"):
            self.assertEqual(digits(found[key]), digits(expected[key]), key)
