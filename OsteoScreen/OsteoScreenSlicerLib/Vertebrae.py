"""The vertebrae as the localiser named them: a chain of points in the scene, and the naming as the reader moved it.

The markups list is for looking at; what was found (and by how much the reader moved the names since) are attributes of
the list, so that a saved scene keeps them.
"""

import json

import slicer
from slicer.i18n import tr as _

from .StudyNodes import StudyNodes

# For the result, which is in English.
_TAKEN = "These names were not certain enough to be suggested; a reader took them as they are."
# Bluish green and vermilion (Okabe and Ito 2008) stay apart for the colour-blind, and a question mark says it too.
_CERTAIN, _UNCERTAIN = (0.0, 0.62, 0.45), (0.84, 0.37, 0.0)
_FOUND, _MOVED, _PLACED = "OsteoScreen.found", "OsteoScreen.moved", "OsteoScreen.placed"


class StudyVertebrae:
    """The named vertebrae of one CT.

    :param volumeNode: the CT (vtkMRMLScalarVolumeNode).
    """

    def __init__(self, volumeNode):
        self.volumeNode = volumeNode
        self.nodes = StudyNodes(volumeNode)

    @property
    def node(self):
        """The markups list of the chain, None before anything was suggested."""
        return self.nodes.vertebrae

    def found(self):
        """Return what the worker answered to "suggest" (dict), None where nothing was suggested yet."""
        return self._read(_FOUND)

    @property
    def moved(self):
        """By how many vertebrae the reader moved the names towards the head; negative towards the feet."""
        return self._read(_MOVED) or 0

    def write(self, found):
        """Keep what the worker answered to "suggest", in place of what was kept before, and draw its chain."""
        if self.node is None:
            node = self.nodes.getOrCreate("vertebrae", "vtkMRMLMarkupsFiducialNode", _("vertebrae (suggested)"))
            node.CreateDefaultDisplayNodes()
            _display(node.GetDisplayNode())
            node.SetLocked(True)
        self._keep(_FOUND, found)
        self._keep(_MOVED, 0)
        told = found["numbering"]["levels"]
        self._keep(
            _PLACED,
            {
                name: {"slice_index": level["slice_index"], "told": told[name]}
                for name, level in found["levels"].items()
            },
        )
        self._draw()

    def vertebrae(self):
        """Return the vertebrae (the engine's LocalisedVertebra) from head to foot, named as the reader has it now.

        A vertebra for which no name is left, below S1 or above C1, is left out.
        """
        return [vertebra for vertebra in self._named() if vertebra is not None]

    def vertebra(self, name):
        """Return the vertebra that is called ``name`` now, None where there is none or the scan's end cuts it."""
        return next((vertebra for vertebra in self.vertebrae() if vertebra.name == name and vertebra.whole), None)

    def canMove(self, by):
        """Return whether the names can go ``by`` further vertebrae towards the head (negative: towards the feet)."""
        return any(name is not None for name in self._names(self._asFound(), self.moved + by))

    def probabilityOf(self, by):
        """Return the probability of the names moved ``by`` further vertebrae towards the head, None where not known."""
        found = self.found()
        if not found or not found["vertebrae"]:
            return None
        # The engine counts the names, not the places: moved towards the head, each vertebra gets a name further down.
        shares = {0: found["probability"], **{int(key): share for key, share in found["numbering"]["shifted"].items()}}
        return shares.get(self.moved + by)

    def move(self, by):
        """Move all names ``by`` vertebrae towards the head (negative: towards the feet), where ``canMove`` says so."""
        self._keep(_MOVED, self.moved + by)
        self._keep(_PLACED, {})
        self._draw()

    def isSuggested(self, name):
        """Return whether the level ``name`` was certain enough to be suggested, on the vertebra that bears it now."""
        found = self.found()
        return found is not None and not self.moved and name in found["levels"]

    def keepLevel(self, name, found):
        """Take down where a level was put because of the names.

        :param found: the engine's SuggestedLevel.
        """
        told = {"probability": found.probability, "tilt_deg": found.tilt_deg, "snapped": found.snapped}
        placed = {"slice_index": int(found.level.slice_index), "told": told}
        self._keep(_PLACED, {**(self._read(_PLACED) or {}), name: placed})

    def used(self, levels):
        """Return what a screening has to know where levels come from these names (the message's "suggested"), or None.

        :param levels: {name: {slice_index, set_by, ...}}, as StudyLevels.engineLevels gives them.
        """
        from OsteoScreenLib.worker.suggested import describe_used

        placed = self._read(_PLACED) or {}
        by = {
            name: level["set_by"]
            for name, level in levels.items()
            if name in placed and placed[name]["slice_index"] == level["slice_index"]
        }
        if not by:
            return None
        found = self.found()
        numbering = {**found["numbering"], "levels": {n: placed[n]["told"] for n in by if by[n] == "suggested"}}
        if self.moved:
            named = zip(numbering["vertebrae"], self._named(), strict=True)
            numbering["vertebrae"] = [
                {**item, "name": vertebra.name, "probability": vertebra.probability}
                for item, vertebra in named
                if vertebra is not None
            ]
            shifted = {by: self.probabilityOf(by) for by in (-1, 1)}
            numbering["shifted"] = {str(by): share for by, share in shifted.items() if share is not None}
            numbering["reasons"] = [_movedSentence(self.moved), *numbering["reasons"]]
        elif any(not self.isSuggested(name) for name in by):
            numbering["reasons"] = [_TAKEN, *numbering["reasons"]]
        return describe_used(numbering, found["bundle"])

    def explanation(self):
        """Return in paragraphs why a level is not suggested, and what the names rest on; none before Suggest."""
        found = self.found()
        if found is None:
            return []
        numbering = found["numbering"]
        if numbering["abstains"] is not None:
            return [_("No vertebra is named: {why}").format(why=numbering["abstains"])]
        refused = list(found["refused"].values()) if not self.moved else [_movedWords(self.moved)]
        closing = _("The probabilities were calibrated on simulated scans; count for yourself.")
        return [*refused, " ".join([*numbering["reasons"], closing])]

    def show(self, sliceNodes, viewNodes):
        """Show the chain in the sagittal and coronal ones among the slice views, and in the 3D views.

        :param sliceNodes: the scene's vtkMRMLSliceNodes.
        :param viewNodes: the scene's vtkMRMLViewNodes.
        """
        display = self.node.GetDisplayNode() if self.node is not None else None
        if display is None:
            return
        wanted = [node.GetID() for node in sliceNodes if node.GetOrientation() in ("Sagittal", "Coronal")]
        wanted += [node.GetID() for node in viewNodes]
        if list(display.GetViewNodeIDs()) != wanted:
            display.SetViewNodeIDs(wanted)

    def isVisible(self):
        """Return whether there is a chain with names in it, and it is shown."""
        display = self.node.GetDisplayNode() if self.node is not None else None
        return display is not None and bool(display.GetVisibility()) and self.node.GetNumberOfControlPoints() > 0

    def setVisible(self, visible):
        """Show or hide the chain, where there is one."""
        if self.node is not None and self.node.GetDisplayNode() is not None:
            self.node.GetDisplayNode().SetVisibility(visible)

    def _asFound(self):
        from OsteoScreenLib.worker.suggested import read_vertebra

        found = self.found()
        return [read_vertebra(vertebra) for vertebra in found["vertebrae"]] if found else []

    def _named(self):
        """Return for each vertebra that was found how it is named now, None where no name is left for it."""
        from dataclasses import replace

        vertebrae = self._asFound()
        if not self.moved:
            return vertebrae
        return [
            None if name is None else replace(vertebra, name=name, probability=_share(vertebra, name))
            for vertebra, name in zip(vertebrae, self._names(vertebrae, self.moved), strict=True)
        ]

    @staticmethod
    def _names(vertebrae, moved):
        """Return the names when all are moved ``moved`` vertebrae towards the head, None beyond the ends."""
        from OsteoScreenLib.levels.names import HEAD_TO_FOOT

        # The transitional ones only where they are seen: both are rare.
        seen = {vertebra.name for vertebra in vertebrae}
        order = [name for name in HEAD_TO_FOOT if name not in ("T13", "L6") or name in seen]
        places = [order.index(vertebra.name) + moved for vertebra in vertebrae]
        return [order[place] if 0 <= place < len(order) else None for place in places]

    def _draw(self):
        from OsteoScreenLib.levels.suggestion import CONFIDENT

        node = self.node
        with slicer.util.NodeModify(node):
            node.RemoveAllControlPoints()
            for vertebra in self.vertebrae():
                certain = vertebra.probability >= CONFIDENT
                index = node.AddControlPoint(list(vertebra.centre), _label(vertebra, certain))
                node.SetNthControlPointSelected(index, certain)
                node.SetNthControlPointLocked(index, True)

    def _read(self, attribute):
        text = self.node.GetAttribute(attribute) if self.node is not None else None
        return json.loads(text) if text else None

    def _keep(self, attribute, value):
        self.node.SetAttribute(attribute, json.dumps(value))


def _share(vertebra, name):
    """Return the probability that a vertebra (as it was found) is called ``name``."""
    known = dict([pair for pair in (vertebra.up, vertebra.down) if pair is not None])
    return known.get(name, 0.0)


def _label(vertebra, certain):
    """Return a vertebra's name, with its probability where that is not enough to suggest a level by it."""
    percent = 100 * vertebra.probability
    share = "" if certain else " <1 % ?" if percent < 1 else f" {percent:.0f} % ?"
    cut = "" if vertebra.whole else " " + _("(cut)")
    return f"{vertebra.name}{share}{cut}"


def _movedWords(moved):
    """Return what the reader did to the names, for the panel."""
    told = (
        _("You moved every name towards the head ({count}); this is how they were found:")
        if moved > 0
        else _("You moved every name towards the feet ({count}); this is how they were found:")
    )
    return told.format(count=abs(moved))


def _movedSentence(moved):
    """Return what the reader did to the names, for the result, which is in English."""
    count = "one vertebra" if abs(moved) == 1 else f"{abs(moved)} vertebrae"
    way = "head" if moved > 0 else "feet"
    return f"A reader moved every name {count} towards the {way}; what follows has the names as they were found."


def _display(display):
    display.SetSelectedColor(*_CERTAIN)
    display.SetColor(*_UNCERTAIN)
    display.SetPropertiesLabelVisibility(False)
    display.SetGlyphType(slicer.vtkMRMLMarkupsDisplayNode.Diamond2D)
    # The spine bends out of every plane: points of other planes are shown too.
    display.SetSliceProjection(True)
    display.SetSliceProjectionUseFiducialColor(True)
    display.SetSliceProjectionOutlinedBehindSlicePlane(False)
    display.SetSliceProjectionOpacity(1.0)
