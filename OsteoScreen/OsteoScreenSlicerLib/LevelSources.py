"""Where levels come from beside the reader's hand: a script's numbers, a segmentation, the middle of the vertebra."""

import numpy as np
import vtk

import slicer
from slicer.i18n import tr as _

from .Errors import ModuleError
from .Levels import StudyLevels
from .StudyNodes import LEVEL_NAMES
from .Volumes import voxels


class LevelLogic:
    """Puts levels on slices of a CT, for the panel and for scripts.

    :param ctReader: Volumes.CtReader.
    """

    def __init__(self, ctReader):
        self._ctReader = ctReader

    def put(self, volumeNode, name, given, confirmed):
        """Put a level where a script says: RAS S in mm, or text as on the command line ("-291.5", "#97").

        :param confirmed: whether whoever wrote it stands behind it.
        :raises UsageError: it is no slice of the CT. ModuleError where the CT cannot be measured as it is.
        """
        from OsteoScreenLib.levels import parse_level

        level = parse_level(str(given), self._ctReader.read(volumeNode), name)
        levels = StudyLevels(volumeNode)
        levels.setSlice(name, level.slice_index)
        levels.confirm(name, confirmed)

    def take(self, volumeNode, segmentationNode):
        """Put L1 (and L2) where a segmentation of the vertebrae has them, unconfirmed; return the names found.

        :raises ModuleError: it has neither, or cannot be read.
        """
        from OsteoScreenLib.levels import levels_from_vertebrae

        ct = self._ctReader.read(volumeNode)
        found = levels_from_vertebrae(segmentedVertebrae(segmentationNode), ct, LEVEL_NAMES)
        levels = StudyLevels(volumeNode)
        for name, level in found.items():
            levels.setSlice(name, level.slice_index, "segmentation")
        return list(found)

    def snap(self, volumeNode, name):
        """Move a level to the middle of its vertebra, half-way between the endplates; it is not confirmed then.

        :raises ModuleError: the level is not set.
        """
        from OsteoScreenLib.levels import snap_to_centre
        from OsteoScreenLib.results import Level

        levels = StudyLevels(volumeNode)
        k = levels.sliceIndex(name)
        if k is None:
            raise ModuleError(_("Set {level} on a slice of its vertebra first.").format(level=name))
        ct = self._ctReader.read(volumeNode)
        here = Level(name, ct.geometry.slice_z(k), k, levels.setBy(name), levels.isConfirmed(name))
        levels.setSlice(name, snap_to_centre(ct, here).slice_index, "snapped")


def segmentedVertebrae(segmentationNode, names=LEVEL_NAMES):
    """Return {level: the engine's VertebraMask} of the segments that name a vertebra among ``names``.

    A segment says which vertebra it is by its SNOMED CT code, or by its name (TotalSegmentator, CADS, a reader's own).

    :raises ModuleError: no segment is one of them, or two are the same.
    """
    found = {}
    segmentation = segmentationNode.GetSegmentation()
    for segmentID in segmentation.GetSegmentIDs():
        name = _vertebraOf(segmentation.GetSegment(segmentID))
        if name not in names:
            continue
        if name in found:
            raise ModuleError(
                _("The segmentation {segmentation} has two segments for {level}; keep one of them.").format(
                    segmentation=segmentationNode.GetName(), level=name
                )
            )
        found[name] = segmentID
    if not found:
        raise ModuleError(
            _(
                "No segment of {segmentation} is named L1 or L2; rename them in the Segmentations module, or set the "
                "slices by hand."
            ).format(segmentation=segmentationNode.GetName())
        )
    return {name: _vertebraMask(name, segmentationNode, segmentID) for name, segmentID in found.items()}


def _vertebraOf(segment):
    from OsteoScreenLib.levels.names import SCT_CODES, vertebra_named

    entry = slicer.vtkSlicerTerminologyEntry()
    text = segment.GetTerminology() if hasattr(segment, "GetTerminology") else ""
    if text and slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(text, entry):
        code = entry.GetTypeObject()
        if code is not None and code.GetCodingSchemeDesignator() == "SCT" and code.GetCodeValue() in SCT_CODES:
            return SCT_CODES[code.GetCodeValue()]
    return vertebra_named(segment.GetName() or "")


def _vertebraMask(name, segmentationNode, segmentID):
    from OsteoScreenLib.ct.geometry import canonical
    from OsteoScreenLib.levels import VertebraMask

    if segmentationNode.GetParentTransformNode() is not None:
        raise ModuleError(
            _("The segmentation {name} lies under a transform; harden it first.").format(
                name=segmentationNode.GetName()
            )
        )
    labelmap = slicer.vtkOrientedImageData()
    made = segmentationNode.CreateBinaryLabelmapRepresentation()
    if not made or not segmentationNode.GetBinaryLabelmapRepresentation(segmentID, labelmap):
        raise ModuleError(_("The segment {level} cannot be read as a mask; check it.").format(level=name))
    if labelmap.IsEmpty():
        raise ModuleError(_("The segment {level} is empty; choose another segmentation.").format(level=name))
    inside = voxels(labelmap) > 0
    toWorld = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(toWorld)
    matrix = slicer.util.arrayFromVTKMatrix(toWorld)
    matrix[:3, 3] += matrix[:3, :3] @ np.array(labelmap.GetExtent()[::2], dtype=float)
    maskGeometry, axisMap = canonical(inside.shape, matrix)
    return VertebraMask(name, axisMap.volume(inside), maskGeometry)
