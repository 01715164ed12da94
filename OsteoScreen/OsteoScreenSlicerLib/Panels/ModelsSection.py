"""The section of the model bundles, the calibration and the diagnostics."""

import qt

import slicer
from slicer.i18n import tr as _

from .Section import Section

_SHIPPED = ""


class ModelsSection(Section):
    """Chooses bundles, shows their cards, and keeps the user's own."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        ui = self.ui
        self._boxes = {
            "segmentation": ui.segmentationBundleComboBox,
            "classification": ui.classificationBundleComboBox,
            "localisation": ui.localisationBundleComboBox,
        }
        for role, box in self._boxes.items():
            box.connect("currentIndexChanged(int)", lambda _index, role=role: self.onBundle(role))
        ui.cardComboBox.connect("currentIndexChanged(int)", lambda _index: self.onShowCard())
        ui.importBundleButton.connect("clicked()", self.onImport)
        ui.verifyBundleButton.connect("clicked()", self.onVerify)
        ui.removeBundleButton.connect("clicked()", self.onRemove)
        ui.calibrationButton.connect("clicked()", self.onChooseCalibration)
        ui.diagnosticsButton.connect("clicked()", self.onCopyDiagnostics)

    def update(self):
        """Show which bundles are chosen."""
        for role in self._boxes:
            self._choose(role, getattr(self.panel.parameterNode, f"{role}Bundle"))

    def showBundles(self):
        """Look again for the bundles at hand, and offer them."""
        bundles = self.logic.bundles.available()
        for role, box in self._boxes.items():
            names = [bundle.name for bundle in bundles if bundle.role == role]
            _fill(box, [(_("the shipped one"), _SHIPPED), *((name, name) for name in names)])
        _fill(self.ui.cardComboBox, [(bundle.name, bundle.name) for bundle in bundles])
        self.ui.removeBundleButton.enabled = self.ui.verifyBundleButton.enabled = bool(bundles)
        self.onShowCard()

    @property
    def cardOf(self):
        """The name of the bundle whose card is shown; empty where there is none."""
        return self.ui.cardComboBox.itemData(self.ui.cardComboBox.currentIndex) or ""

    def onBundle(self, role):
        """Another bundle was chosen for a role."""
        if self.panel.parameterNode is not None:
            box = self._boxes[role]
            setattr(self.panel.parameterNode, f"{role}Bundle", box.itemData(box.currentIndex) or _SHIPPED)

    def onShowCard(self):
        """Show the card of the chosen bundle."""
        with self.attempt(_("The card could not be shown.")):
            none = _("No bundle can be described; install the packages at the top of the panel.")
            self.ui.cardBrowser.setMarkdown(self.logic.bundles.card(self.cardOf) if self.cardOf else none)

    def onImport(self):
        """Import a bundle from a file."""
        title, kind = _("Import a bundle"), _("Model bundle (*.zip bundle.json)")
        path = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, "", kind)
        if path:
            self.importBundle(path)

    def importBundle(self, path):
        """Import a bundle from a file."""
        with self.attempt(_("The bundle could not be imported."), waitCursor=True):
            name = self.logic.bundles.importFrom(path)
            self.showBundles()
            self.panel.run.say(_("✓ Imported {name}.").format(name=name))

    def onVerify(self):
        """Check the bundle that is shown."""
        with self.attempt(_("The bundle failed its check."), waitCursor=True):
            self.logic.bundles.verify(self.cardOf)
            told = _("✓ {name} is whole: description, hash, architecture and weights.")
            self.panel.run.say(told.format(name=self.cardOf))

    def onRemove(self):
        """Delete the bundle that is shown, once the user agrees."""
        name = self.cardOf
        if not slicer.util.confirmYesNoDisplay(_("Delete the bundle {name} from this computer?").format(name=name)):
            return
        with self.attempt(_("The bundle could not be removed.")):
            self.logic.bundles.remove(name)
            self.showBundles()
            self.panel.run.say(_("✓ Removed {name}.").format(name=name))

    def onChooseCalibration(self):
        """Choose a calibration file."""
        title, kind = _("Choose a calibration"), _("Calibration (*.json)")
        path = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, "", kind)
        if path and self.panel.parameterNode is not None:
            self.panel.parameterNode.calibrationFile = path

    def onCopyDiagnostics(self):
        """Put versions, device and the last messages on the clipboard."""
        with self.attempt(_("The diagnostics could not be copied.")):
            slicer.app.clipboard().setText(self.logic.diagnostics())
            self.panel.run.say(_("✓ Copied to the clipboard."))

    def _choose(self, role, name):
        """Show which bundle is chosen for a role; one that is not at hand is shown as missing."""
        box = self._boxes[role]
        wasBlocked = box.blockSignals(True)
        index = box.findData(name)
        if index < 0:
            box.addItem(_("{name} (not installed)").format(name=name), name)
            index = box.count - 1
        box.setCurrentIndex(index)
        box.blockSignals(wasBlocked)


def _fill(box, entries):
    """Offer (text, data) entries in a combo box; what was chosen stays chosen where it still is."""
    wasBlocked = box.blockSignals(True)
    before = box.itemData(box.currentIndex) if box.count else None
    box.clear()
    for text, data in entries:
        box.addItem(text, data)
    index = box.findData(before) if before is not None else 0
    box.setCurrentIndex(max(index, 0) if box.count else -1)
    box.blockSignals(wasBlocked)
