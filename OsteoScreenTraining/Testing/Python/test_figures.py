"""The study's figures: they show the numbers that they were given, in two files, and the same bytes every time."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import matplotlib
import matplotlib.text
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from OsteoScreenTrainingLib.evaluation.figures import roc
from OsteoScreenTrainingLib.evaluation.figures.bland_altman import Limits, bland_altman
from OsteoScreenTrainingLib.evaluation.figures.cohort import DECADES, PaperBmd, cohort_by_age
from OsteoScreenTrainingLib.evaluation.figures.confusion import confusion_matrices
from OsteoScreenTrainingLib.evaluation.figures.decision_curve import decision_curve
from OsteoScreenTrainingLib.evaluation.figures.examples import ExampleRow, example_rows
from OsteoScreenTrainingLib.evaluation.figures.flow_chart import flow_chart
from OsteoScreenTrainingLib.evaluation.figures.learning_curve import (
    LearningCurve,
    PaperDsc,
    PaperPlateau,
    learning_curve,
)
from OsteoScreenTrainingLib.evaluation.figures.reliability import ReliabilityBins, reliability_diagram
from OsteoScreenTrainingLib.evaluation.figures.style import DPI, SMALL_PT, line, save, series
from OsteoScreenTrainingLib.evaluation.figures.training_curves import read_log, training_curves

Saver = Callable[[str], tuple[Path, Path]]

CLASSES = ("normal", "osteopenia", "osteoporosis")
SPLITS = [
    ("Training", 530, dict(zip(CLASSES, (310, 150, 70), strict=True))),
    ("Validation", 100, dict(zip(CLASSES, (60, 30, 10), strict=True))),
    ("Test", 418, dict(zip(CLASSES, (251, 116, 51), strict=True))),
]
EXCLUDED = [("Implants", 65), ("Field of view without L2", 500), ("Fracture deformity", 300)]


def _flow_chart() -> Figure:
    return flow_chart(1913, EXCLUDED, 1048, SPLITS)


def _cohort() -> Figure:
    ages, sex = [25.0, 26.0, 45.0, 45.0, 45.0, 45.0, 72.0, 95.0], list("MMFFFFFM")
    bmd = [180.0, 170.0, 121.0, 100.0, 79.0, 60.0, 80.0, 40.0]
    paper = [PaperBmd("40-49", "F", 162.76, 25.18), PaperBmd(">=90", "M", 38.85, None)]
    return cohort_by_age(ages, sex, bmd, paper, "simulated")


def _learning_curve() -> Figure:
    mean = np.array([0.91, 0.94, 0.95])
    curves = [
        LearningCurve("DCNN, simulated", [100, 300, 1096], mean, mean - 0.01, mean + 0.01),
        LearningCurve("U-Net, simulated", [300, 1096], mean[1:], mean[1:] - 0.01, mean[1:] + 0.01),
    ]
    return learning_curve(curves, PaperDsc(300, 0.951, 0.030), PaperPlateau(300, 1096, 0.95, 0.004))


def _example(**values: object) -> ExampleRow:
    y, x = np.mgrid[:40, :40]
    away = np.hypot(y - 20, x - 20)
    disc = (away < 10).astype(float)
    pictures = {
        "ct": np.where(away < 10, 150.0, 20.0),
        "probability": np.clip((14 - away) / 8, 0, 1),
        "reference": disc,
        "dcnn": disc,
        "unet": np.roll(disc, 2, axis=1),
    }
    return ExampleRow(**{**pictures, "sex": "F", "age": 34.0, "bmd": 196.6, "category": "normal", **values})


def _examples() -> Figure:
    return example_rows([_example(), _example(sex="M", age=43.0, bmd=118.3, category="osteopenia")])


def _scores() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [30, 20, 10])
    return labels, np.eye(3)[labels] + rng.normal(0, 0.4, (60, 3))


INTERVALS = [(0.989, 0.983, 0.996), (0.952, 0.932, 0.971), (0.98, 0.967, 0.994)]


def _roc() -> Figure:
    labels, scores = _scores()
    points = {"Model 1": [(0.9, 0.8)] * 3, "Paper, Model 1": [(0.964, 0.916), (0.716, 0.96), (0.941, 0.948)]}
    models = {"Model 1": scores, "Measured BMD": scores[:, ::-1]}
    return roc.roc_curves(labels, models, dict.fromkeys(models, INTERVALS), points)


def _reliability() -> Figure:
    bins = ReliabilityBins([0.2, 0.5, 0.8], [0.25, 0, 0.7], [0.1, 0, 0.5], [0.4, 1, 0.9], [20, 0, 30])
    return reliability_diagram({"Model 1": [bins] * 3, "Model 2": [bins] * 3})


def _decision_curve() -> Figure:
    t = np.linspace(0.01, 0.9, 40)
    return decision_curve(t, {"Model 1": 0.12 - 0.05 * t}, 0.12 - 0.88 * t / (1 - t))


def _bland_altman() -> Figure:
    limits = Limits((1.5, 0.6, 2.4), (-16.1, -17.6, -14.6), (19.1, 17.6, 20.6))
    return bland_altman([90, 100, 150], [1, -4, 7], limits, "BMD, measured − reference", "mg/cm³")


def _confusion() -> Figure:
    return confusion_matrices(
        {
            "Model 1, simulated": [[9, 1, 0], [2, 5, 1], [0, 0, 0]],
            "Model 1, paper": [[242, 9, 0], [14, 83, 19], [0, 3, 48]],
            "Model 2, simulated": np.eye(3, dtype=int),
        }
    )


def _training() -> Figure:
    score = np.array([np.nan, 0.8, np.nan, 0.9])
    return training_curves(
        {"step": np.arange(4.0), "loss": np.array([1, 0.5, 0.2, 0.1]), "val_dsc": score}, {"val_dsc": "DSC"}
    )


#: Name to maker, width and height in inches, and what has to be readable on it.
FIGURES: dict[str, tuple[Callable[[], Figure], tuple[float, float] | None, list[str]]] = {
    "flow_chart": (
        _flow_chart,
        None,
        ["n = 1913", "n = 1048", "Excluded (n = 865)", "Test", "n = 418", "osteoporosis: 51", "osteopenia: 150"],
    ),
    "cohort": (
        _cohort,
        (7.2, 6.6),
        ["osteopenia", "osteoporosis", "women, simulated", "men, paper", "≥ 90", "40–49", "normal above 120"],
    ),
    "learning_curve": (
        _learning_curve,
        (4.4, 4.2),
        ["U-Net, simulated (95 % CI)", "paper, 300 images: 0.951 ± 0.030 (SD)", "300", "1096", "Training images"],
    ),
    "examples": (
        _examples,
        None,
        ["Woman, 34 years, BMD 196.6 mg/cm³: normal", "Man, 43 years, BMD 118.3 mg/cm³: osteopenia", "heat map", "j"],
    ),
    "roc": (
        _roc,
        None,
        ["Measured BMD", "Paper, Model 1", "0.989 (0.983–0.996)", "0.952 (0.932–0.971)", "osteoporosis", "Sensitivity"],
    ),
    "reliability": (_reliability, (7.2, 3.9), ["Model 2", "Observed share (95 % CI)", "Subjects", "osteopenia"]),
    "decision_curve": (_decision_curve, (4.4, 3.9), ["treat all", "treat none", "Model 1", "Net benefit", "20 %"]),
    "bland_altman": (
        _bland_altman,
        (4.4, 3.7),
        ["bias", "+1.5", "−16.1", "+19.1", "BMD, measured − reference, mg/cm³"],
    ),
    "confusion": (_confusion, (7.2, 5.7), ["242", "96.4 %", "83", "16.4 %", "Model 1, paper", "Predicted class"]),
    "training": (_training, (4.4, 4.8), ["Training loss", "DSC", "Step", "a", "b"]),
}


def _texts(svg: Path) -> list[str]:
    """Return the texts of an SVG file; matplotlib writes a line of a label as one element."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saver:
    """Return what saves a figure of :data:`FIGURES` into a new folder of its own, once."""
    return lru_cache(maxsize=None)(lambda name: save(FIGURES[name][0](), tmp_path_factory.mktemp(name) / "new", name))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_becomes_a_picture_and_a_drawing_with_its_words(name: str, saved: Saver) -> None:
    _, inches, words = FIGURES[name]
    png, svg = saved(name)
    assert sorted(item.name for item in png.parent.iterdir()) == [f"{name}.png", f"{name}.svg"]
    with Image.open(png) as picture:
        assert picture.format == "PNG"
        width, height = picture.size
        pixels = np.asarray(picture.convert("L"))
    assert width in (round(7.2 * DPI), round(4.4 * DPI))
    if inches is not None:
        assert (width, height) == (round(inches[0] * DPI), round(inches[1] * DPI))
    assert 0.01 < (pixels < 200).mean() < 0.9
    shown = [text.replace("\xa0", " ") for text in _texts(svg)]
    for word in words:
        assert any(word == text or (len(word) > 12 and word in text) for text in shown), f"{word!r} not in {shown}"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_bytes_whatever_the_users_settings_are(name: str, saved: Saver, tmp_path: Path) -> None:
    first = saved(name)
    with matplotlib.rc_context({"font.size": 22, "axes.facecolor": "black", "svg.fonttype": "path", "savefig.dpi": 50}):
        second = save(FIGURES[name][0](), tmp_path, name)
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    text = first[1].read_text(encoding="utf-8")
    assert "<dc:date>" not in text
    assert not re.search(r'(?:href|src)="(?!#|data:image/png;base64,)', text)


@pytest.mark.parametrize("name", FIGURES)
def test_no_letter_is_small_or_cut_off(name: str) -> None:
    figure = FIGURES[name][0]()
    figure.draw_without_rendering()
    size = figure.bbox
    texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_visible() and text.get_text().strip()]
    drawn = [text for text in texts if text.get_window_extent().width > 0]
    assert len(drawn) > 5
    for text in drawn:
        assert text.get_fontsize() >= SMALL_PT or "mathdefault" in text.get_text(), text.get_text()
    for axes in figure.findobj(matplotlib.axes.Axes):
        box = axes.get_tightbbox()
        if box is not None:
            assert box.x0 >= size.x0 - 2 and box.y0 >= size.y0 - 2, axes.get_title()
            assert box.x1 <= size.x1 + 2 and box.y1 <= size.y1 + 2, axes.get_title()


def test_a_failed_save_leaves_the_older_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    png, svg = save(_training(), tmp_path, "training")
    before = png.read_bytes()

    def fails(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr("OsteoScreenTrainingLib.evaluation.figures.style.os.replace", fails)
    with pytest.raises(OSError, match="no room"):
        save(_bland_altman(), tmp_path, "training")
    assert png.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [png, svg]


def test_series_differ_in_colour_line_and_marker_and_do_not_repeat() -> None:
    looks = [series(index) for index in range(6)]
    for key in ("color", "linestyle", "marker"):
        assert len({str(look[key]) for look in looks}) == 6
    assert line(0)["marker"] == ""
    with pytest.raises(ValueError, match="at most 6"):
        series(6)


# -- flow chart


@pytest.mark.parametrize(
    ("total", "included", "splits", "message"),
    [
        (1900, 1048, SPLITS, "less those excluded"),
        (1913, 1047, SPLITS, "less those excluded"),
        (1913, 1048, SPLITS[:2], "splits do not add up"),
        (1913, 1048, [*SPLITS[:2], ("Test", 418, {"normal": 251})], "classes of Test"),
    ],
)
def test_a_flow_chart_refuses_counts_that_do_not_add_up(
    total: int, included: int, splits: list[tuple[str, int, dict[str, int]]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        flow_chart(total, EXCLUDED, included, splits)


def test_a_flow_chart_without_exclusions_names_none(tmp_path: Path) -> None:
    _, svg = save(flow_chart(1048, [], 1048, SPLITS), tmp_path, "flow")
    assert not any("Excluded" in text for text in _texts(svg))
    assert "n = 1048" in _texts(svg)


# -- cohort


def test_prevalence_is_that_of_the_qct_criterion_by_decade_and_sex() -> None:
    upper = _cohort().axes[0]
    percent = {
        (container.get_label(), round(bar.get_x() + bar.get_width() / 2, 2)): bar.get_height()
        for container in upper.containers
        for bar in container
    }
    # Women of 40-49 have 121, 100, 79 and 60 mg/cm3; the one of 72 has 80.0, which is osteopenia.
    assert (percent["osteoporosis", 2.21], percent["osteopenia", 2.21]) == (50, 25)
    assert (percent["osteoporosis", 5.21], percent["osteopenia", 5.21]) == (0, 100)
    assert (percent["osteoporosis", 6.79], percent["osteopenia", 6.79]) == (100, 0)
    assert ("osteopenia", 0.21) not in percent
    counts = [label.get_text() for label in upper.get_xticklabels(minor=True)]
    assert counts[0] == "M\n2" and counts[5] == "F\n4" and counts[1] == "F\n0" and counts[-2] == "M\n1"


def test_bmd_has_our_mean_filled_and_the_papers_hollow() -> None:
    lower = _cohort().axes[1]
    points = {}
    for container in lower.containers:
        mark = container.lines[0]
        points[(round(mark.get_xdata()[0], 3), mark.get_markerfacecolor() == "white")] = mark.get_ydata()[0]
    assert points[(2.135, False)] == pytest.approx(90.0)
    assert points[(2.285, True)] == pytest.approx(162.76)
    assert points[(6.865, True)] == pytest.approx(38.85)
    # The sample SD of 121, 100, 79 and 60; the paper's one man of 95 years has none.
    reaches = sorted(
        (float(top - bottom) / 2 for bars in lower.collections for (_, bottom), (_, top) in bars.get_segments()),
        reverse=True,
    )
    assert reaches == pytest.approx([np.std([121, 100, 79, 60], ddof=1), 25.18, np.std([180, 170], ddof=1)])


def test_sizes_too_close_for_their_labels_leave_the_papers_in_place() -> None:
    sizes = [250, 280, 320, 1096]
    curve = LearningCurve("DCNN", sizes, [0.9] * 4, [0.8] * 4, [1.0] * 4)
    axes = learning_curve([curve], PaperDsc(300, 0.951, 0.030), PaperPlateau(300, 1096, 0.95, 0.004)).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["250", "300", "1096"]


def test_a_cohort_of_unequal_lengths_or_unknown_groups_is_refused() -> None:
    with pytest.raises(ValueError, match="one per subject"):
        cohort_by_age([30, 40], ["M"], [100], [], "ours")
    with pytest.raises(ValueError, match="M or F"):
        cohort_by_age([30], ["X"], [100], [], "ours")
    with pytest.raises(ValueError, match="no known decade"):
        cohort_by_age([30], ["M"], [100], [PaperBmd("30", "M", 1, 1)], "ours")
    assert len(DECADES) == 8


# -- curves


def test_a_roc_curve_has_the_area_of_the_ranks_with_ties() -> None:
    rng = np.random.default_rng(1)
    positive = rng.random(80) < 0.4
    score = np.round(positive + rng.normal(0, 1, 80), 0)
    false, true = roc._curve(positive, score)
    pairs = score[positive][:, None] - score[~positive][None]
    area = float(((false[1:] - false[:-1]) * (true[1:] + true[:-1]) / 2).sum())
    assert area == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)


def test_the_papers_operating_points_are_hollow_and_lie_where_it_prints_them() -> None:
    panel = _roc().axes[1]
    hollow = [mark for mark in panel.lines if mark.get_label() == "Paper, Model 1"]
    assert len(hollow) == 1
    assert hollow[0].get_markerfacecolor() == "white"
    assert (hollow[0].get_xdata()[0], hollow[0].get_ydata()[0]) == (pytest.approx(0.04), 0.716)


def test_roc_curves_refuse_what_does_not_fit_together() -> None:
    labels, scores = _scores()
    with pytest.raises(ValueError, match="every class"):
        roc.roc_curves(labels[:50], {"a": scores[:50]}, {"a": INTERVALS})
    with pytest.raises(ValueError, match="scores of a"):
        roc.roc_curves(labels, {"a": scores[:, :2]}, {"a": INTERVALS})
    with pytest.raises(ValueError, match="no AUC of a"):
        roc.roc_curves(labels, {"a": scores}, {})


def test_empty_bins_are_not_drawn() -> None:
    figure = _reliability()
    assert list(figure.axes[0].containers[0].lines[0].get_xdata()) == [0.2, 0.8]
    assert [bar.get_height() for bar in figure.axes[3].patches] == [20, 30, 20, 30]
    with pytest.raises(ValueError, match="bins of 2 classes"):
        reliability_diagram({"a": [ReliabilityBins([], [], [], [], [])] * 2})


def test_other_inputs_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="net benefit of a"):
        decision_curve([0.1, 0.2], {"a": [1]}, [1, 1])
    with pytest.raises(ValueError, match="not of the same subjects"):
        bland_altman([1, 2], [1], Limits((0, 0, 0), (0, 0, 0), (0, 0, 0)), "q", "u")
    with pytest.raises(ValueError, match="matrix of a"):
        confusion_matrices({"a": [[1, 2], [3, 4]]})
    with pytest.raises(ValueError, match="different lengths"):
        learning_curve([LearningCurve("a", [1, 2], [1], [1], [1])], PaperDsc(3, 0.9, 0.1), PaperPlateau(3, 9, 0.9, 0.1))
    with pytest.raises(ValueError, match="no example"):
        example_rows([])
    with pytest.raises(ValueError, match="example 2 differ"):
        example_rows([_example(), _example(ct=np.zeros((30, 40)))])


def test_row_percentages_of_a_matrix_and_an_empty_row() -> None:
    texts = [text.get_text() for text in _confusion().axes[0].texts]
    assert texts[:4] == ["9", "90.0 %", "1", "10.0 %"]
    assert texts[-2:] == ["0", "0.0 %"]


def test_a_mask_is_tinted_where_it_covers_half() -> None:
    row = _example(unet=np.full((40, 40), 0.4))
    axes = [places for places in example_rows([row]).findobj(matplotlib.axes.Axes) if len(places.images) == 2]
    tinted = [int((places.images[1].get_array()[..., 3] > 0).sum()) for places in axes]
    assert tinted == [int(row.reference.sum()), int(row.dcnn.sum()), 0]


def test_a_log_is_read_as_columns_and_drawn_where_it_has_values(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,loss,val_dsc\n10,0.5,\n20,,0.9\n30,0.25,\n", encoding="utf-8")
    columns = read_log(log)
    assert columns["step"].tolist() == [10, 20, 30]
    assert np.isnan(columns["val_dsc"]).tolist() == [True, False, True]
    loss, score = (axes.lines[0] for axes in training_curves(columns, {"val_dsc": "DSC"}).axes)
    assert (list(loss.get_xdata()), list(loss.get_ydata())) == ([10, 30], [0.5, 0.25])
    assert (list(score.get_xdata()), list(score.get_ydata())) == ([20], [0.9])
    with pytest.raises(KeyError):
        training_curves(columns, {"val_nothing": "x"})
    log.write_text("step,loss\n10,much\n", encoding="utf-8")
    with pytest.raises(ValueError, match="much"):
        read_log(log)
