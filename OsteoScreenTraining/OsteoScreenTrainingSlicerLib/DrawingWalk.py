"""The walk through the cases: each is loaded, outlined by the current model, edited, and kept or rejected."""

import os

import numpy as np

import slicer
from slicer.i18n import tr as _

from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenSlicerLib.Outlines import StudyOutlines
from OsteoScreenSlicerLib.StudyNodes import removeStudy


class DrawingWalk:
    """One case of a data set after the other. What is accepted or rejected is on the disk at once.

    :param dataFolder: the data set's folder.
    :param osteoScreenLogic: the logic of the module OsteoScreen, which outlines.
    """

    def __init__(self, dataFolder, osteoScreenLogic):
        from OsteoScreenTrainingLib.control.drawing import Walk

        self.dataFolder = dataFolder
        self._logic = osteoScreenLogic
        self._walk = Walk(dataFolder)
        self.subject = None
        self.volumeNode = None

    @property
    def state(self):
        """How many cases are "left", "accepted" and "rejected" (dict)."""
        return self._walk.state

    def openNext(self):
        """Load the next case that needs outlines, with its levels; return its name, None where none is left.

        :raises ModuleError: its CT cannot be loaded.
        """
        self.close()
        self.subject = self._walk.next()
        if self.subject is None:
            return None
        self.volumeNode = loadCt(self.subject.ct, self.subject.subject)
        levels = StudyLevels(self.volumeNode)
        for name, height in self.heights().items():
            levels.setSlice(name, levels.geometry.nearest_slice(height))
        return self.subject.subject

    def heights(self):
        """Return {level: RAS S in mm} of the case, as its manifest has them."""
        given = {"L1": self.subject.l1_z_mm, "L2": self.subject.l2_z_mm}
        return {name: height for name, height in given.items() if height is not None}

    def accept(self):
        """Keep the outlines as they are now, and the levels; return the name of the case.

        :raises ModuleError: there is no case, or a level has no outline on its slice.
        """
        if self.volumeNode is None or self.volumeNode.GetScene() is None:
            raise ModuleError(_("There is no case to accept; press Next case."))
        ct = self._logic.ctReader.read(self.volumeNode)
        levels, outlines = StudyLevels(self.volumeNode), StudyOutlines(self.volumeNode, ct)
        masks = {}
        for name in levels.names():
            k = levels.sliceIndex(name)
            mask = outlines.read(name, k) if k is not None else None
            if mask is None:
                raise ModuleError(
                    _("{level} has no outline on its slice; draw it, press Outline, or reject the case.").format(
                        level=name
                    )
                )
            masks[name] = (k, mask)
        if "L1" not in masks:
            raise ModuleError(_("Set L1 and outline it before accepting the case."))
        heights = {name: ct.geometry.slice_z(k) for name, (k, _mask) in masks.items()}
        self._walk.accept(self.subject.subject, masks, ct.geometry, heights)
        return self._done()

    def reject(self, reason):
        """Note that the case is not to be used, and why; return its name. Raises ModuleError where there is none."""
        if self.subject is None:
            raise ModuleError(_("There is no case to reject; press Next case."))
        self._walk.reject(self.subject.subject, reason)
        return self._done()

    def close(self):
        """Take the case out of the scene; what was not accepted is not kept."""
        if self.volumeNode is not None and self.volumeNode.GetScene() is not None:
            removeStudy(self.volumeNode)
        self.volumeNode = self.subject = None

    def _done(self):
        name = self.subject.subject
        self.close()
        return name


def loadCt(path, name):
    """Load a CT (a DICOM folder or a volume file) as a volume node.

    :raises ModuleError: there is none, or it cannot be read.
    """
    if path is None or not os.path.exists(path):
        raise ModuleError(_("The case {name} has no CT at the place that its manifest gives.").format(name=name))
    import SimpleITK as sitk

    try:
        if os.path.isdir(path):
            from OsteoScreenLib.ct import dicom_series_files

            image = sitk.ReadImage([str(file) for file in dicom_series_files(path)])
        else:
            image = sitk.ReadImage(os.fspath(path))
    except RuntimeError as error:
        raise ModuleError(_("The CT of {name} cannot be read; check its files.").format(name=name)) from error
    array = sitk.GetArrayFromImage(image)
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return slicer.util.addVolumeFromArray(
        array if array.dtype.itemsize <= 4 else array.astype(np.int32),
        ijkToRAS=np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix,
        name=name,
    )
