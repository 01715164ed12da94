"""From the scene to the worker's messages: the CT as a file, levels, edited outlines, options."""

import contextlib
import os
import shutil
import tempfile

import slicer

from .Levels import StudyLevels
from .Outlines import StudyOutlines
from .Results import StudyResult
from .Vertebrae import StudyVertebrae


class Tasks:
    """Writes what the worker needs into a folder of its own, which goes when Slicer ends.

    :param ctReader: Volumes.CtReader.
    """

    def __init__(self, ctReader):
        self.ctReader = ctReader
        self._folder = None
        self._written = None

    @property
    def folder(self):
        """The exchange folder; made on first use, readable by this user alone (it holds the CT's pixels)."""
        if self._folder is None or not os.path.isdir(self._folder):
            self._folder = tempfile.mkdtemp(prefix="OsteoScreen-", dir=slicer.app.temporaryPath or None)
            self._written = None
        return self._folder

    def suggest(self, volumeNode, names, options):
        """Return the message that finds the vertebrae, and the levels ``names`` among them."""
        ct = self.ctReader.read(volumeNode)
        return {"do": "suggest", "ct": self._ct(volumeNode, ct), "levels": list(names), "options": options}

    def outline(self, volumeNode, names, options):
        """Return the message that has the networks outline the levels ``names``."""
        return self._about(volumeNode, "outline", names, options)

    def screen(self, volumeNode, names, options):
        """Return the message that screens the CT; outlines that the user edited are measured as they are."""
        message = self._about(volumeNode, "screen", names, options)
        masks = self.editedMasks(volumeNode, message["levels"])
        if masks:
            from OsteoScreenLib.worker.exchange import write_masks

            message["masks"] = write_masks(masks, self.folder)
        message["suggested"] = StudyVertebrae(volumeNode).used(message["levels"])
        return message

    def keep(self, volumeNode, path, kinds=()):
        """Return the message that writes the CT's result: its page to ``path``, or ``kinds`` into the folder ``path``.

        :param kinds: names of kinds of output, or of groups, as for the command line's ``--write``.
        """
        from OsteoScreenLib.outlines import LevelOutline
        from OsteoScreenLib.worker.exchange import write_outlines

        ct = self.ctReader.read(volumeNode)
        outlines = StudyOutlines(volumeNode, ct)
        document = StudyResult(volumeNode).document()
        found = {}
        for name, level in document["levels"].items():
            mask = outlines.read(name, level["slice_index"])
            if mask is None:
                continue
            roi = document["roi"].get(name)
            drawn = roi is not None and roi["mask_source"] == "model"
            probability = outlines.readProbability(level["slice_index"]) if drawn else None
            found[name] = LevelOutline(level["slice_index"], mask, probability, roi["confidence"] if roi else 1.0)
        what = {"do": "write", "kinds": list(kinds)} if kinds else {"do": "report"}
        return {
            **what,
            "ct": self._ct(volumeNode, ct),
            "result": document,
            "outlines": write_outlines(found, self.folder),
            "to": os.fspath(path),
        }

    def adopt(self, volumeNode, array):
        """Take the .npy file ``array``, from the folder, as the pixels of a CT, so that they are not written again."""
        if self._written is not None:
            removeQuietly(self._written[1])
        self._written = (_pixelsKey(volumeNode), array)

    def warmUp(self, options, levels):
        """Return the message that loads the networks."""
        kept = {key: options[key] for key in ("segmentation_model", "classification_model", "device")}
        return {"do": "warm_up", "options": {**kept, "levels": list(levels)}}

    def editedMasks(self, volumeNode, levels):
        """Return {level: mask (rows, columns)} of the outlines that the user drew or edited on the levels' slices."""
        if StudyLevels(volumeNode).nodes.segmentation is None:
            return {}
        outlines = StudyOutlines(volumeNode, self.ctReader.read(volumeNode))
        masks = {name: outlines.read(name, level["slice_index"]) for name, level in levels.items()}
        return {
            name: mask
            for name, mask in masks.items()
            if mask is not None and outlines.isEdited(name, levels[name]["slice_index"], mask)
        }

    def clear(self):
        """Remove the folder and everything in it."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = self._written = None

    def _about(self, volumeNode, what, names, options):
        levels = StudyLevels(volumeNode).engineLevels(names)
        ct = self.ctReader.read(volumeNode)
        return {
            "do": what,
            "ct": self._ct(volumeNode, ct),
            "levels": levels,
            "options": options,
            "folder": self.folder,
        }

    def _ct(self, volumeNode, ct):
        """Return the message's "ct"; the pixels are written once for each CT, and again when they changed."""
        from OsteoScreenLib.worker.exchange import describe_ct, write_array

        from .Volumes import ijkToRas

        folder = self.folder
        key = _pixelsKey(volumeNode)
        if self._written is None or self._written[0] != key or not os.path.exists(self._written[1]):
            if self._written is not None:
                removeQuietly(self._written[1])
            self._written = (key, write_array(slicer.util.arrayFromVolume(volumeNode), folder, "ct"))
        return describe_ct(
            self._written[1],
            ijkToRas(volumeNode),
            ct.acquisition,
            findings=ct.findings,
            path=ct.path,
            kind=ct.kind,
            series_instance_uid=ct.series_instance_uid,
        )


def _pixelsKey(volumeNode):
    # Modification times are never given twice, so that they tell one image from another too.
    image = volumeNode.GetImageData()
    return volumeNode.GetID(), image.GetMTime(), image.GetPointData().GetScalars().GetMTime()


def removeQuietly(path):
    """Remove a file, where it can be removed."""
    # On Windows a file that the worker still looks at cannot be removed; it goes with the folder.
    with contextlib.suppress(OSError):
        os.remove(path)
