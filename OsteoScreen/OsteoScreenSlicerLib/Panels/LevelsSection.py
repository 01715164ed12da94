"""Section 2: the centre slices of L1 and L2."""

import slicer
from slicer.i18n import tr as _

from .. import Views
from ..Errors import ModuleError
from ..LevelLines import LevelLines
from ..Levels import StudyLevels
from ..StudyNodes import LEVEL_NAMES
from .Section import Section


class LevelWidgets:
    """The widgets of one level.

    :param ui: the panel's widgets by name.
    :param name: "L1" or "L2".
    """

    def __init__(self, ui, name):
        prefix = name.lower()
        self.name = name
        self.box = getattr(ui, f"{prefix}GroupBox")
        self.slider = getattr(ui, f"{prefix}Slider")
        self.useCurrentButton = getattr(ui, f"{prefix}UseCurrentButton")
        self.goToButton = getattr(ui, f"{prefix}GoToButton")
        self.snapButton = getattr(ui, f"{prefix}SnapButton")
        self.confirmCheckBox = getattr(ui, f"{prefix}ConfirmCheckBox")
        self.statusLabel = getattr(ui, f"{prefix}StatusLabel")


class LevelsSection(Section):
    """Sets, shows and confirms the levels. It never confirms one by itself."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        self.widgets = {name: LevelWidgets(self.ui, name) for name in LEVEL_NAMES}
        self.lines = LevelLines()
        self.ui.layoutButton.connect("clicked()", self.onLayout)
        self.ui.fromSegmentationButton.connect("clicked()", self.onFromSegmentation)
        for name, widgets in self.widgets.items():
            widgets.useCurrentButton.connect("clicked()", lambda name=name: self.onUseCurrent(name))
            widgets.goToButton.connect("clicked()", lambda name=name: self.onGoTo(name))
            widgets.snapButton.connect("clicked()", lambda name=name: self.onSnap(name))
            widgets.slider.connect("valueChanged(double)", lambda value, name=name: self.onSlider(name, value))
            widgets.confirmCheckBox.connect("toggled(bool)", lambda on, name=name: self.onConfirm(name, on))

    def update(self):
        """Show the levels of the CT, in the panel and as lines in the sagittal views."""
        levels = self.levels()
        for name, widgets in self.widgets.items():
            used = levels is not None and name in self.panel.names
            widgets.box.enabled = used
            _showLevel(widgets, levels if used else None)
        for widget in (self.ui.layoutButton, self.ui.levelsSegmentationSelector, self.ui.fromSegmentationButton):
            widget.enabled = levels is not None
        if levels is None:
            self.lines.clear()
        else:
            self.lines.update(levels, Views.sliceNodes(slicer.mrmlScene))

    def onLayout(self):
        """Show the module's own views."""
        with self.attempt(_("The views could not be set up.")):
            Views.showLayout(self.panel.volumeNode, StudyLevels(self.panel.volumeNode))
        self.panel.updatePanel()

    def onUseCurrent(self, name):
        """Put a level on the axial slice that is shown."""
        with self.attempt(_("The level could not be set.")):
            levels = StudyLevels(self.panel.volumeNode)
            k = Views.currentSlice(levels, name)
            if k is None:
                raise ModuleError(_("No axial view shows a slice of this CT; scroll one to it first."))
            levels.setSlice(name, k)
            self._afterChange()

    def onGoTo(self, name):
        """Show a level."""
        with self.attempt(_("The level could not be shown.")):
            Views.goTo(StudyLevels(self.panel.volumeNode), name)

    def onSnap(self, name):
        """Move a level to the middle of its vertebra."""
        with self.attempt(_("The level could not be snapped."), waitCursor=True):
            self.logic.levels.snap(self.panel.volumeNode, name)
            Views.goTo(StudyLevels(self.panel.volumeNode), name)
            self._afterChange()

    def onSlider(self, name, height):
        """Put a level at a height (RAS S in mm)."""
        with self.attempt(_("The level could not be moved.")):
            levels = StudyLevels(self.panel.volumeNode)
            levels.setSlice(name, levels.geometry.nearest_slice(height))
            Views.goTo(levels, name)
            self._afterChange()

    def onConfirm(self, name, confirmed):
        """The reader stands behind a level, or no longer does."""
        try:
            with self.attempt(_("The level could not be confirmed.")):
                StudyLevels(self.panel.volumeNode).confirm(name, confirmed)
        finally:
            self.panel.updatePanel()

    def onFromSegmentation(self):
        """Take the levels from a segmentation."""
        with self.attempt(_("The levels could not be taken."), waitCursor=True):
            segmentation = self.panel.parameterNode.levelsSegmentation
            if segmentation is None or segmentation.GetScene() is None:
                raise ModuleError(_("Choose a segmentation of the vertebrae beside the button first."))
            names = self.logic.levels.take(self.panel.volumeNode, segmentation)
            self.panel.run.say(_("Taken: {levels}. Check and confirm them.").format(levels=", ".join(names)))
            levels = StudyLevels(self.panel.volumeNode)
            for name in names:
                Views.goTo(levels, name)
            self._afterChange()

    def _afterChange(self):
        self.panel.updatePanel()
        if not self.panel.run.running:
            self.logic.warmUp.start(self.panel.parameterNode, self.panel.names)


def _showLevel(widgets, levels):
    height = levels.height(widgets.name) if levels is not None else None
    known = height is not None
    for widget in (widgets.goToButton, widgets.snapButton, widgets.confirmCheckBox):
        widget.enabled = known
    _showSlider(widgets.slider, levels, height)
    wasBlocked = widgets.confirmCheckBox.blockSignals(True)
    widgets.confirmCheckBox.checked = known and levels.isConfirmed(widgets.name)
    widgets.confirmCheckBox.blockSignals(wasBlocked)
    widgets.statusLabel.text = _status(widgets.name, levels, height)


def _showSlider(slider, levels, height):
    if levels is None:
        return
    slices = levels.geometry.shape[0]
    ends = sorted((levels.geometry.slice_z(0), levels.geometry.slice_z(slices - 1)))
    wasBlocked = slider.blockSignals(True)
    slider.minimum, slider.maximum = ends
    slider.singleStep = max((ends[1] - ends[0]) / max(slices - 1, 1), 0.1)
    slider.pageStep = 10 * slider.singleStep
    slider.value = ends[0] if height is None else height
    slider.blockSignals(wasBlocked)


def _status(name, levels, height):
    if levels is None:
        return ""
    if height is None:
        return _("not set") if levels.position(name) is None else _("outside the scan: move it onto a slice")
    by = {
        "user": _("set by hand"),
        "segmentation": _("taken from a segmentation"),
        "snapped": _("snapped to the centre"),
        "suggested": _("suggested"),
    }[levels.setBy(name)]
    confirmed = _("confirmed") if levels.isConfirmed(name) else _("not confirmed")
    return f"#{levels.sliceIndex(name)}, {by}, {confirmed}"
