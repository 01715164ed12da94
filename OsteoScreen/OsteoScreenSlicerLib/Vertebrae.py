"""The vertebrae as the localiser named them: a chain of points in the scene, and the naming as the reader moved it.

The markups list is for looking at; what was found (and by how much the reader moved the names since) are attributes of
the list, so that a saved scene keeps them.
"""

import json

import slicer
from slicer.i18n import tr as _

from .StudyNodes import StudyNodes

# Bluish green and vermilion (Okabe and Ito 2008) stay apart for the colour-blind, and a question mark says it too.
_CERTAIN, _UNCERTAIN = (0.0, 0.62, 0.45), (0.84, 0.37, 0.0)
_FOUND, _MOVED, _LEVELS = "OsteoScreen.found", "OsteoScreen.moved", "OsteoScreen.levels"


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
        self._keep(_LEVELS, found["numbering"]["levels"])
        self._draw()

    def vertebrae(self):
        """Return the vertebrae (the engine's LocalisedVertebra) from head to foot, named as the reader has it now."""
        from dataclasses import replace

        vertebrae = self._asFound()
        if not self.moved:
            return vertebrae
        names = self._names(vertebrae, self.moved)
        return [
            replace(vertebra, name=name, probability=_share(vertebra, name))
            for vertebra, name in zip(vertebrae, names, strict=True)
        ]

    def vertebra(self, name):
        """Return the vertebra that is called ``name`` now, None where there is none or the scan's end cuts it."""
        return next((vertebra for vertebra in self.vertebrae() if vertebra.name == name and vertebra.whole), None)

    def canMove(self, by):
        """Return whether the names can go ``by`` further vertebrae towards the head (negative: towards the feet)."""
        return self._names(self._asFound(), self.moved + by) is not None

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
        self._keep(_LEVELS, {})
        self._draw()

    def keepLevel(self, name, found):
        """Take down how a level was found.

        :param found: the engine's SuggestedLevel.
        """
        told = {"probability": found.probability, "tilt_deg": found.tilt_deg, "snapped": found.snapped}
        self._keep(_LEVELS, {**(self._read(_LEVELS) or {}), name: told})

    def used(self, names):
        """Return what a screening has to know when the levels ``names`` were suggested (the message's "suggested")."""
        from OsteoScreenLib.worker.suggested import describe_used

        found = self.found()
        levels = {name: told for name, told in (self._read(_LEVELS) or {}).items() if name in names}
        numbering = {**found["numbering"], "levels": levels}
        if self.moved:
            named = zip(numbering["vertebrae"], self.vertebrae(), strict=True)
            numbering["vertebrae"] = [{**item, "name": v.name, "probability": v.probability} for item, v in named]
            numbering["shifted"] = {
                str(by): self.probabilityOf(by) for by in (-1, 1) if self.probabilityOf(by) is not None
            }
            numbering["reasons"] = [_movedSentence(self.moved), *numbering["reasons"]]
        return describe_used(numbering, found["bundle"])

    def explanation(self):
        """Return in sentences what the names rest on, or why there are none; empty before anything was suggested."""
        found = self.found()
        if found is None:
            return []
        numbering = found["numbering"]
        if numbering["abstains"] is not None:
            return [_("No vertebra is named: {why}").format(why=numbering["abstains"])]
        refused = list(found["refused"].values()) if not self.moved else [_movedWords(self.moved)]
        closing = _("The probabilities were calibrated on simulated scans; count for yourself.")
        return [*refused, *numbering["reasons"], closing]

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

    def _asFound(self):
        from OsteoScreenLib.worker.suggested import read_vertebra

        found = self.found()
        return [read_vertebra(vertebra) for vertebra in found["vertebrae"]] if found else []

    @staticmethod
    def _names(vertebrae, moved):
        """Return the names when all are moved ``moved`` vertebrae towards the head; None where they cannot be."""
        from OsteoScreenLib.levels.names import HEAD_TO_FOOT

        # The transitional ones only where they are seen: both are rare.
        seen = {vertebra.name for vertebra in vertebrae}
        order = [name for name in HEAD_TO_FOOT if name not in ("T13", "L6") or name in seen]
        places = [order.index(vertebra.name) + moved for vertebra in vertebrae]
        if not places or min(places) < 0 or max(places) >= len(order):
            return None
        return [order[place] for place in places]

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
    percent = 100 * vertebra.probability
    share = ">99 %" if percent > 99 else "<1 %" if percent < 1 else f"{percent:.0f} %"
    cut = "" if vertebra.whole else " " + _("(cut)")
    return f"{vertebra.name} {share}{'' if certain else ' ?'}{cut}"


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
