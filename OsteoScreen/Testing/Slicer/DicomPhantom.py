"""The phantom as a DICOM CT series in a temporary database of Slicer's, for tests of what needs DICOM."""

import os
import tempfile

import numpy as np

import slicer

from OsteoScreenTestCase import L1_SLICE, L2_SLICE, OsteoScreenTestCase, phantomVoxels

FIRST, LATER = "20250301", "20260401"
PATIENT = "OS-4711"


class DicomTestCase(OsteoScreenTestCase):
    """A test with an empty, temporary DICOM database."""

    def setUp(self):
        from DICOMLib import DICOMUtils

        OsteoScreenTestCase.setUp(self)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        original = DICOMUtils.openTemporaryDatabase(os.path.join(self.folder.name, "database"))
        self.addCleanup(DICOMUtils.closeTemporaryDatabase, original, False)

    def path(self, name):
        """Return a path in the test's own folder."""
        return os.path.join(self.folder.name, name)

    def loaded(self, date=FIRST, **changes):
        """Return the phantom as Slicer loads it from its database, and chosen in the panel."""
        from DICOMLib import DICOMUtils

        folder = self.path(f"series-{date}")
        uid = writeSeries(folder, date, **changes)
        self.assertTrue(DICOMUtils.importDicom(folder, slicer.dicomDatabase, True))
        (nodeID,) = DICOMUtils.loadSeriesByUID([uid])
        return self.choose(slicer.mrmlScene.GetNodeByID(nodeID))

    def screened(self, date=FIRST, l1=L1_SLICE, l2=L2_SLICE, **changes):
        """Return such a phantom, screened on the slices ``l1`` and ``l2``, its levels confirmed."""
        volume = self.loaded(date, **changes)
        self.logic.screen(volume, l1=f"#{l1}", l2=f"#{l2}")
        self.settle()
        return volume


def writeSeries(folder, date, denser=0, **changes):
    """Write the phantom as a DICOM CT series with valid UIDs; return the series' UID.

    :param denser: HU that are added to bone, and not to the aorta.
    :param changes: attributes of the images that are others, by keyword; None leaves one out.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    os.makedirs(folder)
    voxels, matrix = phantomVoxels()
    voxels = np.where(voxels > 90, voxels + denser, voxels).astype(np.int16)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for k, plane in enumerate(voxels):
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, generate_uid()
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.PatientName, image.PatientID, image.PatientSex, image.PatientAge = (
            "Phantom^Simulated",
            PATIENT,
            "F",
            "067Y",
        )
        image.PatientBirthDate = "19580101"
        image.StudyDate, image.StudyTime, image.StudyID = date, "101010", "1"
        image.AccessionNumber, image.ReferringPhysicianName = f"A{date}", ""
        image.Modality, image.SeriesNumber, image.InstanceNumber = "CT", 2, k + 1
        image.SeriesDescription, image.StudyDescription = f"chest {date}", "chest"
        image.Manufacturer, image.ManufacturerModelName, image.ConvolutionKernel = "Simulated", "Phantom 1", "STANDARD"
        image.ImageType, image.KVP, image.SliceThickness = ["ORIGINAL", "PRIMARY", "AXIAL"], 120, 2.0
        image.PatientPosition, image.PositionReferenceIndicator = "HFS", ""
        image.ImagePositionPatient = [-matrix[0, 3], -matrix[1, 3], matrix[2, 3] + k * matrix[2, 2]]
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.PixelSpacing = [-matrix[1, 1], -matrix[0, 0]]
        image.Rows, image.Columns = plane.shape
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelRepresentation = 15, 1
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, 0, "HU"
        for keyword, value in changes.items():
            setattr(image, keyword, value)
        image.PixelData = plane.tobytes()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.save_as(os.path.join(folder, f"{k:03}.dcm"), enforce_file_format=True)
    return series
