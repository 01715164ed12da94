"""What the panel remembers, as a parameter node: it is saved with the scene and bound to the widgets by name."""

import enum
import sys
from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


class ClassifierChoice(enum.Enum):
    """Which classifier is asked. The names are stored in scenes: never rename them."""

    AUTOMATIC = 0
    MODEL_1 = 1
    MODEL_2 = 2

    def label(self) -> str:
        return {
            ClassifierChoice.AUTOMATIC: _("Automatic"),
            ClassifierChoice.MODEL_1: _("Model 1 (L1 and L2)"),
            ClassifierChoice.MODEL_2: _("Model 2 (L1 alone)"),
        }[self]

    @property
    def levels(self) -> tuple | None:
        """The levels that the classifier sees; None where they are taken as they are."""
        return {ClassifierChoice.MODEL_1: ("L1", "L2"), ClassifierChoice.MODEL_2: ("L1",)}.get(self)


class DeviceChoice(enum.Enum):
    """Where the networks run. The names are stored in scenes: never rename them."""

    AUTOMATIC = 0
    GPU = 1
    CPU = 2

    def label(self) -> str:
        return {
            DeviceChoice.AUTOMATIC: _("Automatic"),
            DeviceChoice.GPU: _("GPU"),
            DeviceChoice.CPU: _("CPU"),
        }[self]

    @property
    def engineName(self) -> str:
        """The device as the engine names it."""
        gpu = "mps" if sys.platform == "darwin" else "cuda"
        return {DeviceChoice.AUTOMATIC: "auto", DeviceChoice.GPU: gpu, DeviceChoice.CPU: "cpu"}[self]


class SexChoice(enum.Enum):
    """The patient's sex, where the scan does not say. The names are stored in scenes: never rename them."""

    FROM_SCAN = 0
    FEMALE = 1
    MALE = 2

    def label(self) -> str:
        return {
            SexChoice.FROM_SCAN: _("as in the scan"),
            SexChoice.FEMALE: _("female"),
            SexChoice.MALE: _("male"),
        }[self]

    @property
    def engineName(self) -> str | None:
        """The sex as the engine names it; None for what the scan says."""
        return {SexChoice.FEMALE: "F", SexChoice.MALE: "M"}.get(self)


@parameterNodeWrapper
class OsteoScreenParameterNode:
    """The choices of the panel.

    inputVolume - the CT that is shown.
    useL2 - whether L2 is measured beside L1 (else Model 2 runs on L1 alone).
    levelsSegmentation - the segmentation that "From segmentation" takes the levels from.
    ageYears - the patient's age; 0 is what the scan says.
    sex - the patient's sex, where the scan does not say.
    classifier - which classifier is asked.
    device - where the networks run.
    screenRefused - screen a study that the eligibility checks refuse; the reasons stay in the result.
    showProbability - lay the network's probability map over the CT.
    segmentationBundle, classificationBundle, localisationBundle - names of bundles; empty for the shipped ones.
    calibrationFile - the user's calibration from HU to BMD; empty for the scan's own or the nominal line.
    queuePath - the folder of a batch whose levels queue is worked on, or the queue's list; empty for none.
    queueCase - the id of the queue's study at hand; empty for none.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    useL2: bool = True
    levelsSegmentation: vtkMRMLSegmentationNode
    ageYears: Annotated[int, WithinRange(0, 125)] = 0
    sex: SexChoice = SexChoice.FROM_SCAN
    classifier: ClassifierChoice = ClassifierChoice.AUTOMATIC
    device: DeviceChoice = DeviceChoice.AUTOMATIC
    screenRefused: bool = False
    showProbability: bool = False
    segmentationBundle: str = ""
    classificationBundle: str = ""
    localisationBundle: str = ""
    calibrationFile: str = ""
    queuePath: str = ""
    queueCase: str = ""
