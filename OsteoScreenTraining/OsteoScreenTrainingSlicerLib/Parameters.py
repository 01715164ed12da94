"""What the training panel remembers, as a parameter node, which is saved with the scene and bound to the widgets."""

import enum

from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import parameterNodeWrapper

from OsteoScreenSlicerLib.Parameters import DeviceChoice


class SplitChoice(enum.Enum):
    """How subjects are split. The names are stored in scenes: never rename them."""

    TEMPORAL = 0
    RANDOM = 1

    def label(self) -> str:
        return {
            SplitChoice.TEMPORAL: _("temporal (the latest 40 % test)"),
            SplitChoice.RANDOM: _("random (5 : 1 : 4)"),
        }[self]

    @property
    def engineName(self) -> str:
        """The method as the command line names it, which is the split's own name too."""
        return self.name.lower()


class NetworkChoice(enum.Enum):
    """Which network is trained. The names are stored in scenes: never rename them."""

    SEGMENTATION = 0
    MODEL_1 = 1
    MODEL_2 = 2

    def label(self) -> str:
        return {
            NetworkChoice.SEGMENTATION: _("Segmentation"),
            NetworkChoice.MODEL_1: _("Model 1 (L1 and L2)"),
            NetworkChoice.MODEL_2: _("Model 2 (L1 alone)"),
        }[self]

    @property
    def task(self) -> str:
        """The task as the command line names it."""
        return "segmentation" if self is NetworkChoice.SEGMENTATION else "classification"

    @property
    def kind(self) -> str:
        """The network as presets name it."""
        names = {NetworkChoice.MODEL_1: "model1", NetworkChoice.MODEL_2: "model2"}
        return names.get(self, "segmentation")


class PresetChoice(enum.Enum):
    """How much is trained. The names are stored in scenes: never rename them."""

    QUICK = 0
    STUDY = 1

    def label(self) -> str:
        return {
            PresetChoice.QUICK: _("quick (a laptop, minutes)"),
            PresetChoice.STUDY: _("as in the study (a GPU, hours)"),
        }[self]

    @property
    def engineName(self) -> str:
        """The preset as the command line names it."""
        return self.name.lower()

    @property
    def profile(self) -> str:
        """The study's profile, as the command line names it, that trains so much."""
        return {PresetChoice.QUICK: "quick", PresetChoice.STUDY: "full"}[self]


@parameterNodeWrapper
class OsteoScreenTrainingParameterNode:
    """The choices of the panel.

    dataFolder - the data set's folder.
    drawingsFolder - the folder of the slices that are drawn on in QuPath, and of what was drawn on them.
    drawingsSubject - what the subject is called whose slices are exported; empty for a name made of the CT's hash.
    split - how subjects are split.
    network - which network is trained.
    preset - how much it is trained.
    device - where it is trained.
    runFolder - the folder of the training.
    evaluationFolder - the folder of the evaluation's tables and figures.
    studyFolder - the folder of the study.
    bundleName, bundleVersion, bundleDescription, bundleLicence - the card of the exported bundle.
    """

    dataFolder: str = ""
    drawingsFolder: str = ""
    drawingsSubject: str = ""
    split: SplitChoice = SplitChoice.TEMPORAL
    network: NetworkChoice = NetworkChoice.SEGMENTATION
    preset: PresetChoice = PresetChoice.QUICK
    device: DeviceChoice = DeviceChoice.AUTOMATIC
    runFolder: str = ""
    evaluationFolder: str = ""
    studyFolder: str = ""
    bundleName: str = ""
    bundleVersion: str = "1.0.0"
    bundleDescription: str = ""
    bundleLicence: str = ""
