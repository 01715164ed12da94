"""The panel itself: what it explains, every button in and out of order, keys, tool tips, bundles, diagnostics."""

import os
import shutil
import sys
import tempfile
from unittest import mock

import qt

import slicer

from OsteoScreenLib.errors import BundleError
from OsteoScreenSlicerLib.Levels import StudyLevels
from OsteoScreenSlicerLib.Words import inPanel
from OsteoScreenTestCase import L1_SLICE, L2_SLICE, OsteoScreenTestCase

BUTTONS = (
    "hardenButton", "layoutButton", "l1UseCurrentButton", "l1GoToButton", "l1SnapButton", "l2UseCurrentButton",
    "l2GoToButton", "l2SnapButton", "fromSegmentationButton", "screenButton", "cancelButton", "segmentButton",
    "editButton", "labelmapButton", "classifyButton", "tableButton", "verifyBundleButton", "diagnosticsButton",
    "acceptButton", "correctButton", "discardButton", "leaveOutButton", "databaseButton", "findStudiesButton",
    "fetchSeriesButton", "sendObjectsButton", "pacsCancelButton",
)  # fmt: skip


class PanelTest(OsteoScreenTestCase):
    """What a user meets."""

    def test_without_a_ct_it_says_what_to_do_and_offers_nothing_that_cannot_work(self):
        self.assertIn("Choose a CT", self.ui.scanLabel.text)
        self.assertIn("Choose a CT first.", self.ui.screenButton.toolTip)
        for name in ("screenButton", "segmentButton", "classifyButton", "layoutButton", "l1UseCurrentButton"):
            self.assertFalse(getattr(self.ui, name).enabled and getattr(self.ui, name).parent().enabled, name)

    def test_every_button_may_be_pressed_in_any_order(self):
        volume = self.choose(self.phantom())
        for name in BUTTONS + BUTTONS[::-1]:
            getattr(self.ui, name).click()
            slicer.util.selectModule("OsteoScreen")
            self.waitUntilDone()
        self.assertIsNone(self.document(volume), "without levels nothing was screened")
        levels = StudyLevels(volume)
        levels.setSlice("L1", L1_SLICE)
        levels.setSlice("L2", L2_SLICE)
        self.settle()
        for name in BUTTONS[::-1] + BUTTONS:
            with mock.patch("slicer.util.confirmYesNoDisplay", return_value=True):
                getattr(self.ui, name).click()
            slicer.util.selectModule("OsteoScreen")
            self.waitUntilDone()
        self.assertEqual(self.document(volume)["status"], "screened")

    def test_the_eligibility_list_says_outcome_and_reason_in_words(self):
        self.choose(self.phantom())
        table = self.ui.eligibilityTable
        rows = [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount)]
        self.assertGreater(len(rows), 8)
        self.assertTrue(all(row[0].split()[1] in ("passed", "warning", "refused") for row in rows))
        outcomes = [row[0] for row in rows]
        self.assertEqual(outcomes, sorted(outcomes, key=lambda text: "✕!✓".index(text[0])))
        kvp = next(row for row in rows if row[1] == "kVp")
        self.assertIn("tube voltage is not known", kvp[2])
        self.assertIn(kvp[2], table.item(rows.index(kvp), 0).toolTip())
        self.assertFalse(any("--" in row[2] for row in rows), "no option of the command line")
        self.assertNotEqual(
            table.item(0, 0).background().color().name(), table.item(len(rows) - 1, 0).background().color().name()
        )

    def test_hostile_names_stay_text(self):
        volume = self.phantom('<img src="file:///etc/passwd">&amp;')
        self.choose(volume)
        self.assertEqual(self.ui.scanLabel.textFormat, qt.Qt.PlainText)
        for label in ("statusLabel", "bmdLabel", "classLabel", "agreementLabel", "outlinesLabel", "setupLabel"):
            self.assertEqual(getattr(self.ui, label).textFormat, qt.Qt.PlainText, label)

    def test_every_control_has_a_tool_tip(self):
        kinds = (
            qt.QPushButton,
            qt.QCheckBox,
            qt.QComboBox,
            qt.QSpinBox,
            qt.QLineEdit,
            qt.QTableWidget,
            qt.QProgressBar,
        )
        bare = []
        for name, widget in vars(self.ui).items():
            named = name[:1].islower() and not name.startswith("qt_")
            if named and isinstance(widget, kinds) and not widget.toolTip and name.endswith(
                ("Button", "CheckBox", "ComboBox", "SpinBox", "LineEdit", "Table", "Bar")
            ):  # fmt: skip
                bare.append(name)
        self.assertEqual(bare, [])

    def test_keys_work_in_the_module_and_nowhere_else(self):
        volume = self.choose(self.phantom())
        StudyLevels(volume).setSlice("L1", L1_SLICE)
        self.settle()
        shortcuts = {shortcut.key.toString(): shortcut for shortcut in self.widget._shortcuts}
        self.assertTrue(all(shortcut.enabled for shortcut in shortcuts.values()))
        shortcuts["Ctrl+Shift+1"].activated()
        self.settle()
        self.assertTrue(StudyLevels(volume).isConfirmed("L1"))
        slicer.util.selectModule("Data")
        self.assertFalse(any(shortcut.enabled for shortcut in shortcuts.values()))

    def test_reload_takes_the_library_anew_and_leaves_no_process_and_no_key_behind(self):
        library = {name: module for name, module in sys.modules.items() if name.split(".")[0] in self.widget.LIBRARIES}
        # The other tests hold on to the library as it was.
        self.addCleanup(slicer.util.reloadScriptedModule, "OsteoScreen")
        self.addCleanup(sys.modules.update, library)
        volume = self.choose(self.phantom())
        StudyLevels(volume).setSlice("L1", L1_SLICE)
        before = self.widget
        before.ui.useL2CheckBox.checked = False
        before.ui.screenButton.click()
        self.waitUntilDone()
        before.onReload()
        self.widget = slicer.util.getModuleWidget("OsteoScreen")
        self.ui = self.widget.ui
        self.settle()
        self.assertIsNot(sys.modules["OsteoScreenSlicerLib.Errors"], library["OsteoScreenSlicerLib.Errors"])
        self.assertFalse(before.logic.workerProcess.running)
        self.assertIn("set by hand", self.ui.l1StatusLabel.text)
        shortcuts = [child for child in slicer.util.mainWindow().children() if child.className() == "QShortcut"]
        keys = [shortcut.key.toString() for shortcut in shortcuts if shortcut.enabled]
        self.assertEqual(sorted(keys), sorted(shortcut.key.toString() for shortcut in self.widget._shortcuts))
        self.assertTrue(all(shortcut.enabled for shortcut in self.widget._shortcuts))
        self.ui.screenButton.click()
        self.waitUntilDone()
        self.assertIn("Screened", self.ui.statusLabel.text)

    def test_edit_opens_the_segment_editor_on_the_outlines(self):
        volume = self.choose(self.phantom())
        self.logic.screen(volume, l1=f"#{L1_SLICE}", l2=f"#{L2_SLICE}")
        self.settle()
        self.ui.editButton.click()
        self.assertEqual(slicer.util.selectedModule(), "SegmentEditor")
        editor = slicer.modules.SegmentEditorWidget.editor
        self.assertEqual(editor.segmentationNode(), volume.GetNodeReference("OsteoScreenOutlines"))
        self.assertEqual(editor.sourceVolumeNode(), volume)

    def test_diagnostics_name_versions_and_no_patient(self):
        volume = self.choose(self.phantom("DOE^JOHN 4711"))
        self.logic.screen(volume, l1=f"#{L1_SLICE}", l2=f"#{L2_SLICE}")
        self.ui.diagnosticsButton.click()
        text = slicer.app.clipboard().text()
        for wanted in (
            "OsteoScreen ",
            "Slicer ",
            "torch ",
            "device used last: cpu",
            "vertebral-body-dcnn",
            "Screening: screened",
        ):
            self.assertIn(wanted, text)
        self.assertNotIn("DOE", text)
        self.assertNotIn("4711", text)


class BundleTest(OsteoScreenTestCase):
    """Bundles in the panel."""

    def setUp(self):
        OsteoScreenTestCase.setUp(self)
        self.folder = tempfile.mkdtemp()
        patched = mock.patch.dict(os.environ, {"OSTEOSCREEN_MODELS": os.path.join(self.folder, "mine")})
        patched.start()
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.addCleanup(self.widget.models.showBundles)
        self.addCleanup(patched.stop)

    def exported(self, name):
        """Return a zip of a shipped bundle under another name."""
        import json

        shipped = os.path.join(os.path.dirname(slicer.util.modulePath("OsteoScreen")), "Resources", "Models")
        copy = os.path.join(self.folder, name)
        shutil.copytree(os.path.join(shipped, "bone-status-model1"), copy)
        path = os.path.join(copy, "bundle.json")
        with open(path, encoding="utf-8") as file:
            description = json.load(file)
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**description, "name": name}, file)
        return shutil.make_archive(copy, "zip", self.folder, name)

    def test_the_shipped_bundles_are_offered_with_their_cards(self):
        box = self.ui.cardComboBox
        names = [box.itemText(index) for index in range(box.count)]
        self.assertLessEqual({"bone-status-model1", "bone-status-model2", "vertebral-body-dcnn"}, set(names))
        box.setCurrentIndex(box.findData("vertebral-body-dcnn"))
        self.assertIn("SHA-256", self.ui.cardBrowser.toPlainText())
        self.assertIn("vertebral-body-dcnn", self.ui.cardBrowser.toPlainText())
        self.ui.verifyBundleButton.click()
        self.assertIn("vertebral-body-dcnn is whole", self.ui.statusLabel.text)

    def test_a_bundle_is_imported_used_and_removed(self):
        self.widget.models.importBundle(self.exported("mine-1"))
        self.assertIn("Imported mine-1", self.ui.statusLabel.text)
        box = self.ui.classificationBundleComboBox
        box.setCurrentIndex(box.findData("mine-1"))
        self.assertEqual(self.widget.parameterNode.classificationBundle, "mine-1")
        volume = self.choose(self.phantom())
        self.assertFalse(self.ui.classifierComboBox.enabled)
        for name, k in (("L1", L1_SLICE), ("L2", L2_SLICE)):
            StudyLevels(volume).setSlice(name, k)
        self.settle()
        self.logic.workerProcess.stop()  # it knows the folder of bundles from when it was started
        self.ui.screenButton.click()
        self.waitUntilDone()
        self.assertIn("mine-1", [bundle["name"] for bundle in self.document(volume)["bundles"]])
        self.widget.parameterNode.classificationBundle = ""
        self.ui.cardComboBox.setCurrentIndex(self.ui.cardComboBox.findData("mine-1"))
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=True):
            self.ui.removeBundleButton.click()
        self.assertEqual(self.ui.cardComboBox.findData("mine-1"), -1)
        self.logic.workerProcess.stop()

    def test_a_damaged_bundle_is_not_imported(self):
        path = os.path.join(self.folder, "broken.zip")
        with open(path, "wb") as file:
            file.write(b"PK nothing")
        with self.assertRaisesRegex(BundleError, "broken.zip"):
            self.widget.models.importBundle(path)
        self.assertTrue(self.ui.statusLabel.text.startswith("✕"))

    def test_a_shipped_bundle_stays(self):
        self.ui.cardComboBox.setCurrentIndex(0)
        with mock.patch("slicer.util.confirmYesNoDisplay", return_value=True):
            self.ui.removeBundleButton.click()
        self.assertIn("cannot be removed", self.ui.statusLabel.text)
        self.assertGreaterEqual(self.ui.cardComboBox.findData("bone-status-model1"), 0)


class WordsTest(OsteoScreenTestCase):
    """The engine's sentences in the panel."""

    def test_no_option_of_the_command_line_reaches_the_panel(self):
        import re

        import OsteoScreenLib

        root = os.path.dirname(OsteoScreenLib.__file__)
        left = set()
        for folder, _folders, files in os.walk(root):
            if os.path.basename(folder) in ("cli", "__pycache__") or "worker" in folder:
                continue
            for name in files:
                if not name.endswith(".py") or name.startswith("benchmark"):
                    continue
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    text = re.sub(r'"\s*\n\s*f?"', "", file.read())
                for string in re.findall(r'"[^"\n]*--[a-z][^"\n]*"', text):
                    filled = string.replace("{name.lower()}", "l1").replace("{names[0].lower()}", "l1")
                    filled = re.sub(r"\{[^{}]*lower\(\)\}", "l1", filled)
                    if "--" in inPanel(filled):
                        left.add((name, inPanel(filled)))
        self.assertEqual(left, set())
