"""From a volume node to the engine's CT: pixels, placement, and what the DICOM files say of the acquisition."""

import os
import types
import uuid

import vtk
from vtk.util.numpy_support import vtk_to_numpy

import slicer
from slicer.i18n import tr as _

from .Errors import ModuleError

# Which kept header is a volume's; one from another session has none.
_OPENED_ATTRIBUTE = "OsteoScreen.opened"


def checkUsable(volumeNode):
    """Raise ModuleError where the volume cannot be measured as it is; the message says what to do."""
    if volumeNode is None or volumeNode.GetScene() is None:
        raise ModuleError(_("Choose a CT first."))
    image = volumeNode.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise ModuleError(_("The volume {name} holds no image; load the CT again.").format(name=volumeNode.GetName()))
    if image.GetNumberOfScalarComponents() != 1:
        raise ModuleError(_("The volume {name} is in colour; choose a CT.").format(name=volumeNode.GetName()))
    transform = volumeNode.GetParentTransformNode()
    if transform is not None:
        raise ModuleError(_transformAdvice(volumeNode, transform))


def isHardenable(volumeNode):
    """Return whether the volume lies under a linear transform, which can be hardened without resampling."""
    transform = volumeNode.GetParentTransformNode() if volumeNode is not None else None
    return transform is not None and bool(transform.IsTransformToWorldLinear())


def harden(volumeNode):
    """Harden the linear transform of the volume. Raises ModuleError where it is not linear."""
    if volumeNode is None or volumeNode.GetParentTransformNode() is None:
        raise ModuleError(_("The CT lies under no transform, so there is nothing to harden."))
    if not isHardenable(volumeNode):
        raise ModuleError(_transformAdvice(volumeNode, volumeNode.GetParentTransformNode()))
    volumeNode.HardenTransform()


def _transformAdvice(volumeNode, transform):
    names = {"volume": volumeNode.GetName(), "transform": transform.GetName()}
    if transform.IsTransformToWorldLinear():
        return _(
            "The volume {volume} lies under the transform {transform}, so its millimetres are not those of the scan. "
            'Press "Harden the transform", or take the volume out of it in the Data module.'
        ).format(**names)
    return _(
        "The volume {volume} lies under the transform {transform}, which bends it (a tilted gantry or unevenly spaced "
        "slices are loaded so). Take the volume out of the transform in the Data module if it was measured straight, "
        "or harden the transform there and know that this resamples the CT."
    ).format(**names)


def ijkToRas(volumeNode):
    """Return the volume's matrix (4 x 4) from (column, row, slice, 1) to RAS mm."""
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def voxels(image):
    """Return the voxels (slices, rows, columns) of a vtkOrientedImageData that is not empty."""
    extent = image.GetExtent()
    shape = (extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1)
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)


def geometry(volumeNode):
    """Return the engine's Geometry of the volume: axial slices, whatever the order of the volume's axes.

    Raises ModuleError where the volume cannot be measured as it is, InputError where no such geometry exists.
    """
    from OsteoScreenLib.ct.geometry import canonical

    checkUsable(volumeNode)
    return canonical(tuple(reversed(volumeNode.GetImageData().GetDimensions())), ijkToRas(volumeNode))[0]


class CtReader:
    """Reads volume nodes as the engine's CT; what the DICOM headers say is kept for the volumes seen last."""

    KEPT = 8

    def __init__(self):
        self._headers = {}
        self._opened = {}

    def keepHeader(self, volumeNode, described):
        """Keep what is known of a CT that no DICOM file at hand describes.

        :param described: the "ct" of the worker's messages (dict).
        """
        from OsteoScreenLib.ct import acquisition_from_dict
        from OsteoScreenLib.results import Check

        token = uuid.uuid4().hex
        # An ID may be given again to another node; what is kept is of this one.
        volumeNode.SetAttribute(_OPENED_ATTRIBUTE, token)
        while len(self._opened) >= self.KEPT:
            del self._opened[next(iter(self._opened))]
        self._opened[token] = types.SimpleNamespace(
            acquisition=acquisition_from_dict(described["acquisition"]),
            findings=tuple(Check(**finding) for finding in described["findings"]),
            path=described["path"],
            kind=described["kind"],
            series_instance_uid=described["series_instance_uid"],
        )

    def read(self, volumeNode):
        """Return the engine's CT of a volume node: its pixels (not copied), and its acquisition.

        Raises ModuleError or InputError, saying what to do.
        """
        from OsteoScreenLib.ct import ct_from_array

        checkUsable(volumeNode)
        array = slicer.util.arrayFromVolume(volumeNode)
        header = self._opened.get(volumeNode.GetAttribute(_OPENED_ATTRIBUTE)) or self._header(volumeNode)
        if header is None:
            return ct_from_array(array, ijkToRas(volumeNode), findings=_findings(array), path=_path(volumeNode))
        return ct_from_array(
            array,
            ijkToRas(volumeNode),
            header.acquisition,
            findings=header.findings,
            path=header.path,
            kind=header.kind,
            series_instance_uid=header.series_instance_uid,
        )

    def patientID(self, volumeNode):
        """Return the patient's number by the volume's DICOM files; empty where they are not at hand, or do not say."""
        from OsteoScreenLib.reports.identity import identity_of

        header = self._header(volumeNode)
        return identity_of(header).patient_id.strip() if header is not None else ""

    def _header(self, volumeNode):
        """Return the CT that the volume's DICOM files describe, or None where it came from no DICOM file."""
        files = dicomFiles(volumeNode)
        if not files:
            return None
        key = tuple(files)
        if key not in self._headers:
            from OsteoScreenLib.ct import open_dicom_files

            while len(self._headers) >= self.KEPT:
                del self._headers[next(iter(self._headers))]
            self._headers[key] = open_dicom_files(files)
        return self._headers[key]


def dicomFiles(volumeNode):
    """Return the paths of the DICOM files that the volume was loaded from; empty where they are not at hand."""
    uids = (volumeNode.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if not uids or database is None:
        return []
    files = [database.fileForInstance(uid) for uid in uids]
    return files if all(path and os.path.isfile(path) for path in files) else []


def _path(volumeNode):
    storage = volumeNode.GetStorageNode()
    return (storage.GetFileName() or "") if storage is not None else ""


def _findings(array):
    """Return what the numbers alone say against the volume, as the engine says it of a volume file."""
    from OsteoScreenLib.results import Check

    if array.dtype.kind == "u":
        message = _(
            "The volume stores unsigned numbers, which cannot hold the HU of air and soft tissue; load the CT in HU."
        )
        return (Check("rescale", "refuse", message, str(array.dtype)),)
    return ()
