"""The networks leave the caller's threads as they are, and take no more cores than help them."""

from __future__ import annotations

import threading

import pytest
import torch

from OsteoScreenLib.cores import on_one_core, side_by_side
from OsteoScreenLib.results import Level

LEVELS = {name: Level(name, z, k, "user", True) for name, z, k in (("L1", -10.0, 3), ("L2", -40.0, 1))}


@pytest.fixture(autouse=True)
def four_cores():
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    assert torch.get_num_threads() == 4
    torch.set_num_threads(threads)


def test_one_core_is_one():
    assert on_one_core(torch.get_num_threads) == 1


def test_threads_that_come_later_begin_with_all_cores():
    on_one_core(torch.get_num_threads)
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [4]


def test_levels_share_the_cores():
    shares = side_by_side(LEVELS, lambda level: (level.slice_index, torch.get_num_threads()))
    assert {name: future.result() for name, future in shares.items()} == {"L1": (3, 2), "L2": (1, 2)}
    alone = side_by_side({"L1": LEVELS["L1"]}, lambda _: torch.get_num_threads())
    assert alone["L1"].result() == 4


def test_a_process_of_one_core_does_one_level_after_the_other():
    torch.set_num_threads(1)
    both = threading.Barrier(2)

    def meet(_):
        both.wait(timeout=0.3)

    futures = side_by_side(LEVELS, meet)
    assert all(isinstance(future.exception(), threading.BrokenBarrierError) for future in futures.values())
    assert torch.get_num_threads() == 1
    torch.set_num_threads(4)


def test_errors_come_out_where_the_result_is_asked_for():
    def fail(*_):
        raise KeyError("x")

    with pytest.raises(KeyError):
        on_one_core(fail)
    futures = side_by_side(LEVELS, fail)
    with pytest.raises(KeyError):
        futures["L2"].result()
