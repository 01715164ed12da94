"""How a training goes is read from its folder, quickly, and whatever state it is in."""

from __future__ import annotations

import json
import math
import os
import random
import time
from pathlib import Path

import pytest

from OsteoScreenTrainingLib.control import runs
from OsteoScreenTrainingLib.control.runs import RunProgress, read_run
from OsteoScreenTrainingLib.training.config import from_dict, save_config
from OsteoScreenTrainingLib.training.logs import RunLog


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    save_config(from_dict({"task": "segmentation", "steps": 1000}), folder / "config.json")
    return folder


def test_a_folder_without_a_run_is_none(tmp_path):
    assert read_run(tmp_path / "nothing") == RunProgress()
    (tmp_path / "config.json").write_text("{")
    assert read_run(tmp_path) == RunProgress()


def test_what_a_run_says(run, tmp_path):
    assert read_run(run) == RunProgress(task="segmentation", steps=1000)
    log = RunLog(run, 0)
    log.add(20, {"loss": 1.0, "learning_rate": 0.1, "images_per_s": 5.0, "waiting": 0.0, "seconds": 10.0})
    found = read_run(run)
    assert (found.step, found.seconds, found.remaining_s) == (20, 10.0, 490.0)
    log.add(20, {"val_score": 0.5, "val_dsc_outline": 0.5})  # a new column writes the file anew
    log.add(40, {"loss": 0.5, "learning_rate": 0.1, "images_per_s": 5.0, "waiting": 0.0, "seconds": 18.0})
    log.add(40, {"val_score": 0.7, "val_dsc_outline": 0.7})
    log.add(60, {"val_score": 0.7, "val_dsc_outline": 0.8})
    found = read_run(run)
    assert found.rows["step"] == [20, 20, 40, 40, 60]
    assert [value for value in found.rows["loss"] if not math.isnan(value)] == [1.0, 0.5]
    assert (found.best_score, found.best_step) == (0.7, 40)
    assert found.step == 60 and found.remaining_s == pytest.approx((1000 - 60) * 18 / 40)
    assert not found.resumable and found.bundle is None

    (run / "checkpoints" / "step-00000080").mkdir(parents=True)
    (run / "checkpoints" / ".step-00000100.part").mkdir()
    (run / "bundle").mkdir()
    (run / "bundle" / "bundle.json").touch()
    (run / "data.json").write_text(json.dumps({"data": [str(tmp_path / "a")]}))
    found = read_run(run)
    assert found.resumable and found.step == 80 and found.bundle == run / "bundle" and found.data == (tmp_path / "a",)


def test_a_classification_and_a_budget_in_minutes(tmp_path):
    config = from_dict({"task": "classification", "steps": 0, "minutes": 2.0, "classification": {"model": "model2"}})
    save_config(config, tmp_path / "config.json")
    assert read_run(tmp_path).model == "model2"
    RunLog(tmp_path, 0).add(20, {"seconds": 30.0})
    found = read_run(tmp_path)
    assert (found.task, found.minutes, found.remaining_s) == ("classification", 2.0, 90.0)


def test_the_pace_is_that_of_the_last_rows(run):
    log = RunLog(run, 0)
    for row in range(1, 101):
        log.add(row, {"seconds": row * 1.0 if row <= 50 else 50 + (row - 50) * 3.0})
    assert read_run(run).remaining_s == pytest.approx(900 * 3.0)


def test_a_resumed_run_drops_rows_and_so_does_the_reader(run):
    log = RunLog(run, 0)
    for step in range(1, 30):
        log.add(step, {"loss": float(step)})
    assert len(read_run(run).rows["step"]) == 29
    log = RunLog(run, 10)
    assert read_run(run).rows["step"] == list(range(1, 11))
    log.add(11, {"loss": -1.0})
    assert read_run(run).rows["loss"][-1] == -1.0


def test_half_written_rows_are_left_for_later(run):
    """Read after every byte, the columns only grow, and end as the whole file says."""
    text = b"step,loss,seconds\n20,1.5,3\n20,,\n40,nan,7.25\n60,0.5,9\n"
    path = run / "log.csv"
    seen = 0
    with open(path, "wb", buffering=0) as file:
        for place in range(len(text)):
            file.write(text[place : place + 1])
            steps = read_run(run).rows.get("step", [])
            assert steps == [20, 20, 40, 60][: len(steps)] and len(steps) >= seen
            seen = len(steps)
    assert read_run(run).rows["seconds"][0::2] == [3.0, 7.25]
    assert read_run(run).step == 60


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_log_and_no_error(run, seed):
    rng = random.Random(seed)
    head = b"" if seed == 0 else b"step,loss\n1,2\n"
    (run / "log.csv").write_bytes(head + bytes(rng.choice(b'1,"\n\r\xff.e') for _ in range(3000)) + b"\n")
    rows = read_run(run).rows
    assert len({len(column) for column in rows.values()}) <= 1


def test_a_long_log_is_read_once(run):
    path = run / "log.csv"
    row = "{},0.123456,0.001,250.5,0.01,{},,\n"
    lines = [row.format(20 * n, 0.5 * n) for n in range(1, 100_001)]
    path.write_text("step,loss,learning_rate,images_per_s,waiting,seconds,val_score,val_dsc\n" + "".join(lines))
    read_run(run)
    spent = []
    for n in range(100_001, 100_006):
        with open(path, "a") as file:
            file.write(row.format(20 * n, 0.5 * n))
        start = time.process_time()  # what others do on this machine says nothing
        found = read_run(run)
        spent.append(time.process_time() - start)
        assert found.step == 20 * n
    assert min(spent) < 0.1
    assert len(runs._READ) <= runs._LOGS


def test_logs_of_many_runs_are_not_all_kept(tmp_path):
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_config(from_dict({"task": "segmentation"}), folder / "config.json")
        (folder / "log.csv").write_text("step,loss\n1,2\n")
        assert read_run(folder).step == 1
    assert len(runs._READ) <= runs._LOGS
    assert os.path.abspath(tmp_path / "19" / "log.csv") in runs._READ


def test_a_log_that_was_cut_short_is_kept_whole_rows(run):
    log = RunLog(run, 0)
    for step in (1, 2, 3):
        log.add(step, {"loss": float(step)})
    path = Path(run / "log.csv")
    path.write_bytes(path.read_bytes()[:-4] + b"\n1")  # half a row of step 12, which is not step 1
    RunLog(run, 3)
    assert read_run(run).rows["step"] == [1, 2, 3]
