"""The model bundles at hand, for the panel and for scripts."""

import os

from slicer.i18n import tr as _

from .Diagnostics import LOGGER
from .Errors import ModuleError


class BundleLogic:
    """Lists, describes, imports, verifies and removes bundles.

    :param packages: Packages.
    """

    def __init__(self, packages):
        self._packages = packages

    def available(self):
        """Return the bundles at hand (the engine's Bundle objects); none while they cannot be read."""
        try:
            from OsteoScreenLib.models import list_bundles

            return list_bundles()
        except Exception as error:  # without jsonschema none can be described; the panel offers to install it
            LOGGER.info("No bundles are listed: %s", type(error).__name__)
            return []

    def card(self, name):
        """Return the card of a bundle in Markdown. Raises BundleError where there is none."""
        from OsteoScreenLib.models import load_bundle

        return load_bundle(name).card()

    def importFrom(self, path):
        """Copy a bundle (a zip, or the bundle.json of a folder) to the user's own, once verified; return its name."""
        from OsteoScreenLib.models import import_bundle

        self._packages.torch()
        return import_bundle(os.path.dirname(path) if os.path.basename(path) == "bundle.json" else path).name

    def verify(self, name):
        """Check a bundle to the end. Raises BundleError with the reason."""
        from OsteoScreenLib.models import load_bundle, verify

        self._packages.torch()
        verify(load_bundle(name))

    def remove(self, name):
        """Delete a bundle of the user's. Raises BundleError where it ships, or there is none."""
        from OsteoScreenLib.models import remove_bundle

        remove_bundle(name)

    def shippedFor(self, classifier):
        """Return the name of the shipped bundle of a ClassifierChoice, None for the one that fits the levels.

        :raises ModuleError: none is installed.
        """
        if classifier.levels is None:
            return None
        from OsteoScreenLib.models import default_bundle

        bundle = default_bundle("classification", levels=classifier.levels)
        if bundle is None:
            raise ModuleError(_("{model} is not installed; choose Automatic.").format(model=classifier.label()))
        return bundle.name
