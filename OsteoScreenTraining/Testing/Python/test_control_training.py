"""Trainings as jobs: they stop, go on, are killed, and tell what ended them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from OsteoScreenLib.cli import main
from OsteoScreenLib.models import load_bundle
from OsteoScreenTrainingLib.control import commanded
from OsteoScreenTrainingLib.control.jobs import kill_job, read_job, request_stop, start_job
from OsteoScreenTrainingLib.control.runs import read_run
from OsteoScreenTrainingLib.training.checkpoints import (
    Counters,
    find_checkpoint,
    load_checkpoint,
    remove_older,
    save_checkpoint,
)
from OsteoScreenTrainingLib.training.config import from_dict, save_config
from OsteoScreenTrainingLib.training.job_files import load_job
from OsteoScreenTrainingLib.training.segmentation_task import SegmentationTask
from OsteoScreenTrainingLib.training.stopping import FOLLOWED, JOB_VARIABLE, STOP, STOPPED

pytestmark = pytest.mark.slow


@pytest.fixture
def start(paths):
    """Return what starts a training as a job in its own run's folder; what still runs afterwards is ended."""
    folders = []

    def begin(data, run, config=None, *more):
        folders.append(run)
        arguments = ["train", "segmentation", "--data", str(data), "-o", str(run), *more]
        if config is not None:
            arguments += ["--config", str(_saved(config, run.with_suffix(".json")))]
        start_job(arguments, run, python=[sys.executable], search_path=paths)

    yield begin
    for folder in folders:
        if read_job(folder).state == "running":
            kill_job(folder)
            _end(folder)


def _saved(values, path: Path) -> Path:
    save_config(from_dict(values), path)
    return path


def _end(run, seconds=600.0):
    deadline = time.monotonic() + seconds
    while (found := read_job(run)).state == "running":
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def _await_step(run, step, seconds=600.0):
    deadline = time.monotonic() + seconds
    while (found := _step(run)) < step:
        job = read_job(run)
        assert job.state == "running", job
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return found


def _step(run) -> int:
    folder = find_checkpoint(run)
    return -1 if folder is None else int(folder.name.split("-")[1].split(".")[0])


#: Goes on for hours, a checkpoint every few steps.
ENDLESS = {"steps": 200_000, "checkpoints": {"every_steps": 5, "every_minutes": 0}}


def test_a_training_stops_by_request_and_goes_on_and_so_does_one_that_is_killed(
    tiny_config, slice_set, tmp_path, start
):
    run = tmp_path / "run"
    start(slice_set, run, tiny_config(**ENDLESS))
    _await_step(run, 25)  # the first row of the log, which says how fast it goes, is that of step 20
    request_stop(run)
    job = _end(run)
    assert (job.state, job.exit_code) == ("paused", 0), job
    assert "in good order" in job.message and "--resume" in job.message
    assert "stopped by request; go on with --resume" in job.log_tail
    assert not (run / "bundle").exists() and not (run / "stop").exists()
    stopped = _step(run)
    found = read_run(run)
    assert found.resumable and found.bundle is None and found.step == stopped and found.data == (slice_set,)
    assert found.remaining_s and found.remaining_s > 0

    start(slice_set, run, None, "--resume")
    assert _await_step(run, stopped + 5) > stopped
    os.kill(load_job(run)["command_pid"], signal.SIGKILL)
    job = _end(run)
    assert job.state == "crashed" and "--resume" in job.message and "killed" in job.message

    saved = json.loads((run / "config.json").read_text())
    last = _step(run) + 3
    (run / "config.json").write_text(json.dumps(saved | {"steps": last}))
    start(slice_set, run, None, "--resume")
    job = _end(run)
    assert (job.state, job.exit_code) == ("finished", 0), job
    assert _step(run) == last
    assert read_run(run).bundle == run / "bundle"


def test_a_stop_file_alone_is_enough_and_an_old_one_is_none(tiny_config, slice_set, tmp_path, monkeypatch, capsys):
    """As on a workstation, where no job stands over the training."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "stop").touch()
    command = ["train", "segmentation", "--data", str(slice_set), "-o", str(run)]
    config = ["--config", str(_saved(tiny_config(steps=3), tmp_path / "three.json"))]
    assert main([*command, *config]) == 0
    assert (run / "bundle").is_dir() and _step(run) == 3

    shutil.rmtree(run)
    loss = SegmentationTask.loss

    def asked(self, outputs, target):
        (run / "stop").touch()
        return loss(self, outputs, target)

    monkeypatch.setattr(SegmentationTask, "loss", asked)
    config = ["--config", str(_saved(tiny_config(**ENDLESS), tmp_path / "endless.json"))]
    assert main([*command, *config]) == 0
    said = capsys.readouterr()
    assert "stopped by request; go on with --resume" in said.err
    assert not (run / "bundle").exists() and not (run / "stop").exists() and _step(run) >= 1
    # What it has learnt so far can be had all the same.
    assert main(["train", "segmentation", "-o", str(run), "--export", "--name", "half-way", "--version", "0.5.0"]) == 0
    bundle = load_bundle(run / "bundle")
    assert (bundle.name, bundle.version) == ("half-way", "0.5.0")


def test_a_training_whose_step_takes_long_is_not_interrupted(tiny_config, slice_set, tmp_path, monkeypatch, capsys):
    """It is left to end its step; a command that does not look for requests is interrupted."""
    job, interrupted = tmp_path / "job", []
    job.mkdir()
    monkeypatch.setenv(JOB_VARIABLE, str(job))
    monkeypatch.setattr(commanded, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(commanded, "LOOK_S", 0.05)
    loss = SegmentationTask.loss

    def interrupt():
        interrupted.append(True)
        sys.exit()  # the thread

    def listens():
        with contextlib.suppress(SystemExit):
            commanded._interrupt_on_request(job)

    def takes_long(self, outputs, target):
        (job / STOP).touch()
        time.sleep(1.5)
        return loss(self, outputs, target)

    monkeypatch.setattr(commanded, "_interrupt", interrupt)
    monkeypatch.setattr(SegmentationTask, "loss", takes_long)
    ear = threading.Thread(target=listens, daemon=True)
    ear.start()
    command = ["train", "segmentation", "--data", str(slice_set), "-o", str(tmp_path / "run")]
    assert main([*command, "--config", str(_saved(tiny_config(**ENDLESS), tmp_path / "run.json"))]) == 0
    assert "stopped by request" in capsys.readouterr().err and not interrupted
    assert _step(tmp_path / "run") == 1 and (job / STOPPED).read_text() == FOLLOWED
    (job / STOP).touch()
    ear.join(600)
    assert interrupted


def test_a_study_stops_by_request(make_subject_set, subjects_of, tiny_config, tmp_path, paths):
    data, job, out = make_subject_set(tmp_path / "set", subjects_of()), tmp_path / "job", tmp_path / "study"
    tiny = tiny_config(**ENDLESS)
    parts = {name: tiny[name] for name in ("steps", "batch", "network", "patches", "optimiser", "checkpoints")}
    (tmp_path / "slow.json").write_text(json.dumps({"sizes": [8], "segmentation": parts}))
    words = ["study", "--data", data, "--split", "random", "--profile", tmp_path / "slow.json", "-o", out]
    start_job([str(word) for word in words], job, python=[sys.executable], search_path=paths)
    deadline = time.monotonic() + 600
    while _step(out / "runs" / "dcnn-00008-0") < 5:
        assert read_job(job).state == "running" and time.monotonic() < deadline, read_job(job)
        time.sleep(0.05)
    request_stop(job)
    found = _end(job)
    assert (found.state, found.exit_code) == ("paused", 0), found
    assert "the same command goes on with it" in found.log_tail
    assert not (out / "runs" / "dcnn-00008-0" / "bundle").exists()


def test_torchrun_stops_by_request_too(tiny_config, slice_set, tmp_path, paths):
    run = tmp_path / "run"
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "OsteoScreenLib", "train"]
    command += ["segmentation", "--data", slice_set, "-o", run]
    command += ["--config", _saved(tiny_config(**ENDLESS), tmp_path / "endless.json")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    with open(tmp_path / "said.txt", "w") as log:
        process = subprocess.Popen([sys.executable, *map(str, command)], env=environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 600
            while _step(run) < 5:
                assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "said.txt").read_text()
                time.sleep(0.05)
            (run / "stop").touch()
            assert process.wait(600) == 0, (tmp_path / "said.txt").read_text()
        finally:
            process.terminate()
            process.wait()
    assert "stopped by request; go on with --resume" in (tmp_path / "said.txt").read_text()
    assert not (run / "bundle").exists() and not (run / "stop").exists()
    load_checkpoint(find_checkpoint(run))


# -- what ends a training ends in a sentence, and the last good checkpoint is kept


def _whole(run, said, sentence):
    assert sentence in said
    assert str(find_checkpoint(run)) in said or "vanished" in said
    load_checkpoint(find_checkpoint(run))
    assert not list((run / "checkpoints").glob(".*.part"))


def _goes_on(data, run) -> None:
    """Go on for a few steps, in this process: that a job does is in the tests above."""
    steps = _step(run) + 3
    assert main(["train", "segmentation", "--data", str(data), "-o", str(run), "--resume", "--steps", str(steps)]) == 0
    assert _step(run) == steps


def test_a_loss_that_is_nan(tiny_config, slice_set, tmp_path, capsys):
    values = tiny_config(**ENDLESS)
    values["optimiser"] = {"name": "sgd", "learning_rate": 1e36, "warmup_steps": 0, "clip_norm": 0.0}
    values["checkpoints"]["every_steps"] = 1
    run = tmp_path / "run"
    command = ["train", "segmentation", "--data", str(slice_set), "-o", str(run)]
    assert main([*command, "--config", str(_saved(values, tmp_path / "run.json"))]) == 1
    said = capsys.readouterr().err
    assert "NaN or infinite" in said and str(find_checkpoint(run)) in said
    load_checkpoint(find_checkpoint(run))


def test_memory_that_runs_out(tiny_config, slice_set, tmp_path, forked):
    run = tmp_path / "run"
    command = ["train", "segmentation", "--data", str(slice_set), "-o", str(run)]
    assert main([*command, "--config", str(_saved(tiny_config(steps=2), tmp_path / "run.json"))]) == 0
    shutil.rmtree(run / "bundle")
    saved = json.loads((run / "config.json").read_text())
    # 64 GB and more for the patches of one batch: refused by the system, not swapped.
    saved |= {"steps": 9, "batch": 64, "patches": saved["patches"] | {"size": 65536}}
    (run / "config.json").write_text(json.dumps(saved))
    forked.start([*command, "--resume"])
    assert forked.end() == 1, forked.said()
    _whole(run, forked.said(), "memory ran out")


def test_data_that_vanish(tiny_config, make_slice_set, tmp_path, monkeypatch, capsys):
    data = make_slice_set(tmp_path / "data")
    values = tiny_config(**ENDLESS | {"steps": 40})
    values["validation"]["every_steps"] = 8
    run = tmp_path / "run"
    loss = SegmentationTask.loss

    def vanishes(self, outputs, target):
        if _step(run) == 5 and data.exists():
            data.rename(tmp_path / "elsewhere")
        return loss(self, outputs, target)

    monkeypatch.setattr(SegmentationTask, "loss", vanishes)
    command = ["train", "segmentation", "--data", str(data), "-o", str(run)]
    assert main([*command, "--config", str(_saved(values, tmp_path / "run.json"))]) == 4
    _whole(run, capsys.readouterr().err, "has vanished; put it back and go on with --resume")
    monkeypatch.undo()
    (tmp_path / "elsewhere").rename(data)
    _goes_on(data, run)


def test_a_full_disk(tiny_config, slice_set, tmp_path, start):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        run = small / "run"
        start(slice_set, run, tiny_config(**ENDLESS))
        _await_step(run, 5)
        with contextlib.suppress(OSError), open(small / "filler", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        job = _end(run)
        assert (job.state, job.exit_code) == ("failed", 1), job
        assert "Make room and use --resume" in job.message
        _whole(run, job.message, "disk is full")
        (small / "filler").unlink()
        _goes_on(slice_set, run)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_a_checkpoint_that_is_replaced_is_never_gone(tmp_path, monkeypatch):
    """The same step is written again when a training stops just after a checkpoint."""
    folder, counters = tmp_path / "checkpoints" / "step-00000004", Counters(step=4)
    save_checkpoint(folder, {"network": {"a": torch.zeros(3)}}, {}, counters)
    replace, left = os.replace, [1]

    def dies(source, target):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        replace(source, target)

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(folder, {"network": {"a": torch.ones(3)}}, {}, counters)
    monkeypatch.undo()
    assert not folder.exists()
    assert load_checkpoint(find_checkpoint(tmp_path))[0]["network"]["a"].sum() == 0
    assert _step(tmp_path) == 4
    save_checkpoint(folder, {"network": {"a": torch.ones(3)}}, {}, counters)
    assert load_checkpoint(find_checkpoint(tmp_path))[0]["network"]["a"].sum() == 3
    (folder.parent / ".step-00000003.old").mkdir()
    (folder.parent / ".step-00000003.part").mkdir()
    assert find_checkpoint(tmp_path) == folder
    remove_older(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["step-00000004"]
