"""Whole trainings, tiny: they learn, stop, die and go on, and tell clearly what went wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from OsteoScreenLib.cli import main
from OsteoScreenLib.errors import InputError, UsageError
from OsteoScreenLib.models import load_bundle
from OsteoScreenTrainingLib.datasets.slices import SliceDataset
from OsteoScreenTrainingLib.training.checkpoints import find_checkpoint, load_checkpoint
from OsteoScreenTrainingLib.training.config import from_dict, save_config
from OsteoScreenTrainingLib.training.errors import TrainingError
from OsteoScreenTrainingLib.training.export import initial_weights
from OsteoScreenTrainingLib.training.prefetch import Prefetcher
from OsteoScreenTrainingLib.training.processes import Processes
from OsteoScreenTrainingLib.training.segmentation_task import SegmentationTask
from OsteoScreenTrainingLib.training.trainer import Trainer
from Testing.Python.training_runs import log_of

ALONE = Processes(0, 1, torch.device("cpu"))


def _task(values, data, kind=SegmentationTask):
    config, slices = from_dict(values), SliceDataset([data])
    return kind(config, slices, slices.split(config.validation.fraction, config.validation.split_seed))


def _trainer(values, data, run, kind=SegmentationTask, **more):
    run.mkdir(exist_ok=True)
    return Trainer(from_dict(values), _task(values, data, kind), run, ALONE, **more)


def test_it_learns_and_exports_what_it_learnt(tiny_config, slice_set, tmp_path, capsys):
    values = tiny_config(
        steps=60, network={"name": "study_segmentation", "parameters": {"base_width": 4}}, validation={"fraction": 0.3}
    )
    values["intensity"] = {"strength": 0.3}
    values["optimiser"]["learning_rate"] = 0.02
    save_config(from_dict(values), tmp_path / "config.json")
    command = ["train", "segmentation", "--data", str(slice_set), "-o", str(tmp_path / "run")]
    assert main([*command, "--config", str(tmp_path / "config.json")]) == 0
    rows = log_of(tmp_path / "run")
    losses = [float(row["loss"]) for row in rows if row["loss"]]
    assert losses[-1] < 0.6 * losses[0]
    assert float(rows[-1]["val_dsc_outline"]) > 0.7
    bundle = load_bundle(tmp_path / "run" / "bundle", "segmentation")
    assert bundle.preprocessing["outline"]["spacing_mm"] == pytest.approx(0.98, abs=0.01)
    card = json.loads((tmp_path / "run" / "bundle" / "bundle.json").read_text())
    assert {metric["name"] for metric in card["metrics"]} == {"DSC, mean, outline patches", "DSC, mean, locate patches"}
    exported = bundle.network(torch.device("cpu")).state_dict()
    averaged = load_checkpoint(find_checkpoint(tmp_path / "run"))[0]["average"]
    for name, value in averaged.items():
        assert torch.allclose(exported[name], value, atol=2e-3, rtol=2e-3)

    assert main(command) == 2
    assert "already holds a run" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "run" / "bundle")
    assert main([*command, "--export"]) == 0
    assert load_bundle(tmp_path / "run" / "bundle").sha256 == bundle.sha256


_KILLED = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[3:]
import torch
torch.set_num_threads(1)
from OsteoScreenTrainingLib.training.config import load_config
from OsteoScreenTrainingLib.training.processes import Processes
from OsteoScreenTrainingLib.training.tasks import open_task
from OsteoScreenTrainingLib.training.trainer import Trainer
run = Path(sys.argv[2])
config = load_config(run / "config.json")
task = open_task(config, [Path(sys.argv[1])])
load = task.load
task.load = lambda step, part: load(step, part) if step < 7 else time.sleep(600)
Trainer(config, task, run, Processes(0, 1, torch.device("cpu"))).run()
"""


def test_killed_and_resumed_is_the_same_bit_for_bit(tiny_config, slice_set, tmp_path, paths, assert_same_checkpoint):
    values = tiny_config(steps=10, checkpoints={"every_steps": 5, "every_minutes": 0})
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    _trainer(values, slice_set, straight).run()

    killed.mkdir()
    save_config(from_dict(values), killed / "config.json")
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(slice_set), str(killed), *paths], stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 1200
        while find_checkpoint(killed) is None:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "no checkpoint appeared"
            time.sleep(0.1)
    finally:
        process.kill()
        process.communicate()
    _trainer(values, slice_set, killed).run(resume=True)
    assert_same_checkpoint(straight, killed)
    assert next(row["loss"] for row in log_of(killed) if row["step"] == "10")
    assert [p.name for p in (killed / "checkpoints").glob("step-*")] == ["step-00000010"]


class _Vanishing(SegmentationTask):
    """Its data are gone at the eighth step."""

    def load(self, step, part):
        if step == 7:
            raise InputError("gone")
        return super().load(step, part)


def test_resumed_with_momentum_is_the_same_bit_for_bit(tiny_config, slice_set, tmp_path, assert_same_checkpoint):
    values = tiny_config(steps=10, checkpoints={"every_steps": 5, "every_minutes": 0})
    values["optimiser"]["name"] = "sgd"
    _trainer(values, slice_set, tmp_path / "straight").run()
    with pytest.raises(InputError, match="gone"):
        _trainer(values, slice_set, tmp_path / "stopped", _Vanishing).run()
    assert load_checkpoint(find_checkpoint(tmp_path / "stopped"))[2].step == 5
    _trainer(values, slice_set, tmp_path / "stopped").run(resume=True)
    assert_same_checkpoint(tmp_path / "straight", tmp_path / "stopped")


class _Broken(SegmentationTask):
    """Breaks at the fourth step as ``how`` says."""

    how = "nan"
    calls = 0

    def loss(self, outputs, target):
        self.calls += 1
        if self.calls == 4:
            if self.how == "nan":
                return super().loss(outputs * float("nan"), target)
            torch.empty(10**15)
        return super().loss(outputs, target)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [("nan", "NaN or infinite by step 4.*step-00000003.*learning_rate"), ("memory", "memory ran out.*smaller batch")],
)
def test_what_broke_is_told_and_the_last_checkpoint_stays(tiny_config, slice_set, tmp_path, how, sentence, monkeypatch):
    monkeypatch.setattr(_Broken, "how", how)
    values = tiny_config(checkpoints={"every_steps": 1, "every_minutes": 0})
    with pytest.raises(TrainingError, match=sentence):
        _trainer(values, slice_set, tmp_path / "run", _Broken).run()
    assert load_checkpoint(find_checkpoint(tmp_path / "run"))[2].step == 3


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tiny_config, slice_set, tmp_path, monkeypatch):
    values = tiny_config(checkpoints={"every_steps": 2, "every_minutes": 0})
    fsync, calls = os.fsync, []

    def full(number):
        calls.append(number)
        if len(calls) > 7:  # the first checkpoint has five files
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(number)

    monkeypatch.setattr("OsteoScreenTrainingLib.training.checkpoints.os.fsync", full)
    with pytest.raises(TrainingError, match=r"disk is full.*step-00000002 is kept.*--resume"):
        _trainer(values, slice_set, tmp_path / "run").run()
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000002"]
    assert load_checkpoint(find_checkpoint(tmp_path / "run"))[2].step == 2


def test_vanished_data_are_told(tiny_config, make_slice_set, tmp_path):
    data = make_slice_set(tmp_path / "data")
    values = tiny_config(checkpoints={"every_steps": 2, "every_minutes": 0})
    values["validation"]["every_steps"] = 3
    trainer = _trainer(values, data, tmp_path / "run")
    shutil.rmtree(data)
    with pytest.raises(InputError, match=r"vanished.*--resume"):
        trainer.run()
    assert find_checkpoint(tmp_path / "run").name == "step-00000002"


def test_a_damaged_checkpoint_is_not_resumed(tiny_config, slice_set, tmp_path):
    values = tiny_config(steps=2)
    run = tmp_path / "run"
    with pytest.raises(UsageError, match="no checkpoint to go on from"):
        _trainer(values, slice_set, run).run(resume=True)
    _trainer(values, slice_set, run).run()
    weights = find_checkpoint(run) / "network.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"oops")
    with pytest.raises(InputError, match="damaged"):
        _trainer(values, slice_set, run).run(resume=True)


class _Flat(SegmentationTask):
    """Never gets better."""

    def validate(self, network, device, autocast):
        return {"score": 0.5}


def test_it_stops_when_nothing_gets_better(tiny_config, slice_set, tmp_path):
    values = tiny_config(steps=50)
    values["validation"] |= {"every_steps": 2, "patience": 2}
    trainer = _trainer(values, slice_set, tmp_path / "run", _Flat)
    assert "2 validations in a row" in trainer.run()
    assert trainer.counters.step == 6
    assert trainer.counters.best_step == 2
    assert find_checkpoint(tmp_path / "run", "best").name == "best-00000002"


def test_a_signal_stops_it_in_good_order(tiny_config, slice_set, tmp_path):
    class Signalled(SegmentationTask):
        def loss(self, outputs, target):
            os.kill(os.getpid(), signal.SIGTERM)
            return super().loss(outputs, target)

    before = signal.getsignal(signal.SIGTERM)
    assert "SIGTERM" in _trainer(tiny_config(), slice_set, tmp_path / "run", Signalled).run()
    assert signal.getsignal(signal.SIGTERM) == before
    assert find_checkpoint(tmp_path / "run").name == "step-00000001"


def test_a_budget_in_minutes_ends_the_schedule(tiny_config, slice_set, tmp_path):
    trainer = _trainer(tiny_config(steps=0, minutes=0.01), slice_set, tmp_path / "run")
    assert trainer.run() == "the budget is spent"
    assert trainer.counters.step >= 1
    assert trainer.counters.seconds >= 0.6


def test_a_training_starts_from_a_run_or_a_bundle(tiny_config, slice_set, tmp_path):
    values = tiny_config(steps=3)
    _trainer(values, slice_set, tmp_path / "run").run()
    weights = initial_weights(tmp_path / "run")
    tuned = _trainer(values, slice_set, tmp_path / "tuned", initial=weights)
    for name, value in tuned.network.state_dict().items():
        assert torch.equal(value, weights[name])
    wider = tiny_config(network={"name": "study_segmentation", "parameters": {"base_width": 4}})
    with pytest.raises(UsageError, match="do not fit"):
        _trainer(wider, slice_set, tmp_path / "wider", initial=weights)


def test_micro_batches_and_the_batch_have_to_divide(tiny_config, slice_set, tmp_path):
    with pytest.raises(UsageError, match="cannot be split into 3"):
        _trainer(tiny_config(micro_batches=3), slice_set, tmp_path / "run")
    with pytest.raises(UsageError, match="cannot be shared by 3"):
        Processes(0, 3, torch.device("cpu")).share(4)


def test_no_held_out_slice_is_a_mistake_unless_asked_for(tiny_config, make_slice_set, tmp_path):
    data = make_slice_set(tmp_path / "data", count=1)
    with pytest.raises(UsageError, match=r"held out.*validation\.fraction"):
        _task(tiny_config(validation={"fraction": 0.0001}), data)
    assert _task(tiny_config(validation={"fraction": 0.0}), data).size == 1


def test_of_few_subjects_one_is_held_out(tiny_config, make_slice_set, tmp_path):
    data = make_slice_set(tmp_path / "data", count=3)
    task = _task(tiny_config(validation={"fraction": 0.0001}), data)
    assert (task.size, len(task.held_out)) == (2, 1)
    assert set(task.train).isdisjoint(task.held_out)
    assert _task(tiny_config(validation={"fraction": 0.0}), data).size == 3


def test_two_processes_train_as_one_with_the_same_global_batch(tiny_config, slice_set, tmp_path, forked):
    """On the CPU a process normalises its own share, as a micro-batch does in one process (ghost batches)."""
    values = tiny_config(steps=4, micro_batches=2)
    values["optimiser"] = {"name": "sgd", "learning_rate": 0.01}  # AdamW would blow up what rounding leaves
    _trainer(values, slice_set, tmp_path / "one").run()

    shared = tmp_path / "two.json"
    save_config(from_dict(values | {"micro_batches": 1}), shared)
    # They meet where torchrun's do: at a store that was there before them, on a port that nobody else can take.
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "WORLD_SIZE": "2"}
    environment |= {"TORCHELASTIC_USE_AGENT_STORE": "True"}
    command = ["train", "segmentation", "--config", shared, "--data", slice_set, "-o", tmp_path / "two"]
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in (0, 1)]
    started = [forked.start(command, environment | rank) for rank in ranks]
    assert [forked.end(process) for process in started] == [0, 0], forked.said()

    losses = [float(log_of(tmp_path / name)[0]["loss"]) for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    one, two = (load_checkpoint(find_checkpoint(tmp_path / name))[0]["network"] for name in ("one", "two"))
    for name, value in one.items():
        if "running_" not in name and "num_batches" not in name:
            assert torch.allclose(value, two[name], atol=1e-5, rtol=1e-4), name


def test_an_error_of_the_reading_thread_reaches_the_loop():
    def load(step):
        if step == 2:
            raise InputError("gone")
        return step

    with Prefetcher(load, 0) as batches:
        assert [batches.next(), batches.next()] == [0, 1]
        with pytest.raises(InputError, match="gone"):
            batches.next()
    with Prefetcher(lambda step: step, 5) as batches:
        assert batches.next() == 5
