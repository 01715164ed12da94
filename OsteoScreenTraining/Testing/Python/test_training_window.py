"""The log's throughput: what validation and checkpoints take is not training."""

from __future__ import annotations

import time

import pytest
import torch

from OsteoScreenTrainingLib.training.loss_window import LossWindow
from OsteoScreenTrainingLib.training.processes import join_processes


def test_time_aside_counts_neither_for_images_nor_for_waiting(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    window, processes = LossWindow(), join_processes("cpu")
    window.add(torch.tensor(0.5))
    now[0] += 0.05
    with window.aside():
        now[0] += 1.0
    window.add(torch.tensor(0.7))
    values = window.close(batch=8, waited_s=0.01, processes=processes)
    monkeypatch.undo()
    assert values["images_per_s"] == pytest.approx(16 / 0.05)
    assert values["loss"] == pytest.approx(0.6)
    assert values["waiting"] == pytest.approx(0.01 / 0.05)
