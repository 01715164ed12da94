"""The side-by-side benchmark: what it counts is what is run, and its table says it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

BENCHMARKS = Path(__file__).resolve().parent / "benchmarks"
SAMPLE = BENCHMARKS.parents[1] / "OsteoScreen/Resources/SampleData/OsteoScreenSimulatedCT.nrrd"


@pytest.fixture(autouse=True)
def _beside(monkeypatch):
    # The benchmark is a command: its files find each other as those of a script do.
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in ("side_by_side", "usual_route", "our_networks"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "count"),
    [
        ((100, 300, 300), (1.5, 0.64, 0.64), 1),  # 192 mm are 128 voxels: one patch, and the short side is padded
        ((300, 512, 512), (2.0, 0.7, 0.7), 36),  # 400, 239 and 239 voxels: 4, 3 and 3 patches
    ],
)
def test_the_patches_cover_the_scan(shape, spacing_mm, count):
    from usual_route import tiles

    assert tiles(shape, spacing_mm) == count


def test_the_usual_networks_are_the_size_of_the_known_ones():
    pytest.importorskip("dynamic_network_architectures", reason="pip install --no-deps dynamic-network-architectures")
    from usual_route import PATCH, network

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        vertebrae = network(27)
        shown = vertebrae(torch.empty(1, 1, PATCH, PATCH, PATCH))
    assert shown.shape == (1, 27, PATCH, PATCH, PATCH)
    # What nnU-Net's plain network of this patch is known for: some 31 million parameters and 0.5 TFLOPs multiply-adds.
    assert sum(parameter.numel() for parameter in vertebrae.parameters()) == pytest.approx(31e6, rel=0.03)
    assert counter.get_total_flops() / 2 == pytest.approx(0.5e12, rel=0.15)


def test_every_pass_of_a_screening_is_counted():
    from our_networks import passes_of_screening

    counted = passes_of_screening(str(SAMPLE), "-413.33", "-440.33")
    # Of each level a coarse and a fine pass, and one of the classifier.
    assert counted["passes"] == 5
    # At most twice what outlining a slice takes (below); the sample's slices are smaller than those counted there.
    assert 5e9 < counted["flops"] < 2 * 9.9e9


def test_the_networks_are_measured_beside_each_other():
    from our_networks import outlining

    measured = outlining(["study_segmentation", "unet"], rounds=1)
    assert measured["study_segmentation"]["flops"] == pytest.approx(9.9e9, rel=0.02)
    assert measured["unet"]["flops"] == pytest.approx(9.0e9, rel=0.02)
    assert all(one["seconds"] > 0 for one in measured.values())


def test_the_table_says_what_was_measured():
    from side_by_side import table

    one = {"seconds": 0.1, "flops": 1e9, "peak_mib": 400.0}
    usual = {"tiles": 36, "passes": 180, "seconds": 1200.0, "flops": 2e14, "vertebrae_seconds": 240.0,
             "vertebrae_flops": 4e13, "peak_mib": 2000.0}  # fmt: skip
    told = table(
        {
            "ct": {"shape": [300, 512, 512], "spacing_mm": [0.7, 0.7, 2.0]},
            "screening": {"seconds": 3.0, "peak_mib": 500.0},
            "screening_auto": {"seconds": 4.0, "peak_mib": None},
            "screening_passes": {"passes": 5, "flops": 1e10},
            "outlining": {"unet": one},
            "usual": usual,
        }
    )
    assert "| 20 min | 180 | 2e+14 | 2000 MiB |" in told
    assert "400 times the time, 20000 times the FLOPs" in told


def test_half_a_ct_is_refused(capsys):
    from side_by_side import main

    with pytest.raises(SystemExit, match="go together"):
        main(["--ct", str(SAMPLE)])
