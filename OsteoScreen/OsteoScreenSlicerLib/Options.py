"""What the networks are asked to do, as the worker's messages have it; from the panel's choices, or from a script's."""

# What is asked of the networks where the caller says nothing else: the shipped bundles, on the best device.
SCREEN_OPTIONS = {
    "segmentation_model": None,
    "classification_model": None,
    "calibration": None,
    "age_years": None,
    "sex": None,
    "device": "auto",
    "force": False,
}

# The same for suggesting.
SUGGEST_OPTIONS = {"localisation_model": None, "device": "auto"}


class PanelOptions:
    """Turns the choices of a parameter node into options.

    :param bundles: Bundles.BundleLogic.
    """

    def __init__(self, bundles):
        self._bundles = bundles

    def screening(self, parameterNode):
        """Return the options of outlining and screening. Raises ModuleError where no such classifier is installed."""
        chosen = parameterNode.classificationBundle or self._bundles.shippedFor(parameterNode.classifier)
        return {
            "segmentation_model": parameterNode.segmentationBundle or None,
            "classification_model": chosen,
            "calibration": parameterNode.calibrationFile or None,
            "age_years": parameterNode.ageYears or None,
            "sex": parameterNode.sex.engineName,
            "device": parameterNode.device.engineName,
            "force": parameterNode.screenRefused,
        }

    def suggesting(self, parameterNode):
        """Return the options of suggesting."""
        return {
            "localisation_model": parameterNode.localisationBundle or None,
            "device": parameterNode.device.engineName,
        }

    def suggestingOrNone(self, parameterNode):
        """Return the options of suggesting, None where no bundle is there for it."""
        there = any(bundle.role == "localisation" for bundle in self._bundles.available())
        return self.suggesting(parameterNode) if there or parameterNode.localisationBundle else None
