"""PyTorch and the other packages: absent, half installed, declined. Nothing is ever installed in these tests."""

import importlib.metadata
import subprocess
from unittest import mock

from OsteoScreenSlicerLib import Packages as packages
from OsteoScreenSlicerLib.Errors import MissingPackages
from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenSlicerLib.Worker import pythonForWorker
from OsteoScreenTestCase import L1_SLICE, OsteoScreenTestCase


def without(*names):
    """Return a patch under which these packages are not installed, as importlib.metadata tells it."""
    known = importlib.metadata.version

    def version(name):
        if name in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    return mock.patch("importlib.metadata.version", version)


class PackagesTest(OsteoScreenTestCase):
    """What the panel does with an incomplete Slicer."""

    def test_without_torch_the_panel_explains_and_offers_the_installation(self):
        with without("torch"):
            volume = self.choose(self.phantom())
            self.widget.updatePanel()
            self.assertFalse(self.ui.setupFrame.isHidden())
            self.assertIn("PyTorch", self.ui.setupLabel.text)
            self.assertTrue(self.ui.installButton.enabled)
            self.assertIn("Eligible", self.ui.eligibilityLabel.text)
            StudyLevels(volume).setSlice("L1", L1_SLICE)
            self.ui.useL2CheckBox.checked = False
            self.settle()
            self.assertTrue(self.ui.screenButton.enabled, "Screen is where the installation is offered")
            self.assertFalse(self.logic.workerProcess.running and self.logic.workerProcess.busy)
        self.ui.useL2CheckBox.checked = True
        self.widget.updatePanel()
        self.assertTrue(self.ui.setupFrame.isHidden())

    def test_all_that_is_missing_is_named(self):
        with without("torch", "jsonschema", "Jinja2"):
            self.assertEqual(self.logic.packages.missing(), ["PyTorch", "jsonschema", "Jinja2"])

    def test_a_script_is_told_what_is_missing_and_nothing_is_installed(self):
        with without("safetensors"), self.assertRaisesRegex(MissingPackages, "safetensors is not installed"):
            self.logic.screen(self.phantom(), l1=f"#{L1_SLICE}")

    def test_without_the_pytorch_extension_the_advice_is_to_install_it(self):
        with without("torch"), mock.patch.object(packages, "hasPyTorchExtension", return_value=False):
            self.assertIn("Extensions Manager", self.logic.packages.explanation())
            with self.assertRaisesRegex(MissingPackages, "Extensions Manager"):
                self.logic.packages.install()

    def test_a_half_installed_torch_is_told_with_what_to_do(self):
        class Broken:
            """PyTorchUtils' logic on a PyTorch whose files are gone: it stumbles over missing metadata."""

            def torchInstalled(self):
                raise TypeError("'NoneType' object is not iterable")

        with (
            mock.patch.object(packages, "hasPyTorchExtension", return_value=True),
            mock.patch.object(packages, "_pyTorchLogic", return_value=Broken()),
            self.assertRaisesRegex(MissingPackages, "Uninstall it in the module PyTorch Utils, restart Slicer"),
        ):
            self.logic.packages.torch()

    def test_declining_the_installation_is_no_error_of_ours(self):
        class Declined:
            """PyTorchUtils' logic when the user says no."""

            def installTorch(self, **_arguments):
                return None

        with (
            without("torch"),
            mock.patch.object(packages, "_pyTorchLogic", return_value=Declined()),
            self.assertRaisesRegex(MissingPackages, "press Install again"),
        ):
            self.logic.packages.install()

    def test_the_requirements_are_those_of_the_engine(self):
        names = packages.requirementNames()
        self.assertEqual(sorted(names), ["Jinja2", "Pillow", "filelock", "jsonschema", "safetensors"])

    def test_what_the_panel_needs_imports_none_of_them(self):
        code = (
            "import sys; sys.path[:0] = sys.argv[1:]\n"
            "import OsteoScreenLib.ct.eligibility, OsteoScreenLib.levels, OsteoScreenLib.worker.exchange\n"
            "print([name for name in ('torch', 'jsonschema', 'jinja2', 'safetensors') if name in sys.modules])"
        )
        program, paths = pythonForWorker()
        out = subprocess.run([program, "-c", code, *paths], capture_output=True, text=True, check=False)
        self.assertEqual(out.stdout.strip(), "[]", out.stderr)
