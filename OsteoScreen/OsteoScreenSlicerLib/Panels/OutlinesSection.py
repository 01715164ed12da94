"""Section 3: the outlines, their editing, the probability map and the label map."""

import slicer
from slicer.i18n import tr as _

from .. import Views
from ..Levels import StudyLevels
from ..Outlines import StudyOutlines
from ..StudyNodes import StudyNodes
from .Section import Section


class OutlinesSection(Section):
    """Has outlines drawn, shows what there is of them, and leads to the Segment Editor."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        self.ui.segmentButton.connect("clicked()", self.onSegment)
        self.ui.editButton.connect("clicked()", self.onEdit)
        self.ui.labelmapButton.connect("clicked()", self.onLabelmap)

    def update(self):
        """Show what there is of outlines, and the probability map where it is asked for."""
        volume = self.panel.volumeNode
        nodes = StudyNodes(volume) if volume is not None else None
        there = nodes is not None and nodes.segmentation is not None
        self.ui.editButton.enabled = self.ui.labelmapButton.enabled = there
        self.ui.showProbabilityCheckBox.enabled = nodes is not None and nodes.probability is not None
        if nodes is not None:
            Views.overlayProbability(nodes.probability if self.panel.parameterNode.showProbability else None, volume)
        self.ui.outlinesLabel.text = self._describe() if there else _("No outlines yet: press Screen, or Outline here.")

    def onSegment(self):
        """Outline, and leave it at that; the user's edits are replaced only when the user agrees."""
        panel = self.panel
        with self.attempt(_("The outlines could not be read.")):
            edited = self.logic.segmentation.edited(panel.volumeNode, panel.names)
        question = _("The outline of {levels} was edited. Replace it by the network's?")
        if edited and not slicer.util.confirmYesNoDisplay(question.format(levels=_(" and ").join(edited))):
            return
        panel.run.startNetworks(
            _("Outlining"),
            self.logic.segmentation,
            self.logic.options.screening,
            lambda outlines: panel.run.say(_("✓ Outlined: {levels}.").format(levels=", ".join(outlines))),
        )

    def onEdit(self):
        """Open the outlines in the Segment Editor."""
        with self.attempt(_("The Segment Editor could not be opened.")):
            Views.openSegmentEditor(self.panel.volumeNode)

    def onLabelmap(self):
        """Make a label map of the outlines."""
        with self.attempt(_("The label map could not be made."), waitCursor=True):
            volume = self.panel.volumeNode
            node = StudyOutlines(volume, self.logic.ctReader.read(volume)).exportLabelmap()
            self.panel.run.say(_("✓ Made the label map {name}.").format(name=node.GetName()))

    def _describe(self):
        volume = self.panel.volumeNode
        try:
            outlines, levels = StudyOutlines(volume, self.logic.ctReader.read(volume)), StudyLevels(volume)
            return "\n".join(_describeOutline(name, outlines, levels) for name in self.panel.names)
        except Exception as error:  # a CT that cannot be measured has no outlines either
            return str(error)


def _describeOutline(name, outlines, levels):
    k = levels.sliceIndex(name)
    mask = outlines.read(name, k) if k is not None else None
    if mask is not None:
        edited = outlines.isEdited(name, k, mask)
        text = _("{level}: edited by the user; measured as edited.") if edited else _("{level}: by the network.")
    elif outlines.segmentID(name) is None:
        text = _("{level}: none yet.")
    else:
        text = _("{level}: none on the centre slice; the network draws one there.")
    return text.format(level=name)
