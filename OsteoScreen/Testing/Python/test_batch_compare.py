"""Two sets side by side: the changed come first, and the statistics are those of a library that knows them."""

from __future__ import annotations

import csv
import dataclasses
import html
import json
import random
import re

import numpy as np
import pytest
from batch_pages import checked, filled_store
from batch_rows import rows, screened

from OsteoScreenLib.batch.compare import agreement, compare, differences, write_comparison_page
from OsteoScreenLib.batch.overview import write_comparison
from OsteoScreenLib.batch.store import ResultSet
from OsteoScreenLib.batch.study import BatchStudy, State, StudyRow
from OsteoScreenLib.errors import InputError, UsageError
from OsteoScreenLib.results import BONE_STATUSES


def test_kappa_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn comes with the training extra")
    rng = random.Random(3)
    before = [rng.choice(BONE_STATUSES) for _ in range(200)]
    after = [name if rng.random() < 0.7 else rng.choice(BONE_STATUSES) for name in before]
    found = agreement(zip(before, after, strict=True))
    labels = list(BONE_STATUSES)
    assert found.kappa == pytest.approx(metrics.cohen_kappa_score(before, after, labels=labels))
    weighted = metrics.cohen_kappa_score(before, after, labels=labels, weights="linear")
    assert found.weighted_kappa == pytest.approx(weighted)
    matrix = metrics.confusion_matrix(before, after, labels=labels)
    assert [[found.matrix[a][b] for b in labels] for a in labels] == matrix.tolist()


def test_kappa_where_it_is_not_defined():
    assert agreement([]).kappa is None and agreement([("normal", "normal")] * 3).kappa is None
    assert agreement([("normal", "normal"), ("osteopenia", "osteopenia")]).kappa == 1.0


def test_differences_are_mean_spread_and_limits():
    values = [1.0, -2.0, 4.0, 0.5]
    found = differences(values)
    assert found.mean == pytest.approx(np.mean(values)) and found.sd == pytest.approx(np.std(values, ddof=1))
    assert found.limits[1] - found.limits[0] == pytest.approx(3.92 * found.sd) and found.largest == 4.0
    assert differences([]) is None and differences([2.0]).sd is None


def study(name, state=State.SCREENED, **measures):
    return StudyRow(BatchStudy(name, "x"), state, measures={"status": "screened", **measures})


def test_changed_studies_come_first_and_the_farthest_of_them():
    def both(name, before, after, bmd=(100.0, 100.0)):
        values = [
            {"class": c, "qct_category": "osteopenia", "bmd_mg_cm3": b}
            for c, b in zip((before, after), bmd, strict=True)
        ]
        return study(name, **values[0]), study(name, **values[1])

    pairs = [
        both("same", "normal", "normal", (100.0, 101.0)),
        both("same but further", "normal", "normal", (100.0, 110.0)),
        both("one step", "normal", "osteopenia"),
        both("two steps", "normal", "osteoporosis"),
        (study("refused now", **{"class": "normal"}), study("refused now", State.REFUSED)),
        both("no class now", "normal", None),
    ]
    found = compare([one for one, _ in pairs], [other for _, other in pairs])
    order = [pair.id for pair in found.pairs]
    assert order == ["refused now", "two steps", "no class now", "one step", "same but further", "same"]
    assert [pair.id for pair in found.changed] == order[:4]
    assert found.classes("class").total == 4 and found.classes("category").total == 5
    assert found.bmd.count == 5 and found.bmd.largest == 10.0


def test_only_what_is_finished_in_both_is_compared():
    first = [study("a"), study("b"), study("c", State.WAITING), study("d")]
    second = [study("a"), study("c"), study("e"), study("d", State.RUNNING)]
    found = compare(first, second)
    assert [pair.id for pair in found.pairs] == ["a"] and (found.only_before, found.only_after) == (1, 2)


def test_discarded_results_are_compared_with_nothing():
    rng = random.Random(1)
    row = screened(1, rng)
    discarded = dataclasses.replace(row, measures={**row.measures, "status": "discarded"})
    found = compare([row], [discarded])
    assert found.bmd is None and found.classes("class").total == 0 and found.pairs[0].is_changed


def test_settings_that_differ_are_told_in_words_and_without_folders(tmp_path):
    settings = {"force": True, "write": ["csv", "pdf"], "calibration": "/home/DOE^JANE/ax17.json", "device": "cpu"}
    before = ResultSet("set-1", "1", "2026-01-02T03:04:05+00:00", settings, {}, [])
    after = ResultSet("set-2", "2", before.begun, {"force": False, "write": [], "device": "cpu"}, {}, [])
    text, _ = checked(write_comparison_page(compare([], []), before, after, tmp_path / "compare.html"))
    assert "<dt>force</dt><dd>first: yes<br>second: no</dd>" in text
    assert "<dt>write</dt><dd>first: csv, pdf<br>second: none</dd>" in text
    assert "<dt>calibration</dt><dd>first: ax17.json<br>second: none</dd>" in text
    assert "<dt>device</dt>" not in text and "DOE" not in text


def test_two_sets_of_a_store_make_a_page_and_a_table(tmp_path):
    store, (first, second) = filled_store(tmp_path, one=0.0, two=6.0)
    with store:
        page, table = write_comparison(store, first.id, second.id)
        with pytest.raises(UsageError, match="two sets"):
            write_comparison(store, first.id, first.id)
        with pytest.raises(InputError):
            write_comparison(store, first.id, "set-none")
    text, links = checked(page)
    with table.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    final = [row.study.id for row in rows(120) if row.state.is_final]
    assert sorted(line["id"] for line in lines) == sorted(final)
    changed = [line["changed"] for line in lines]
    assert changed == sorted(changed, reverse=True) and 0 < changed.count("yes") < len(changed)
    moved = {line["bmd_difference_mg_cm3"] for line in lines if line["bmd_difference_mg_cm3"]}
    assert all(0.0 <= float(value) < 5.0 for value in moved)
    assert f"{first.id}/" in links[0] and "kappa" in text and "vertebral-body-dcnn two" in text


def test_a_phone_shows_the_matrices_whole_and_parts_no_word_but_with_a_hyphen(chromium, tmp_path):
    store, (first, second) = filled_store(tmp_path, one=0.0, two=6.0)
    with store:
        page, _ = write_comparison(store, first.id, second.id)
    probe = (
        "<script>addEventListener('load', () => { const found = JSON.stringify([...document.querySelectorAll("
        "'.matrix')].map(one => [one.parentElement.clientWidth - one.scrollWidth, ...[...one.querySelectorAll("
        "'th')].map(cell => getComputedStyle(cell).overflowWrap)])); parent.postMessage(found, '*'); });</script>"
    )
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', probe, page.read_text(encoding="utf-8"))
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    frame = (
        "<pre></pre><script>addEventListener('message', said => document.querySelector('pre').textContent = said.data);"
        '</script><iframe src="page.html" style="width:390px;height:800px;border:0"></iframe>'
    )
    (tmp_path / "frame.html").write_text(frame, encoding="utf-8")
    dump = chromium("--virtual-time-budget=10000", "--dump-dom", (tmp_path / "frame.html").as_uri()).decode()
    matrices = json.loads(html.unescape(dump.split("<pre>")[1].split("</pre>")[0]))
    assert len(matrices) == 2
    for room, *wraps in matrices:
        assert room >= 0 and set(wraps) == {"normal"}
