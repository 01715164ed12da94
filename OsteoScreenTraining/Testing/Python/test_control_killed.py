"""A training that is killed at fifty random moments goes on each time, and ends as one that never was."""

from __future__ import annotations

import csv
import os
import random
import signal
import time
from pathlib import Path

import pytest

from OsteoScreenLib.models import load_bundle
from OsteoScreenTrainingLib.control.runs import read_run
from OsteoScreenTrainingLib.training.checkpoints import (
    find_checkpoint,
    load_checkpoint,
)
from OsteoScreenTrainingLib.training.config import from_dict, save_config

#: How often it is killed, and the steps that it has left afterwards.
KILLS, LEFT = 50, 5
#: Never done before it is killed, however late this process looks.
ENDLESS = 1_000_000


def _saved(values, path: Path) -> Path:
    save_config(from_dict(values), path)
    return path


def _step(run) -> int:
    folder = find_checkpoint(run)
    return -1 if folder is None else int(folder.name.split("-")[1].split(".")[0])


@pytest.mark.slow
def test_killed_fifty_times_it_always_goes_on(tiny_config, slice_set, tmp_path, forked, assert_same_checkpoint):
    values = tiny_config(steps=ENDLESS, batch=2, checkpoints={"every_steps": 1, "every_minutes": 0})
    values["validation"] |= {"every_steps": 7, "most": 2}
    values["optimiser"]["final_rate"] = 1.0  # so that a step does not depend on how many there will be
    straight, run = tmp_path / "straight", tmp_path / "run"
    seldom = values | {"checkpoints": {"every_steps": 0, "every_minutes": 0}}
    command = ["train", "segmentation", "--data", slice_set, "--config"]
    often = [*command, _saved(values, tmp_path / "often.json"), "-o", run]
    rng = random.Random(7)
    stood = -1
    went_on = 0
    for _ in range(KILLS):
        goes_on = ["--resume"] if find_checkpoint(run) is not None else []
        pid = forked.start([*often, *goes_on])
        _wait_a_while(run, stood, rng)
        os.kill(pid, signal.SIGKILL)
        assert forked.end() == -signal.SIGKILL, forked.said()[-2000:]
        now = _whole(run)
        assert now >= stood
        went_on += now > stood
        stood = now
    # Some kills struck between steps that were done; how many came before the first is the machine's to say.
    assert went_on > 3, (stood, went_on)
    steps = stood + LEFT
    forked.start([*often, "--resume", "--steps", steps])
    assert forked.end() == 0, forked.said()[-2000:]
    forked.start([*command, _saved(seldom, tmp_path / "seldom.json"), "-o", straight, "--steps", steps])
    assert forked.end() == 0, forked.said()[-2000:]
    assert_same_checkpoint(straight, run)
    best = [load_checkpoint(find_checkpoint(folder, "best"))[2] for folder in (straight, run)]
    assert (best[0].best_step, best[0].best_score) == (best[1].best_step, best[1].best_score)
    assert load_bundle(straight / "bundle").sha256 == load_bundle(run / "bundle").sha256
    left = sorted(path.name[:4] for path in (run / "checkpoints").iterdir())
    assert left == ["best", "step"]
    with open(run / "log.csv", newline="") as file:
        validated = [int(row["step"]) for row in csv.DictReader(file) if row["val_score"]]
    assert validated == [*range(7, steps, 7), steps]


def _wait_a_while(run, stood, rng) -> None:
    """Wait until some moment in the set-up, or in one of the first few steps: writing a checkpoint is most of each."""
    deadline = time.monotonic() + 60
    wanted = stood + rng.choice((0, 1, 1, 2))
    if wanted == stood:
        time.sleep(rng.uniform(0, 0.25))
        return
    while _step(run) < wanted and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.02))


def _whole(run) -> int:
    """Return the step of the last checkpoint, which has to be whole; -1 where there is none yet."""
    read_run(run)
    best, last = find_checkpoint(run, "best"), find_checkpoint(run)
    if best is not None:
        load_checkpoint(best)
    return -1 if last is None else load_checkpoint(last)[2].step
