"""The modules' icons: as drawn, legible at 16 px on light and dark panels, and not to be taken for each other."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parent))
import draw_icons

#: Slicer's panel in its light and its dark style, grey levels.
PANELS = (239, 50)


def shown(module: str, side: int, panel: int) -> NDArray[np.float64]:
    """Return an icon as it is shown on a panel: (side, side, 3), 0 to 255."""
    image = Image.open(draw_icons.icon(module)).resize((side, side), Image.Resampling.LANCZOS)
    ground = Image.new("RGBA", image.size, (panel, panel, panel, 255))
    return np.asarray(Image.alpha_composite(ground, image).convert("RGB"), np.float64)


@pytest.mark.parametrize("module", draw_icons.MODULES)
def test_the_icon_is_its_drawing(module: str) -> None:
    pytest.importorskip("PySide6.QtSvg", reason="it draws SVG")
    made = np.asarray(Image.open(draw_icons.icon(module)).convert("RGBA"), np.int32)
    assert np.abs(made - draw_icons.drawn(module)).mean() < 1


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("module", draw_icons.MODULES)
def test_a_small_icon_is_told_from_its_panel_and_shows_the_bone(module: str, panel: int) -> None:
    pixels = shown(module, 16, panel)
    grey = pixels.mean(axis=2)
    assert grey.max() - grey.min() > 120, "light and dark parts"
    assert (np.abs(pixels - panel).max(axis=2) > 40).mean() > 0.6, "most of it differs from the panel"
    orange = (pixels[..., 0] > 200) & (pixels[..., 2] < 110)
    assert 10 < orange.sum() < 80, "the trabecular bone"


@pytest.mark.parametrize("panel", PANELS)
def test_the_two_icons_differ_at_16_px(panel: int) -> None:
    one, other = (shown(module, 16, panel) for module in draw_icons.MODULES)
    assert np.abs(one - other).max(axis=2).mean() > 40
