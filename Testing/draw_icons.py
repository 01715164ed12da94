"""Draw the modules' icons (128 px PNG) from Resources/Icons/*.svg: draw_icons.py. It needs PySide6 (test extra)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
MODULES = ("OsteoScreen", "OsteoScreenTraining")
SIDE = 128


def drawing(module: str) -> Path:
    """Return where a module's icon is drawn."""
    return REPOSITORY / "Resources" / "Icons" / f"{module}.svg"


def icon(module: str) -> Path:
    """Return the icon that Slicer shows."""
    return REPOSITORY / module / "Resources" / "Icons" / f"{module}.png"


def drawn(module: str) -> NDArray[np.uint8]:
    """Return a module's drawing as (128, 128, 4) RGBA."""
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    image = QImage(SIDE, SIDE, QImage.Format.Format_RGBA8888)
    image.fill(0)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    QSvgRenderer(str(drawing(module))).render(painter)
    painter.end()
    return np.frombuffer(image.constBits(), np.uint8).reshape(SIDE, SIDE, 4).copy()


if __name__ == "__main__":
    for name in MODULES:
        Image.fromarray(drawn(name)).save(icon(name), optimize=True)
        print(icon(name))
