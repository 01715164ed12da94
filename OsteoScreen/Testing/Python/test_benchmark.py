"""The benchmark: it screens a phantom for real, cold and warm, and says how that compares with the least possible."""

from __future__ import annotations

import json

import numpy as np
import pytest

from OsteoScreenLib import benchmark, benchmark_suggesting
from OsteoScreenLib.benchmark_phantom import SLICE_MM, phantom_slice, write_phantom
from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.models import default_bundle


def test_the_phantom_is_a_ct_series_like_any_other(tmp_path):
    heights = write_phantom(tmp_path, 6)
    ct = open_ct(tmp_path)
    assert ct.geometry.shape == (6, 512, 512)
    assert [ct.geometry.slice_z(k) for k in range(6)] == pytest.approx(heights)
    assert heights[1] - heights[0] == SLICE_MM
    np.testing.assert_array_equal(ct.slice(0), phantom_slice(0))
    assert ct.decoded_slices == 1


@pytest.mark.slow
def test_it_measures_a_study_against_its_floor(monkeypatch, capsys):
    if default_bundle("segmentation") is None:
        pytest.skip("no segmentation bundle is installed")
    # Small, not fake: the same steps on fewer slices and in fewer rounds.
    for name, value in {
        "PHANTOM_SLICES": (44, 88), "WARM_ROUNDS": 1, "COLD_ROUNDS": 1, "HEADER_ROUNDS": 1, "BATCHES": (1, 2),
        "THROUGHPUT_S": 0.1,
    }.items():  # fmt: skip
        monkeypatch.setattr(benchmark, name, value)
    monkeypatch.setattr(benchmark_suggesting, "SLICES", 60)
    monkeypatch.setattr(benchmark_suggesting, "ROUNDS", 1)
    cold, in_child = [], benchmark.screen_in_child

    def screen_in_child(scan, out, *words, **options):
        told = in_child(scan, out, *words, **options)
        cold.append(json.loads((out / "result.json").read_text(encoding="utf-8"))["timing_s"]["total"])
        return told

    monkeypatch.setattr(benchmark, "screen_in_child", screen_in_child)
    assert main(["benchmark", "--json", "--device", "cpu"]) == 0
    measured = json.loads(capsys.readouterr().out)
    study = measured["study"]
    assert study["floor_s"]["total"] == pytest.approx(study["floor_s"]["decode"] + study["floor_s"]["forward"])
    assert min(study["floor_s"].values()) > 0
    assert study["total_over_floor"] == pytest.approx(study["warm_s"]["total"] / study["floor_s"]["total"])
    assert study["warm_s"]["total"] > study["warm_s"]["segment"] > 0
    assert len(study["forward_passes"]) >= 4
    assert study["decoded_slices"] <= 6, "screening two slices must not decode the others"
    assert measured["cold"]["total_s"] > cold[0] > 0, "a process takes longer than its screening"
    assert [row["slices"] for row in measured["headers"]] == [44, 88]
    suggesting = measured["suggesting"]
    assert suggesting["slices"] == 60
    assert 0 < suggesting["suggest_s"] < suggesting["process_s"]
    assert {row["batch"] for row in measured["throughput"]} == {1, 2}


def test_a_ct_is_given_with_its_levels_or_not_at_all(capsys):
    assert main(["benchmark", "--ct", "somewhere"]) == 2
    assert "go together" in capsys.readouterr().err
