"""Draw the README's picture, Resources/Screenshots/overview.png: what OsteoScreen makes of the sample CT.

    .venv/bin/python Testing/draw_overview.py

Every line and number in it comes from one screening of the simulated CT that the extension ships.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from OsteoScreenLib.densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3
from OsteoScreenLib.reports.pictures import LevelPicture, SagittalPicture
from OsteoScreenLib.results import ScreeningResult
from OsteoScreenLib.screening import ScreeningRequest, screen

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "OsteoScreen" / "Resources" / "SampleData" / "OsteoScreenSimulatedCT.nrrd"
PICTURE = ROOT / "Resources" / "Screenshots" / "overview.png"
#: Soft tissue and bone are both told apart.
WINDOW_HU = (-200, 400)
COLOURS = {"L1": "#e69f00", "L2": "#56b4e9"}
#: What of a slice is shown around its outline [mm].
FIELD_MM = 60.0
#: How much of the sagittal view, from the front, shows nothing of the spine.
FRONT_LEFT_OUT = 0.3


def main() -> None:
    """Screen the sample, and draw."""
    screening = screen(ScreeningRequest(SAMPLE, l1="auto", l2="auto", age_years=63, sex="F"))
    screening.add_sagittal(most_slices=screening.ct.geometry.shape[0])
    sagittal = screening.pictures.sagittal
    assert sagittal is not None, "the sample has many slices"
    figure, axes = plt.subplots(1, 5, figsize=(14, 3.6), width_ratios=[1.0, 1.0, 1.0, 0.75, 1.0], layout="constrained")
    _draw_sagittal(axes[0], sagittal, screening.result)
    for axis, name in zip(axes[1:3], COLOURS, strict=True):
        _draw_level(axis, screening.pictures.levels[name], screening.result)
    _draw_bmd(axes[3], screening.result)
    _draw_class(axes[4], screening.result)
    figure.savefig(PICTURE, dpi=110, pil_kwargs={"optimize": True})
    print(f"Drawn: {PICTURE}")


def _draw_sagittal(axis: Axes, picture: SagittalPicture, result: ScreeningResult) -> None:
    row_mm, column_mm = picture.spacing_mm
    axis.imshow(picture.image, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], aspect=row_mm / column_mm)
    rows, columns = picture.image.shape
    left = columns * FRONT_LEFT_OUT
    axis.set_xlim(left, min(left + rows * row_mm / column_mm, columns))
    for name, colour in COLOURS.items():
        row = picture.row_of_slice(result.levels[name].slice_index)
        axis.axhline(row, color=colour, linewidth=1.2)
        axis.text(left + 2, row - 1, name, color=colour, fontweight="bold", va="bottom")
    axis.set_title("1  Find or choose L1 and L2,\na reader confirms")
    axis.axis("off")


def _draw_level(axis: Axes, picture: LevelPicture, result: ScreeningResult) -> None:
    assert picture.mask is not None, "both levels of the sample are outlined"
    row_mm, column_mm = picture.spacing_mm
    axis.imshow(picture.hu, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], aspect=row_mm / column_mm)
    roi = result.roi[picture.name]
    outline = picture.pixels(np.asarray(roi.outline_ras_mm))
    axis.fill(*outline.T, facecolor="none", edgecolor=COLOURS[picture.name], linewidth=1.8)
    column, row = outline.mean(axis=0)
    axis.set_xlim(column - FIELD_MM / column_mm, column + FIELD_MM / column_mm)
    axis.set_ylim(row + FIELD_MM / row_mm, row - FIELD_MM / row_mm)
    axis.set_title(f"{'2  Outline' if picture.name == 'L1' else 'and measure'} {picture.name}:\n{roi.mean_hu:.0f} HU")
    axis.axis("off")


def _draw_bmd(axis: Axes, result: ScreeningResult) -> None:
    assert result.densitometry is not None, "the sample is measured"
    calibration, bmd = result.densitometry.calibration, result.densitometry.bmd_mg_cm3["individual"]
    ranges = ((0, OSTEOPOROSIS_BELOW_MG_CM3, "osteoporosis", "#d55e00"),
              (OSTEOPOROSIS_BELOW_MG_CM3, NORMAL_ABOVE_MG_CM3, "osteopenia", "#f0e442"),
              (NORMAL_ABOVE_MG_CM3, 180, "normal", "#009e73"))  # fmt: skip
    for low, high, name, colour in ranges:
        axis.axhspan(low, high, color=colour, alpha=0.35, linewidth=0)
        axis.text(-0.9, (low + high) / 2, name, va="center", fontsize=9)
    axis.errorbar(0.55, bmd, yerr=calibration.uncertainty_mg_cm3, fmt="o", color="black", capsize=5)
    axis.set(xlim=(-1, 1), ylim=(0, 180), xticks=[], ylabel="mg/cm³")
    axis.set_title(f"3  BMD {bmd:.0f} mg/cm³\n({calibration.source} line, ± {calibration.uncertainty_mg_cm3:.0f})")


def _draw_class(axis: Axes, result: ScreeningResult) -> None:
    assert result.classification is not None, "the sample is classified"
    probabilities = result.classification.probabilities
    bars = axis.barh(list(probabilities), list(probabilities.values()), color=["#009e73", "#f0e442", "#d55e00"])
    axis.bar_label(bars, fmt="%.2f", padding=3)
    axis.set(xlim=(0, 1.15), xticks=[0, 0.5, 1], xlabel="probability")
    axis.invert_yaxis()
    axis.set_title("4  The network's opinion\nbeside it (Model 1)")
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
