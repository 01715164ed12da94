"""What the Slicer module draws, looked at pixel by pixel: the outline on the slice, and the panel at 400 px."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
MODULE_TESTS = REPOSITORY / "OsteoScreen" / "Testing" / "Slicer"
#: The outline of L1 is orange (Okabe and Ito 2008), on a grey slice.
ORANGE = np.array([0.902, 0.624, 0.0])


@pytest.fixture(scope="module")
def screened(started_host: Any) -> Iterator[tuple[Any, Any]]:
    """Open the panel on a screened phantom, for tests that leave it as it is; gives the host and the widget."""
    host = started_host
    host.reset()
    host.load_module(REPOSITORY / "OsteoScreen" / "OsteoScreen.py")
    widget = host.enter("OsteoScreen")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(MODULE_TESTS))
        from OsteoScreenTestCase import L1_SLICE, L2_SLICE, addPhantom

    volume = addPhantom("phantom")
    widget.parameterNode.inputVolume = volume
    widget.logic.screen(volume, l1=f"#{L1_SLICE}", l2=f"#{L2_SLICE}")
    widget.updatePanel()
    widget.ui.layoutButton.click()
    yield host, widget
    sys.modules.pop("OsteoScreenTestCase", None)
    host.reset()


def test_the_outline_lies_on_the_body_and_nowhere_else(screened: tuple[Any, Any]) -> None:
    host, widget = screened
    if not host.can_render():
        pytest.skip("VTK cannot draw on this machine")
    from OsteoScreenSlicerLib.Levels import StudyLevels

    size = (500, 500)
    picture = host.render_slice("OsteoScreenL1", size).astype(float) / 255
    # How orange a pixel is: red stands above blue there, and a grey slice has none of it.
    tint = picture[..., 0] - picture[..., 2]
    place = StudyLevels(widget.volumeNode).position("L1")
    row, column = host.pixel_of("OsteoScreenL1", place, size)
    around = tint[int(row) - 3 : int(row) + 4, int(column) - 9 : int(column) - 3]
    assert around.mean() > 0.1
    _, columns = np.nonzero(tint > 0.1)
    points = [host.pixel_of("OsteoScreenL1", place + (dx, 0, 0), size)[1] for dx in (-30, 30)]
    # The phantom's body is 44 mm wide: what is tinted (the cross and its label aside) lies within it.
    inside = (columns > min(points)) & (columns < max(points))
    assert inside.mean() > 0.97
    edge = np.linalg.norm(picture - ORANGE, axis=-1) < 0.25
    assert edge.sum() > 40


def test_a_level_line_is_drawn_however_much_the_view_shows(screened: tuple[Any, Any]) -> None:
    host, widget = screened
    if not host.can_render():
        pytest.skip("VTK cannot draw on this machine")
    import slicer

    outlines = widget.volumeNode.GetNodeReference("OsteoScreenOutlines").GetDisplayNode()
    node = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeOsteoScreenSagittal")
    size, before = (300, 300), node.GetFieldOfView()
    outlines.SetVisibility(False)
    try:
        for field_mm in np.linspace(500, 900, 7):
            node.SetFieldOfView(field_mm, field_mm, 1.0)
            picture = host.render_slice("OsteoScreenSagittal", size).astype(float) / 255
            pixels = (picture[..., 0] - picture[..., 2] > 0.3).sum(axis=1)
            # The line of L1 is 120 mm long.
            assert pixels.max() > 0.8 * 120 / field_mm * size[0], field_mm
    finally:
        outlines.SetVisibility(True)
        node.SetFieldOfView(*before)


@pytest.mark.parametrize("palette", ["light", "dark"])
def test_the_panel_fits_400_pixels_and_nothing_overlaps(
    screened: tuple[Any, Any], tmp_path: Path, palette: str
) -> None:
    host, widget = screened
    path = host.screenshot(widget.parent, tmp_path / "panel.png", width=400, palette=palette)
    assert widget.parent.minimumSizeHint.width() <= 400
    from PIL import Image

    with Image.open(path) as picture:
        assert picture.width == 400
        background = np.asarray(picture.convert("L"), float)[5, 5]
    assert background > 200 if palette == "light" else background < 80
    _check_overlaps(widget, ("scan", "levels", "outlines", "result"))


def test_the_training_panel_fits_400_pixels(host: Any, tmp_path: Path) -> None:
    for name in ("OsteoScreen", "OsteoScreenTraining"):
        host.load_module(REPOSITORY / name / f"{name}.py")
    widget = host.enter("OsteoScreenTraining")
    widget.ui.drawCollapsibleButton.collapsed = False
    host.screenshot(widget.parent, tmp_path / "panel.png", width=400)
    assert widget.parent.minimumSizeHint.width() <= 400
    _check_overlaps(widget, ("data", "draw", "train", "evaluate"))


def _check_overlaps(widget: Any, sections: tuple[str, ...]) -> None:
    for section in sections:
        layout = getattr(widget.ui, f"{section}CollapsibleButton").layout()
        items = [layout.itemAt(index) for index in range(layout.count())]
        shown = [item.geometry() for item in items if not item.isEmpty()]
        for above, below in pairwise(shown):
            assert above.y() + above.height() <= below.y(), section
