"""The study from the command line: every table and figure, once and for all, after a kill too."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from sklearn.metrics import roc_auc_score

from OsteoScreenLib.cli import main
from OsteoScreenLib.results import BONE_STATUSES
from OsteoScreenTrainingLib.datasets.folder import DataSet
from OsteoScreenTrainingLib.datasets.manifest import MANIFEST, read_manifest
from OsteoScreenTrainingLib.datasets.splits import load_split
from OsteoScreenTrainingLib.simulation.cohort import CohortRequest, write_cohort
from OsteoScreenTrainingLib.study.beside_tables import verdict
from OsteoScreenTrainingLib.study.profiles import COMPARISONS, FULL, QUICK, load_profile
from Testing.Python.forked_commands import ForkedCommands

pytestmark = pytest.mark.slow(together=True)

#: Networks that learn next to nothing: what is tested is that everything is there, adds up and comes again.
TINY: dict[str, Any] = {
    "name": "tiny",
    "sizes": [8],
    "curve_slices": 4,
    "segmentation": {
        "steps": 60, "batch": 4, "network": {"parameters": {"base_width": 4}},
        "patches": {"size": 64, "outline_spacing_mm": [1.0, 1.3], "locate_spacing_mm": [2.4, 3.0]},
        "optimiser": {"learning_rate": 0.01, "average_decay": 0.9, "warmup_steps": 5},
        "precision": "float32", "threads": 1, "checkpoints": {"every_steps": 20},
    },
    "unet": {"network": {"parameters": {"base_width": 4}}},
    "classification": {
        "steps": 4, "batch": 8, "network": {"parameters": {"base_width": 2}}, "precision": "float32", "threads": 1,
        "classification": {"crop_spacing_mm": 1.8, "crop_size": 32}, "validation": {"every_steps": 0},
        "export_from": "last",
    },
    "comparisons": ["model1-balanced", "one-scanner-measured"],
}  # fmt: skip
#: What the study is asked for, by the names of its files.
TABLES = {
    "baselines", "bmd-agreement", "calibration", "ceiling", "comparisons", "figure-1-flow", "figure-4-prevalence",
    "figure-5-learning-curve", "hu-thresholds", "overall", "paper-and-ours", "paper-contradictions", "scanners",
    "segmentation", "subgroups", "table-1", "table-2", "table-3", "table-3-youden", "table-4",
}  # fmt: skip
FIGURES = {
    "bland-altman", "confusion", "decision-curve", "figure-1", "figure-4", "figure-5", "figure-6", "figure-7",
    "reliability",
}  # fmt: skip


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "cohort"
    write_cohort(folder, CohortRequest(count=40, seed=16))
    return folder


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "tiny.json"
    path.write_text(json.dumps(TINY), encoding="utf-8")
    return path


def words(cohort: Path, profile: Path, out: Path) -> list[str]:
    return [
        "study", "--data", str(cohort), "-o", str(out), "--profile", str(profile), "--device", "cpu", "--workers", "1",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def study(cohort: Path, profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "study"
    assert main(words(cohort, profile, out)) == 0
    return out


def table(study: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((study / "tables" / f"{name}.json").read_text(encoding="utf-8"))
    return rows


def test_every_table_and_figure_is_there_in_every_form(study):
    assert {path.stem for path in (study / "tables").glob("*.csv")} == TABLES
    assert {path.stem for path in (study / "tables").glob("*.json")} == TABLES
    assert {path.stem for path in (study / "figures").glob("*.png")} == FIGURES
    assert {path.stem for path in (study / "figures").glob("*.svg")} == FIGURES
    page = (study / "index.html").read_text(encoding="utf-8")
    shown = set(re.findall(r'(?:href|src)="(?:tables|figures)/([\w.-]+)"', page))
    assert shown >= {f"{name}.csv" for name in TABLES} | {f"{name}.png" for name in FIGURES}
    assert "there are no such people" in page
    assert page.count("Se: sensitivity") == page.count(">Se</th>") + 1  # the paper's numbers have it in their rows
    for name in TABLES:
        with open(study / "tables" / f"{name}.csv", newline="", encoding="utf-8") as file:
            assert len(list(csv.DictReader(file))) == len(table(study, name)) > 0


def test_the_flow_chart_counts_the_manifest(study, cohort):
    rows = {row["step"]: row["subjects"] for row in table(study, "figure-1-flow")}
    subjects = read_manifest(cohort / MANIFEST)
    assert rows["all subjects"] == len(subjects) == 40 + 33
    assert rows["excluded: the scan does not hold all of L2"] == sum(
        s.l2_z_mm is None and s.kvp == 120 and s.bmd is not None and (s.age_years or 0) >= 18 for s in subjects
    )
    assert rows["all subjects"] - rows["included"] == sum(v for k, v in rows.items() if k.startswith("excluded"))
    assert rows["included"] == rows["training"] + rows["validation"] + rows["test"] == 40


def test_the_split_is_temporal_and_saved_with_the_data_set(study, cohort):
    data = DataSet(cohort)
    split = load_split(data, "study-temporal-1")
    latest = max(str(data.subject(name).study_date) for name in [*split.parts["training"], *split.parts["validation"]])
    assert latest <= min(str(data.subject(name).study_date) for name in split.parts["test"])


def test_aucs_are_those_of_what_the_networks_said(study):
    said = json.loads((study / "stages" / "classify-model1.json").read_text(encoding="utf-8"))
    test = np.array(said["parts"]) == "test"
    logits = np.array(said["outputs"])[test] / (said["temperature"] or 1.0)
    truth = np.array(said["truth"])[test]
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    rows = {row["class"]: row for row in table(study, "table-3") if row["model"] == "model1" and row["part"] == "test"}
    assert set(rows) == set(BONE_STATUSES)
    for k, status in enumerate(BONE_STATUSES):
        assert rows[status]["auc"] == pytest.approx(roc_auc_score(truth == k, chances[:, k]), abs=1e-9)
        assert rows[status]["accuracy"] == pytest.approx(np.mean((chances.argmax(1) == k) == (truth == k)))


def test_the_ideal_observer_is_the_best_and_the_measured_bmd_follows_the_truth(study):
    rows = table(study, "ceiling")
    expected = {(row["observer"], row["class"]): row["expected_auc"] for row in rows}
    for status in BONE_STATUSES:
        assert expected["ideal observer", status] > expected["ideal observer of L1 alone", status] > 0.9
    agreement = {(row["measured_in"], row["against"]): row for row in table(study, "bmd-agreement")}
    drawn = agreement["the drawn outlines", "truth"]
    assert abs(drawn["bias"]) < 4
    assert drawn["sd"] < 6
    assert agreement["the drawn outlines", "reference"]["sd"] > drawn["sd"]


def test_a_network_of_one_scanner_is_judged_on_the_others(study, cohort):
    said = json.loads((study / "stages" / "classify-one-scanner-measured.json").read_text(encoding="utf-8"))
    data = DataSet(cohort)
    config = json.loads((study / "runs" / "one-scanner-measured" / "config.json").read_text(encoding="utf-8"))
    assert config["classification"]["scanner"] == said["trained_on"]
    assert said["trained_on"] not in {data.subject(name).scanner for name in said["subjects"]}
    assert {row["classifier"] for row in table(study, "scanners")} == {"one-scanner-measured"}


def test_the_networks_are_bundles_that_screen(study):
    assert main(["models", "verify", str(study / "runs" / "model1" / "bundle")]) == 0
    assert main(["models", "verify", str(study / "runs" / "dcnn" / "bundle")]) == 0


def test_killed_in_the_middle_it_goes_on_to_the_same_tables(study, cohort, profile, tmp_path, forked):
    out = tmp_path / "killed"
    for awaited in ("runs/dcnn/checkpoints/step-*", "stages/classify-model1.json"):
        process = forked.start(words(cohort, profile, out))
        await_it(lambda name=awaited: any(out.glob(name)), process, forked)
        os.kill(process, signal.SIGKILL)
        assert forked.end() == -signal.SIGKILL
        assert not (out / "index.html").exists()
    assert main(words(cohort, profile, out)) == 0
    assert (out / "results.json").read_bytes() == (study / "results.json").read_bytes()


def await_it(happened: Callable[[], bool], process: int, forked: ForkedCommands) -> None:
    deadline = time.monotonic() + 1200
    while not happened():
        running = psutil.Process(process).status() != psutil.STATUS_ZOMBIE
        assert running and time.monotonic() < deadline, forked.said()[-2000:]
        time.sleep(0.02)


def test_a_terminated_training_ends_the_study_with_a_sentence_and_goes_on(cohort, profile, tmp_path, forked):
    out = tmp_path / "stopped"
    slow = json.loads(profile.read_text(encoding="utf-8"))
    slow["segmentation"]["steps"] = 5000
    (tmp_path / "slow.json").write_text(json.dumps(slow), encoding="utf-8")
    process = forked.start(words(cohort, tmp_path / "slow.json", out))
    log = out / "runs" / "dcnn-00008-0" / "log.csv"
    await_it(lambda: log.exists() and len(log.read_text(encoding="utf-8").splitlines()) > 1, process, forked)
    os.kill(process, signal.SIGTERM)
    assert forked.end() == 0
    assert "was stopped; the same command goes on with it" in forked.said()
    assert not list((out / "stages").glob("segment-*"))
    assert not (out / "runs" / "dcnn-00008-0" / "bundle").exists()


def test_a_folder_belongs_to_one_study(study, cohort, profile, tmp_path, capsys):
    assert main([*words(cohort, profile, study), "--seed", "2"]) == 2
    assert "differs in seed" in capsys.readouterr().err
    other = tmp_path / "other.json"
    other.write_text(json.dumps(TINY | {"curve_slices": 5}), encoding="utf-8")
    assert main(words(cohort, other, study)) == 2
    assert "differs in profile" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me", encoding="utf-8")
    assert main(words(cohort, profile, tmp_path / "mine")) == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"size": [3]}, "some of"),
        ({"comparisons": ["model3"]}, "model3"),
        ({"segmentation": {"stesp": 3}}, "Did you mean 'steps'"),
        ({"classification": {"classification": {"hu": "raw"}}}, "hu must be one of"),
        ([], "JSON object"),
    ],
)
def test_a_wrong_profile_is_named_before_anything_is_trained(values, said, cohort, tmp_path, capsys):
    (tmp_path / "p.json").write_text(json.dumps(values), encoding="utf-8")
    assert main(words(cohort, tmp_path / "p.json", tmp_path / "out")) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_such_profile(cohort, tmp_path, capsys):
    assert main(words(cohort, Path("fast"), tmp_path / "out")) == 2
    assert "quick and full" in capsys.readouterr().err


def test_the_full_profile_is_the_papers():
    segmentation = FULL.segmentation_config(0, 1, "temporal")
    classification = FULL.classification_config(FULL.variants()[0], 1, "temporal", "bundle")
    for config in (segmentation, classification):
        assert (config.batch, config.optimiser.name, config.optimiser.learning_rate) == (64, "sgd", 0.001)
    assert segmentation.patches.size == 512
    assert segmentation.steps == 500 * 17
    assert classification.network == {"name": "resnet101", "parameters": {"in_channels": 2, "base_width": 64}}
    assert classification.classification.crop_spacing_mm == 0
    assert classification.steps == 500 * 9
    model2 = FULL.classification_config(FULL.variants()[1], 1, "temporal", "bundle")
    assert model2.network["parameters"]["in_channels"] == 1


def test_every_comparison_differs_from_its_model_in_what_it_says():
    own = {variant.name: QUICK.classification_config(variant, 1, "s", "b") for variant in QUICK.variants()}
    for variant in COMPARISONS:
        same = own[variant.name] == own[variant.model]
        assert same == (not variant.changes)
    assert load_profile("quick") is QUICK


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("Model 1", "normal", 0.01, 0.2)], "No network differs"),
        ([("Model 1", "normal", 0.01, 0.01)], "Better than the measured BMD at P < .05: Model 1 for normal."),
        ([("Model 2", "normal", -0.01, 0.01)], "No network is better than the mean HU"),
    ],
)
def test_the_page_says_plainly_whether_a_network_beats_the_mean_hu(rows, said):
    values = [["measured BMD", "normal", 0.9, 0.8, 1.0, 0.9, None, None]]
    values += [[model, status, 0.9, 0.8, 1.0, 0.9, difference, p] for model, status, difference, p in rows]
    assert said in verdict(values)
