"""The README's first command, as a new user meets it: simulate, screen, page."""

from __future__ import annotations

import json
import shutil

import pytest

from OsteoScreenLib.cli import main
from OsteoScreenLib.models import default_bundle
from OsteoScreenTrainingLib.simulation.study import SCHEMA, simulate_study

pytestmark = pytest.mark.slow(together=True)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    if default_bundle("segmentation") is None:
        pytest.skip("no segmentation bundle is installed")
    folder = tmp_path_factory.mktemp("demo") / "out"
    assert main(["demo", "-o", str(folder), "--device", "cpu"]) == 0
    return folder


def test_it_screens_both_levels_where_they_are(demo):
    truth = json.loads((demo / "truth.json").read_text())
    result = json.loads((demo / "result.json").read_text())
    assert truth["schema"] == SCHEMA
    assert result["status"] == "screened"
    for name in ("L1", "L2"):
        assert result["levels"][name]["slice_index"] == truth["levels"][name]["slice_index"]
        centre = result["roi"][name]["centroid_ras_mm"]
        x, y, _ = truth["levels"][name]["centre_ras_mm"]
        assert abs(centre[0] - x) < 5
        assert abs(centre[1] - y) < 5
        area = truth["levels"][name]["trabecular_area_mm2"]
        assert result["roi"][name]["outline_area_mm2"] == pytest.approx(area, rel=0.15)


def test_it_measures_the_density_that_was_simulated(demo):
    truth = json.loads((demo / "truth.json").read_text())
    measured = json.loads((demo / "result.json").read_text())["densitometry"]
    for name in ("L1", "L2"):
        assert measured["bmd_mg_cm3"][name] == pytest.approx(
            truth["levels"][name]["bmd_mg_cm3"], abs=2 * measured["calibration"]["uncertainty_mg_cm3"]
        )


def test_it_leaves_a_page_and_says_where(demo, capsys):
    assert "<html" in (demo / "report.html").read_text(encoding="utf-8")
    (demo / "mine.txt").write_text("mine")
    assert main(["demo", "-o", str(demo), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert str((demo / "report.html").resolve()) in said
    assert "simulated" in said
    assert (demo / "mine.txt").read_text() == "mine"


def test_it_never_replaces_a_series_that_it_did_not_write(tmp_path, capsys):
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "scan.dcm").write_bytes(b"somebody's scan")
    assert main(["demo", "-o", str(tmp_path)]) == 2
    assert "name another folder with -o" in capsys.readouterr().err
    assert (tmp_path / "ct" / "scan.dcm").read_bytes() == b"somebody's scan"
    shutil.rmtree(tmp_path / "ct")


def test_what_cannot_be_written_to_is_told_before_anything_is_simulated(tmp_path, capsys):
    (tmp_path / "file").write_text("a file")
    assert main(["demo", "-o", str(tmp_path / "file" / "out")]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"osteoscreen: {tmp_path / 'file'} is not a folder")
    assert shown.count("\n") == 1


def test_the_same_seed_gives_the_same_study(tmp_path, monkeypatch):
    from OsteoScreenTrainingLib.simulation import study

    # Thick slices: what is tested is that nothing but the seed decides.
    monkeypatch.setattr(study, "SLICE_MM", 20.0)
    files = []
    for name in ("a", "b"):
        simulated = simulate_study(tmp_path / name, 5, bmd_mg_cm3=90)
        files.append([path.read_bytes() for path in sorted(simulated.series.iterdir())])
        assert simulated.truth["levels"]["L1"]["bmd_mg_cm3"] > 0
    assert files[0] == files[1]
