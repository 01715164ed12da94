"""The log's throughput: what validation and checkpoints take is not training."""

from __future__ import annotations

import time

import pytest
import torch

from OsteoScreenTrainingLib.training.loss_window import LossWindow
from OsteoScreenTrainingLib.training.processes import join_processes


def test_time_aside_counts_neither_for_images_nor_for_waiting():
    window, processes = LossWindow(), join_processes("cpu")
    window.add(torch.tensor(0.5))
    time.sleep(0.05)
    with window.aside():
        time.sleep(1.0)
    window.add(torch.tensor(0.7))
    values = window.close(batch=8, waited_s=0.01, processes=processes)
    # Two batches of 8 in about 0.05 s; with the second aside they would be 15 a second.
    assert 50 < values["images_per_s"] < 16 / 0.05 + 1
    assert values["loss"] == pytest.approx(0.6)
    assert 0.02 < values["waiting"] <= 0.2
