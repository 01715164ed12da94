"""The study's figures, one by one: they show the numbers that they were given, and refuse what does not fit."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import matplotlib.text
import numpy as np
import pytest

from OsteoScreenTrainingLib.figures import roc
from OsteoScreenTrainingLib.figures.bland_altman import Limits, bland_altman
from OsteoScreenTrainingLib.figures.cohort import DECADES, PaperBmd, cohort_by_age
from OsteoScreenTrainingLib.figures.confusion import confusion_matrices
from OsteoScreenTrainingLib.figures.decision_curve import decision_curve
from OsteoScreenTrainingLib.figures.examples import example_rows
from OsteoScreenTrainingLib.figures.flow_chart import flow_chart
from OsteoScreenTrainingLib.figures.learning_curve import (
    LearningCurve,
    PaperDsc,
    PaperPlateau,
    learning_curve,
)
from OsteoScreenTrainingLib.figures.reliability import ReliabilityBins, reliability_diagram
from OsteoScreenTrainingLib.figures.style import save
from Testing.Python.drawn_figures import (
    EXCLUDED,
    INTERVALS,
    SPLITS,
    a_cohort,
    a_reliability_diagram,
    a_roc,
    an_example,
    confusions,
    some_scores,
    texts,
)

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
    assert not any("Excluded" in text for text in texts(svg))
    assert "n = 1048" in texts(svg)


# -- cohort


def test_prevalence_is_that_of_the_qct_criterion_by_decade_and_sex() -> None:
    upper = a_cohort().axes[0]
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
    lower = a_cohort().axes[1]
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
    panel = a_roc().axes[1]
    hollow = [mark for mark in panel.lines if mark.get_label() == "Paper, Model 1"]
    assert len(hollow) == 1
    assert hollow[0].get_markerfacecolor() == "white"
    assert (hollow[0].get_xdata()[0], hollow[0].get_ydata()[0]) == (pytest.approx(0.04), 0.716)


def test_roc_curves_refuse_what_does_not_fit_together() -> None:
    labels, scores = some_scores()
    with pytest.raises(ValueError, match="every class"):
        roc.roc_curves(labels[:50], {"a": scores[:50]}, {"a": INTERVALS})
    with pytest.raises(ValueError, match="scores of a"):
        roc.roc_curves(labels, {"a": scores[:, :2]}, {"a": INTERVALS})
    with pytest.raises(ValueError, match="no AUC of a"):
        roc.roc_curves(labels, {"a": scores}, {})


def test_empty_bins_are_not_drawn() -> None:
    figure = a_reliability_diagram()
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
        example_rows([an_example(), an_example(ct=np.zeros((30, 40)))])


def test_row_percentages_of_a_matrix_and_an_empty_row() -> None:
    texts = [text.get_text() for text in confusions().axes[0].texts]
    assert texts[:4] == ["9", "90.0 %", "1", "10.0 %"]
    assert texts[-2:] == ["0", "0.0 %"]


def test_a_mask_is_tinted_where_it_covers_half() -> None:
    row = an_example(unet=np.full((40, 40), 0.4))
    axes = [places for places in example_rows([row]).findobj(matplotlib.axes.Axes) if len(places.images) == 2]
    tinted = [int((places.images[1].get_array()[..., 3] > 0).sum()) for places in axes]
    assert tinted == [int(row.reference.sum()), int(row.dcnn.sum()), 0]
