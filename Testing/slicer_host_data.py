"""What the tests of the Slicer host put into its scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

#: The module that the host's own tests load.
EXAMPLE = Path(__file__).resolve().parent / "slicer_host" / "example" / "HostExample.py"


def a_ct(slicer: Any, name: str = "CT") -> Any:
    """Return a volume of a bright box, at chest-like positions."""
    import vtk

    array = np.full((30, 80, 100), -50, np.int16)
    array[10:20, 20:50, 30:70] = 200
    to_ras = vtk.vtkMatrix4x4()
    for axis, (step, origin) in enumerate([(-1.0, 50.0), (-1.0, 40.0), (2.0, -700.0)]):
        to_ras.SetElement(axis, axis, step)
        to_ras.SetElement(axis, 3, origin)
    return slicer.util.addVolumeFromArray(array, ijkToRAS=to_ras, name=name)


def a_segmentation(slicer: Any, volume: Any) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Outlines")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.GetSegmentation().AddEmptySegment("L1", "L1", [1.0, 0.0, 0.0])
    mask = (slicer.util.arrayFromVolume(volume) > 100).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, "L1", volume)
    return node
