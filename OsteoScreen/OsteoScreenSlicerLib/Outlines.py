"""The outlines as Slicer's segmentation, on the CT's own voxels, and back again as they were edited."""

import hashlib
import os

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

import slicer
from slicer.i18n import tr as _

from .Errors import ModuleError
from .Levels import COLOURS
from .StudyNodes import LEVEL_NAMES, PROBABILITY_ATTRIBUTE, StudyNodes
from .Volumes import ijkToRas, voxels

TERMINOLOGY_FILE = "OsteoScreenVertebrae.term.json"
TERMINOLOGY_NAME = "OsteoScreen vertebrae"
# SNOMED CT codes of the vertebrae; Slicer's own lists have neither (they are in TERMINOLOGY_FILE too).
_CODES = {"L1": ("66794005", "L1 vertebra"), "L2": ("14293000", "L2 vertebra")}
# What a network's outline was when it was written: to tell whether the user edited it since.
_MADE_TAG = "OsteoScreen.made"
# Below this the probability map is nothing but the network's noise, and its box can be cut there.
_LEAST_PROBABILITY = 0.005


class StudyOutlines:
    """The outlines of one CT as the segments "L1 vertebral body" and "L2 vertebral body".

    :param ct: the engine's CT of the volume node: it knows which of the volume's voxels an axial slice is.
    """

    def __init__(self, volumeNode, ct):
        self.volumeNode = volumeNode
        self.nodes = StudyNodes(volumeNode)
        self.ct = ct

    def write(self, name, k, mask):
        """Make a network's mask (rows, columns) of slice k the outline of a level; the rest of the segment goes.

        The segment remembers the mask, so that an edit is noticed.
        """
        segmentation, segment, segmentID = self._segment(name)
        _first, block = self.ct.to_stored(k, np.asarray(mask, dtype=np.uint8))
        image = self._image(self.ct.stored_extent(k), block)
        modeReplace = slicer.vtkSlicerSegmentationsModuleLogic.MODE_REPLACE
        slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(
            image, segmentation, segmentID, modeReplace, image.GetExtent()
        )
        segment.SetTag(_MADE_TAG, f"{k}:{maskDigest(mask)}")

    def read(self, name, k):
        """Return the mask (rows, columns) bool of a level on slice k; None without an outline there."""
        segmentID = self.segmentID(name)
        if segmentID is None:
            return None
        segmentation = self.nodes.segmentation
        labelmap = slicer.vtkOrientedImageData()
        segmentation.CreateBinaryLabelmapRepresentation()
        if not segmentation.GetBinaryLabelmapRepresentation(segmentID, labelmap) or labelmap.IsEmpty():
            return None
        reference = self._image(self.ct.stored_extent(k))
        onSlice = slicer.vtkOrientedImageData()
        resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
        if not resample(labelmap, reference, onSlice, False):
            return None
        mask = self.ct.from_stored(voxels(onSlice) > 0)
        return mask if mask.any() else None

    def isEdited(self, name, k, mask):
        """Return whether the outline (rows, columns) of a level on slice k is not the one that a network drew there."""
        return self._made(name) != f"{k}:{maskDigest(mask)}"

    def segmentID(self, name):
        """Return the ID of a level's segment, None where there is none."""
        segmentation = self.nodes.segmentation
        if segmentation is None:
            return None
        segments = segmentation.GetSegmentation()
        if segments.GetSegment(name) is not None:
            return name
        return segments.GetSegmentIdBySegmentName(segmentName(name)) or None

    def remove(self, name):
        """Remove a level's segment, where there is one."""
        segmentID = self.segmentID(name)
        if segmentID is not None:
            self.nodes.segmentation.GetSegmentation().RemoveSegment(segmentID)

    def writeProbability(self, probabilities):
        """Show probability maps {level: (slice, (rows, columns) float 0..1)} as one volume, cut to what it holds."""
        if not probabilities:
            self.nodes.remove("probability")
            return
        ks = [k for k, _map in probabilities.values()]
        planes = np.stack([values for _k, values in probabilities.values()])
        rows, columns = (_span((planes > _LEAST_PROBABILITY).any(axis=axes)) for axes in ((0, 2), (0, 1)))
        first = min(ks)
        block = np.zeros((max(ks) - first + 1, rows.stop - rows.start, columns.stop - columns.start), dtype=np.float32)
        for k, values in probabilities.values():
            block[k - first] = values[rows, columns]
        node = self.nodes.getOrCreate("probability", "vtkMRMLScalarVolumeNode", _("probability"))
        matrix = np.array(self.ct.geometry.ijk_to_ras)
        matrix[:3, 3] = self.ct.geometry.ras(columns.start, rows.start, first)
        if len(block) > 1:
            last = self.ct.geometry.ras(columns.start, rows.start, max(ks))
            matrix[:3, 2] = (last - matrix[:3, 3]) / (len(block) - 1)
        slicer.util.updateVolumeFromArray(node, block)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
        node.SetAttribute(PROBABILITY_ATTRIBUTE, f"{first} {rows.start} {columns.start}")
        _displayProbability(node)

    def readProbability(self, k):
        """Return the probability map (rows, columns) float32 of slice k, None where there is none."""
        node = self.nodes.probability
        offset = node.GetAttribute(PROBABILITY_ATTRIBUTE) if node is not None else None
        if not offset or node.GetImageData() is None:
            return None
        first, row, column = (int(part) for part in offset.split())
        block = slicer.util.arrayFromVolume(node)
        if not 0 <= k - first < len(block):
            return None
        plane = np.zeros(self.ct.geometry.shape[1:], dtype=np.float32)
        values = block[k - first]
        plane[row : row + values.shape[0], column : column + values.shape[1]] = values
        return plane if plane.any() else None

    def exportLabelmap(self):
        """Return a new label map volume of the outlines on the CT's voxels: 1 is L1, 2 is L2.

        :raises ModuleError: there is no outline.
        """
        segmentation = self.nodes.segmentation
        ids = [self.segmentID(name) for name in LEVEL_NAMES if self.segmentID(name) is not None]
        if not ids:
            raise ModuleError(_("There is no outline yet; press Screen or Outline first."))
        node = self.volumeNode.GetScene().AddNewNodeByClass(
            "vtkMRMLLabelMapVolumeNode", f"{self.volumeNode.GetName()} {_('outlines')}"
        )
        segmentIDs = vtk.vtkStringArray()
        for segmentID in ids:
            segmentIDs.InsertNextValue(segmentID)
        whole = slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
        export = slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode
        if not export(segmentation, segmentIDs, node, self.volumeNode, whole):
            self.volumeNode.GetScene().RemoveNode(node)
            raise ModuleError(_("The outlines could not be exported as a label map; check the segmentation."))
        return node

    def _made(self, name):
        segmentID = self.segmentID(name)
        if segmentID is None:
            return ""
        made = vtk.reference("")
        segment = self.nodes.segmentation.GetSegmentation().GetSegment(segmentID)
        return str(made) if segment.GetTag(_MADE_TAG, made) else ""

    def _segment(self, name):
        node = self.nodes.segmentation
        if node is None:
            ensureTerminology()
            node = self.nodes.getOrCreate("segmentation", "vtkMRMLSegmentationNode", _("vertebral bodies"))
            node.CreateDefaultDisplayNodes()
            node.GetDisplayNode().SetOpacity2DFill(0.25)
            node.GetDisplayNode().SetSliceIntersectionThickness(2)
        node.SetReferenceImageGeometryParameterFromVolumeNode(self.volumeNode)
        segmentID = self.segmentID(name)
        segments = node.GetSegmentation()
        if segmentID is None:
            segmentID = segments.AddEmptySegment(name, segmentName(name), list(COLOURS[name]))
            segments.GetSegment(segmentID).SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology(name))
        return node, segments.GetSegment(segmentID), segmentID

    def _image(self, extent, block=None):
        """Return an image on the volume's voxels of ``extent`` (i0, i1, j0, j1, k0, k1), empty or filled."""
        image = slicer.vtkOrientedImageData()
        image.SetExtent(*extent)
        image.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(ijkToRas(self.volumeNode)))
        if block is not None:
            scalars = numpy_to_vtk(np.ascontiguousarray(block).ravel(), deep=True, array_type=vtk.VTK_UNSIGNED_CHAR)
            image.GetPointData().SetScalars(scalars)
        else:
            image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        return image


def segmentName(name):
    """Return what a level's segment is called."""
    return f"{name} vertebral body"


def terminology(name):
    """Return the terminology entry of a level's segment, as Slicer writes it."""
    code, meaning = _CODES[name]
    return (
        f"{TERMINOLOGY_NAME}~SCT^123037004^Anatomical Structure~SCT^{code}^{meaning}~^^"
        "~Anatomic codes - DICOM master list~^^~^^"
    )


def ensureTerminology():
    """Load the extension's terminology into Slicer, unless it is there. Returns its name, empty where that fails."""
    logic = slicer.modules.terminologies.logic()
    if logic.IsTerminologyContextLoaded(TERMINOLOGY_NAME):
        return TERMINOLOGY_NAME
    resources = os.path.join(os.path.dirname(os.path.dirname(__file__)), "Resources")
    return logic.LoadTerminologyFromFile(os.path.join(resources, TERMINOLOGY_FILE))


def _displayProbability(node):
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeFileInferno.txt")
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0.0, 1.0)
    display.SetThreshold(0.02, 1.0)
    display.ApplyThresholdOn()


def _span(used):
    """Return the slice from the first to the last True of ``used``; all of it where none is."""
    places = np.flatnonzero(used)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, len(used))


def maskDigest(mask):
    """Return what tells a mask (rows, columns) from another one."""
    bits = np.packbits(np.asarray(mask, dtype=bool))
    return hashlib.sha256(bits.tobytes()).hexdigest()[:16]
