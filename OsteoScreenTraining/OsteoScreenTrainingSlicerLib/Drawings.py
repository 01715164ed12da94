"""Outlines drawn in QuPath: the command lines that export a CT's slices and import what was drawn on them."""

import os

from slicer.i18n import tr as _

from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.Levels import StudyLevels


def exportArguments(volumeNode, ctReader, folder, subject=""):
    """Return the command line that writes the slices of a CT's levels into ``folder``.

    The CT is read anew from where it lies, because what is drawn is brought back onto that.

    :param volumeNode: the CT (vtkMRMLScalarVolumeNode), or None.
    :param ctReader: Volumes.CtReader.
    :param subject: what the subject is called; empty for a name made of the CT's hash.
    :raises ModuleError: there is no CT, no level, or the CT is in no file.
    """
    if volumeNode is None:
        raise ModuleError(_("Choose a CT in the module OsteoScreen first, and set its levels there."))
    levels = StudyLevels(volumeNode)
    if not levels.names():
        raise ModuleError(
            _("Set L1 or L2 of {name} in the module OsteoScreen first.").format(name=volumeNode.GetName())
        )
    ct = ctReader.read(volumeNode)
    if not ct.path or not os.path.exists(ct.path):
        raise ModuleError(
            _("{name} lies in no file, so nothing could be brought back onto it; save it first.").format(
                name=volumeNode.GetName()
            )
        )
    words = ["dataset", "export-slices", ct.path, "-o", folder]
    for name, level in levels.engineLevels(levels.names()).items():
        words.append(f"--{name.lower()}={ct.geometry.slice_z(level['slice_index']):.4f}")
    if ct.series_instance_uid:
        words += ["--series", ct.series_instance_uid]
    return [*words, "--subject", subject] if subject else words


def importArguments(folder, dataFolder):
    """Return the command line that turns the GeoJSON files in ``folder``, beside their slices, into a data set's."""
    return ["dataset", "import-qupath", folder, "--slices", folder, "-o", dataFolder]
