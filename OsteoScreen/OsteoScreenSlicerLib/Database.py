"""Slicer's DICOM database: adding files to it, and loading a series from it. Main thread only."""

import os

import slicer
from slicer.i18n import tr as _

from .Errors import ModuleError


def checkOpen():
    """Raise ModuleError where Slicer has no DICOM database open."""
    database = getattr(slicer, "dicomDatabase", None)
    if database is None or not database.isOpen:
        raise ModuleError(
            _("Slicer's DICOM database is not open; open the DICOM module once, which makes it, and try again.")
        )


def add(paths):
    """Copy DICOM files of one folder into the database. Raises ModuleError where one of them is not in it then."""
    from DICOMLib import DICOMUtils

    checkOpen()
    folder = os.path.dirname(paths[0])
    imported = DICOMUtils.importDicom(folder, slicer.dicomDatabase, True)
    missing = [path for path in paths if not slicer.dicomDatabase.fileForInstance(_instanceUID(path))]
    if not imported or missing:
        told = _("Slicer's DICOM database did not take {names}; see whether its disk is full.")
        raise ModuleError(told.format(names=", ".join(map(os.path.basename, missing)) or _("the files")))


def load(seriesUID):
    """Load a series of the database as a volume, and return its node. Raises ModuleError where it is no volume."""
    from DICOMLib import DICOMUtils

    for nodeID in DICOMUtils.loadSeriesByUID([seriesUID]) or []:
        node = slicer.mrmlScene.GetNodeByID(nodeID)
        if node is not None and node.IsA("vtkMRMLScalarVolumeNode"):
            return node
    raise ModuleError(
        _("The series is in Slicer's DICOM database, but is no volume to load; look at it in the DICOM module.")
    )


def _instanceUID(path):
    import pydicom

    return str(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
