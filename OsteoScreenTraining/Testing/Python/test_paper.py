"""The paper's numbers: what recomputes does so to the printed digits, and what does not is on record as such."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from OsteoScreenLib.results import BONE_STATUSES
from OsteoScreenTrainingLib.paper import MODELS, SPLITS, paper
from OsteoScreenTrainingLib.statistics.cohort_tests import (
    Group,
    anova,
    chi_square,
    pooled,
    t_test,
    welch_test,
)
from OsteoScreenTrainingLib.statistics.delong import Auc, unpaired_test
from OsteoScreenTrainingLib.statistics.multiclass import multiclass_metrics, one_vs_rest

RATES = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
#: The four of 90 rates in Table 3 that are not the rounded ones of their confusion matrix, and those: two are cut off
#: instead of rounded, two are misprints.
MISPRINTED = {
    ("model1", "training", "normal", "specificity"): (0.972, 0.973),
    ("model2", "training", "normal", "accuracy"): (0.969, 0.970),
    ("model2", "training", "osteopenia", "accuracy"): (0.967, 0.966),
    ("model1", "validation", "osteopenia", "npv"): (0.242, 0.925),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("status", BONE_STATUSES)
def test_table_3_recomputes_from_the_confusion_matrices(model, split, status):
    found = one_vs_rest(paper().confusion[model, split], BONE_STATUSES.index(status))
    printed = paper().performance[model, split, status]
    for rate in RATES:
        stated, recomputed = getattr(printed, rate), round(getattr(found, rate).value, 3)
        assert MISPRINTED.get((model, split, status, rate), (stated, stated)) == (stated, recomputed)


def test_the_matrices_have_the_class_sizes_of_table_2():
    for (_, split), matrix in paper().confusion.items():
        described = paper().sets[split]
        assert matrix.sum(axis=1).tolist() == list(described.classes.values())
        assert matrix.sum() == described.n == described.men + described.women
    with pytest.raises(ValueError, match="read-only"):
        paper().confusion["model1", "test"][0, 0] = 1


def test_three_classes_at_once_on_the_test_set():
    expected = {"model1": (0.892, 0.874, 0.852, 0.899), "model2": (0.866, 0.819, 0.817, 0.869)}
    for model in MODELS:
        found = multiclass_metrics(paper().confusion[model, "test"])
        values = (found.accuracy.value, found.balanced_accuracy, found.macro_f1, found.quadratic_kappa)
        assert tuple(round(value, 3) for value in values) == expected[model]


def test_aucs_lie_in_their_intervals_but_for_the_misprinted_one():
    outside = [key for key, block in paper().performance.items() if not block.low <= block.auc <= block.high]
    assert outside == [("model2", "validation", "osteopenia")]
    test = paper().performance["model1", "test", "normal"]
    assert (test.low + test.high) / 2 == pytest.approx(0.9895)
    assert (test.auc, paper().comparisons["normal"].auc1) == (0.989, 0.990)


def test_the_p_of_table_4_are_those_of_its_z():
    printed = {"normal": (2.139, 3), "osteopenia": (1.247, 2), "osteoporosis": (0.603, 3)}
    for status, row in paper().comparisons.items():
        z, digits = printed[status]
        assert row.z == z
        assert round(2 * stats.norm.sf(z), digits) == pytest.approx(row.p, abs=0.0011)
        # On the same subjects: unpaired, the differences are far from as clear.
        blocks = [paper().performance[model, "test", status] for model in MODELS]
        aucs = [Auc(b.auc, (b.high - b.low) / 2 / 1.959964, b.low, b.high, 1, 1) for b in blocks]
        assert 0 < unpaired_test(*aucs).z < row.z


def test_sex_by_age_by_set_and_class_by_set():
    by_age = chi_square([[group.men.n, group.women.n] for group in paper().age_groups])
    assert (round(by_age.chi2, 3), by_age.df, round(by_age.p, 5)) == (22.913, 7, 0.00177)
    sets = [paper().sets[split] for split in SPLITS]
    sex = chi_square([[part.men, part.women] for part in sets])
    assert (round(sex.chi2, 4), sex.df, round(sex.p, 3)) == (0.8619, 2, 0.650)
    classes = chi_square([list(part.classes.values()) for part in sets])
    assert (round(classes.chi2, 4), classes.df, round(classes.p, 3)) == (0.9939, 4, 0.911)
    assert paper().set_tests["sex"].statistic == round(sex.chi2, 3)
    assert paper().set_tests["classes"].statistic == round(classes.chi2, 3)
    assert paper().age_tests["sex_by_age"].statistic == round(by_age.chi2, 2)


def test_the_t_tests_of_table_1_as_far_as_they_recompute():
    """Of seven only the first is the pooled t of the printed means and SDs, and the second is Welch's."""
    rows = [group for group in paper().age_groups if group.t_test]
    students = [t_test(group.women, group.men) for group in rows]
    welchs = [welch_test(group.women, group.men) for group in rows]
    printed = [group.t_test.statistic for group in rows]
    assert printed == [0.814, 4.174, 6.899, 0.470, -0.704, -6.141, -1.018]
    assert students[0].t == pytest.approx(printed[0], abs=0.002)
    assert students[0].p == pytest.approx(0.419, abs=0.001)
    assert welchs[1].t == pytest.approx(printed[1], abs=0.002)
    assert students[1].t == pytest.approx(4.150, abs=0.0005)
    assert students[1].p < 0.001 and welchs[1].p < 0.001
    assert [round(test.t, 3) for test in students[2:]] == [7.331, 0.996, -0.817, -5.950, -0.938]
    for student, welch, stated in zip(students[2:], welchs[2:], printed[2:], strict=True):
        assert abs(student.t - stated) > 0.05 and abs(welch.t - stated) > 0.05
        # The conclusions stand all the same.
        assert (student.p < 0.05) == (stats.norm.sf(abs(stated)) < 0.025)


def test_the_analyses_of_variance_as_close_as_rounding_lets_them():
    sets = [paper().sets[split] for split in SPLITS]
    age, bmd = anova([part.age for part in sets]), anova([part.bmd for part in sets])
    assert (round(age.f, 3), round(age.p, 3)) == (0.253, 0.776)
    assert paper().set_tests["age"].statistic == 0.255
    # Means rounded to 0.01 leave F open by about 2 %: the printed one is possible.
    moved = [
        Group(part.age.mean + shift, part.age.sd, part.n) for part, shift in zip(sets, (-0.005, 0, 0.005), strict=True)
    ]
    assert anova(moved).f > 0.255
    assert bmd.f == pytest.approx(0.0845, abs=0.0001)
    assert round(bmd.p, 3) == 0.919
    assert paper().set_tests["bmd"].statistic == 0.084
    for who in ("men", "women"):
        found = anova([getattr(group, who) for group in paper().age_groups])
        assert found.f == pytest.approx(paper().age_tests[who].statistic, abs=0.01)
        assert (found.df_between, found.p < 0.001) == (7, True)


def test_table_1_gives_the_overall_bmd_of_table_2_once_two_misprints_are_mended():
    overall = paper().sets["overall"].bmd
    averages = []
    for group in paper().age_groups:
        both = pooled([group.men, group.women])
        assert both.n == group.average.n
        assert both.mean == pytest.approx(group.average.mean, abs=0.011)
        averages.append(both)
        if group.age == "30-39":
            assert (group.average.sd, round(both.sd, 2)) == (28.26, 27.26)
        elif group.age == ">=90":
            assert (group.average.sd, round(both.sd, 2)) == (20.80, 0.11)
        else:
            assert both.sd == pytest.approx(group.average.sd, abs=0.011)
    everyone = pooled(averages)
    assert (round(everyone.mean, 2), round(everyone.sd, 2), everyone.n) == (overall.mean, overall.sd, 1048)
    assert anova(averages).f == pytest.approx(paper().age_tests["average"].statistic, abs=0.2)


def test_other_sums_that_do_not_come_out_are_on_record():
    recorded = " ".join(f"{entry.where}: {entry.correct} {entry.why}" for entry in paper().contradictions)
    sets = [paper().sets[split] for split in SPLITS]
    age, bmd = pooled([part.age for part in sets]).mean, pooled([part.bmd for part in sets]).mean
    classes = pooled([entry.summary for entry in paper().class_bmd.values()])
    over_70 = t_test(Group(92.18, 34.54, 59), Group(65.07, 25.43, 69))
    for value in (f"{age:.2f}", f"{bmd:.2f}", f"{classes.mean:.2f}", f"{over_70.t:.3f}"):
        assert value in recorded
    assert (round(age, 2), round(bmd, 2), round(classes.mean, 2)) == (51.31, 130.44, 135.35)
    counts = np.array(list(paper().sets["overall"].classes.values()))
    assert (counts / 10.48).round(1).tolist() == [59.3, 28.2, 12.5]
    assert "59.3 / 28.2 / 12.5" in recorded
    assert all(f"{right:.3f}" in recorded for _, right in MISPRINTED.values())
    assert all(entry.where and entry.printed and entry.correct and entry.why for entry in paper().contradictions)


def test_the_segmentation_and_the_sums_of_the_cohort():
    assert (paper().dsc.mean, paper().dsc.sd, paper().dsc.training_images) == (0.951, 0.030, (300,))
    assert (paper().dsc_range.mean, paper().dsc_range.training_images) == (0.95, (300, 1096))
    assert sum(paper().images.values()) == 2096 == 2 * paper().sets["overall"].n
    assert sum(group.men.n for group in paper().age_groups) == paper().sets["overall"].men
    assert sum(paper().sets[split].n for split in SPLITS) == 1048
    normal, osteopenia, osteoporosis = (paper().class_bmd[status] for status in BONE_STATUSES)
    assert osteoporosis.largest < 80 <= osteopenia.smallest and osteopenia.largest <= 120 < normal.smallest
    assert paper() is paper()
