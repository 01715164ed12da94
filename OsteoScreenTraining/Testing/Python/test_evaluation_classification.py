"""``osteoscreen evaluate classification``: what a bundle scores, beside the BMD measured in the same bone."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from OsteoScreenLib.cli import main
from OsteoScreenLib.results import BONE_STATUSES
from OsteoScreenTrainingLib.datasets.folder import DataSet
from OsteoScreenTrainingLib.datasets.splits import load_split


@pytest.fixture(scope="module")
def bundle(subject_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle trained for some steps on subjects whose classes are far apart."""
    folder = tmp_path_factory.mktemp("bundle")
    config: dict[str, Any] = {
        "task": "classification",
        "network": {"parameters": {"in_channels": 2, "base_width": 4}},
        "steps": 60, "batch": 8, "precision": "float32", "device": "cpu", "export_from": "last",
        "classification": {"masks": "drawn", "crop_spacing_mm": 1.0, "crop_size": 32, "noise_hu": 5.0},
        "optimiser": {"learning_rate": 0.01, "warmup_steps": 5, "average_decay": 0.8},
        "validation": {"split": "random", "every_steps": 0},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    words = ["train", "classification", "--data", str(subject_set), "-o", str(folder / "run")]
    assert main([*words, "--config", str(folder / "config.json")]) == 0
    return folder / "run" / "bundle"


def evaluate(subject_set: Path, bundle: Path, out: Path, *more: str) -> int:
    words = ["evaluate", "classification", "--data", str(subject_set), "--model", str(bundle), "-o", str(out)]
    return main([*words, "--segmentation-model", "drawn", *more])


def test_cases_summary_and_curves_agree(subject_set, bundle, tmp_path, capsys):
    assert evaluate(subject_set, bundle, tmp_path / "out") == 0
    said = capsys.readouterr().out
    with open(tmp_path / "out" / "cases.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert len(rows) == summary["subjects"] == 32
    assert summary["not_classified"] == 0
    for status in BONE_STATUSES:
        labels = [row["class"] == status for row in rows]
        auc = roc_auc_score(labels, [float(row[status]) for row in rows])
        assert summary["score"]["classes"][status]["auc"]["value"] == pytest.approx(auc, abs=1e-9)
        assert f"{status:13} AUC {auc:.4f}" in said
    right = sum(row["class"] == row["category"] for row in rows)
    assert summary["score"]["overall"]["accuracy"]["value"] == pytest.approx(right / 32)
    assert right > 24  # the classes are far apart
    for row in rows:
        assert float(row["measured_bmd"]) == pytest.approx(float(row["reference_bmd"]), abs=5)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "cases.csv", "cases.json", "summary.json", "roc.png", "roc.svg", "reliability.png", "reliability.svg",
    }  # fmt: skip


def test_the_test_part_of_a_split_alone(subject_set, bundle, tmp_path):
    assert evaluate(subject_set, bundle, tmp_path / "out", "--split", "random") == 0
    cases = json.loads((tmp_path / "out" / "cases.json").read_text(encoding="utf-8"))
    assert {case["subject"] for case in cases} == set(load_split(DataSet(subject_set), "random").parts["test"])


def test_who_cannot_be_classified_is_told_and_counted(
    make_subject_set: Callable[..., Path], subjects_of: Callable[..., Any], bundle: Path, tmp_path: Path
):
    import numpy as np

    folder = make_subject_set(tmp_path / "set", subjects_of())
    masks = np.load(folder / "slices" / "masks.npy", mmap_mode="r+")
    masks[4] = 0  # L1 of the third subject
    masks.flush()
    assert evaluate(folder, bundle, tmp_path / "out") == 0
    cases = json.loads((tmp_path / "out" / "cases.json").read_text(encoding="utf-8"))
    assert [case["subject"] for case in cases if case["problem"]] == ["P003"]
    assert cases[2]["normal"] is None
    assert json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["not_classified"] == 1


def test_what_makes_no_sense_is_refused(subject_set, bundle, tmp_path, capsys):
    out = str(tmp_path / "out")
    two = ["--data", str(subject_set), str(subject_set), "--model", str(bundle), "-o", out]
    assert main(["evaluate", "classification", *two]) == 2
    assert "one data set" in capsys.readouterr().err
    assert evaluate(subject_set, bundle, tmp_path / "out", "--split", "nobody") == 4
    assert "dataset split" in capsys.readouterr().err
    wrong = ["--data", str(subject_set), "--model", "vertebral-body-dcnn", "-o", out]
    assert main(["evaluate", "classification", *wrong]) == 5
    assert not (tmp_path / "out").exists()
