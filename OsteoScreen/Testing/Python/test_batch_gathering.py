"""Network passes of several studies run as one: who is gathered, when a pass begins, and that its values are the same.

They are the same up to how a convolution adds up a batch: 1e-5 in a probability, in float32 on the CPU.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from batch_archive import PATIENCE_S, waited
from phantom_ct import CENTRES, PIXEL_MM, make_phantom
from tiny_bundle import write_tiny_bundle
from tiny_classifier import CROP, WINDOW_HU, write_tiny_classifier

from OsteoScreenLib import gathering, loaded, turns
from OsteoScreenLib.batch.child import Studies
from OsteoScreenLib.batch.outcome import Order, Outcome
from OsteoScreenLib.batch.publish import prepare_set
from OsteoScreenLib.batch.settings import BatchSettings, used_bundles, versions
from OsteoScreenLib.batch.study import BatchStudy
from OsteoScreenLib.classification import Classifier, MaskedSlice
from OsteoScreenLib.cli import main
from OsteoScreenLib.gathering import MOST_SLICES, Gatherer
from OsteoScreenLib.models import load_bundle
from OsteoScreenLib.reports.kinds import RESULT
from OsteoScreenLib.segmentation import Segmenter
from OsteoScreenLib.turns import Turn, Turns, clock, current

CPU = torch.device("cpu")
SPACING = (PIXEL_MM, PIXEL_MM)
#: How far a gathered value may lie from that of a pass of its own.
TOLERANCE = 1e-5


def beside_each_other(gatherer: Gatherer | None, works, turns_of: list[Turn] | None = None) -> list:
    """Do each work as a study of one process; returns what they returned, or raised."""
    shared, found = turns_of[0].turns if turns_of else Turns(), [None] * len(works)
    start = Turn(shared)
    turns_of = turns_of or [Turn(shared, gatherer=gatherer) for _ in works]

    def study(n: int) -> None:
        try:
            with turns_of[n]:
                found[n] = works[n]()
        except Exception as error:
            found[n] = error

    threads = [threading.Thread(target=study, args=(n,), daemon=True) for n in range(len(works))]
    with start:  # nobody begins before all are there
        for thread in threads:
            thread.start()
        while len(shared._waiting) < len(works):
            time.sleep(0.001)
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    return found


class Passes:
    """A network that doubles, and notes the slices of each pass."""

    def __init__(self) -> None:
        self.slices: list[int] = []

    def run(self, batch: torch.Tensor) -> torch.Tensor:
        self.slices.append(len(batch))
        if (batch < 0).any():
            raise ValueError("negative")
        return batch * 2


def gathered(gatherer: Gatherer, passes: Passes, inputs: list[torch.Tensor]) -> list:
    def work(tensor: torch.Tensor):
        return lambda: gatherer.run(current(), passes, CPU, tensor, passes.run)

    return beside_each_other(gatherer, [work(tensor) for tensor in inputs])


@pytest.fixture
def patient(monkeypatch):
    """No pass begins because its studies waited long: only because it is full, or nobody else can come."""
    monkeypatch.setattr(gathering, "PATIENCE_S", 3600.0)


@pytest.mark.usefixtures("patient")
def test_what_waits_goes_together_once_nobody_else_can_come_and_each_gets_its_own_part():
    passes = Passes()
    inputs = [torch.full((1 + n % 2, 1, 2, 2), float(n)) for n in range(5)]
    found = gathered(Gatherer(100), passes, inputs)
    assert passes.slices == [7]
    assert all(torch.equal(values, tensor * 2) for values, tensor in zip(found, inputs, strict=True))


@pytest.mark.usefixtures("patient")
def test_a_pass_holds_no_more_slices_than_it_may_and_one_request_is_never_divided():
    passes = Passes()
    gathered(Gatherer(4), passes, [torch.ones(n, 1, 2, 2) for n in (3, 3, 1, 6)])
    assert sorted(passes.slices) in ([3, 4, 6], [1, 3, 3, 6])
    assert max(size for size in passes.slices if size != 6) <= 4


@pytest.mark.usefixtures("patient")
def test_slices_of_other_shapes_go_by_themselves():
    passes = Passes()
    gathered(Gatherer(100), passes, [torch.ones(1, 1, side, side) for side in (2, 2, 3, 3, 3)])
    assert sorted(passes.slices) == [2, 3]


@pytest.mark.usefixtures("patient")
def test_what_fails_fails_alone():
    passes = Passes()
    found = gathered(Gatherer(100), passes, [torch.full((1, 1, 2, 2), value) for value in (1.0, -1.0, 3.0)])
    assert isinstance(found[1], ValueError)
    assert [float(found[n].mean()) for n in (0, 2)] == [2.0, 6.0]
    assert passes.slices == [3, 1, 1, 1]


class SlowToWake(Turn):
    """A study whose thread the system lets sleep on for a while after what it waited for is there."""

    @contextmanager
    def away(self, *, stands_still: bool = False) -> Iterator[None]:
        with super().away(stands_still=stands_still):
            yield
            time.sleep(0.2)


@pytest.mark.usefixtures("patient")
def test_a_study_that_is_slow_to_wake_after_one_pass_is_waited_for_in_the_next():
    first, second, gatherer, shared = Passes(), Passes(), Gatherer(100), Turns()

    def study() -> None:
        for passes in (first, second):
            gatherer.run(current(), passes, CPU, torch.ones(1, 1, 2, 2), passes.run)

    beside_each_other(gatherer, [study] * 3, [Turn(shared), SlowToWake(shared), Turn(shared)])
    assert first.slices == [3]
    assert second.slices == [3]


def test_a_pass_begins_after_a_while_though_others_still_compute():
    passes, gatherer, computed = Passes(), Gatherer(100), threading.Event()

    def compute() -> bool:
        # It gives its turn away now and then, as for a disk, to the other one, and never comes to a pass.
        until = time.monotonic() + PATIENCE_S
        while not computed.is_set() and time.monotonic() < until:
            time.sleep(0.005)
            with current().away():
                pass
        return computed.is_set()

    def one() -> torch.Tensor:
        values = gatherer.run(current(), passes, CPU, torch.ones(1, 1, 2, 2), passes.run)
        computed.set()
        return values

    values, *came_meanwhile = beside_each_other(gatherer, [one, compute, compute])
    assert torch.equal(values, torch.full((1, 1, 2, 2), 2.0))
    assert came_meanwhile == [True, True]


@pytest.mark.usefixtures("patient")
def test_standing_still_in_a_pass_is_not_counted_and_the_pass_is_shared(monkeypatch):
    """By a clock that goes on in the pass alone, so that nothing but the pass is counted."""
    gatherer, seconds, passed = Gatherer(100), [], [0.0]
    stopped = SimpleNamespace(perf_counter=lambda: passed[0], monotonic=time.monotonic)
    for module in (gathering, turns):
        monkeypatch.setattr(module, "time", stopped)

    def slow(batch: torch.Tensor) -> torch.Tensor:
        passed[0] += 0.6
        return batch

    def work() -> None:
        began = clock()
        gatherer.run(current(), "network", CPU, torch.ones(1, 1, 2, 2), slow)
        seconds.append(clock() - began)

    assert beside_each_other(gatherer, [work] * 3) == [None] * 3
    assert passed == [0.6]
    # Charged with the pass each, they would be charged with three times as much.
    assert seconds == pytest.approx([0.2] * 3)


def test_others_compute_while_a_gpu_runs_a_pass():
    """No GPU is needed for it: what counts is that the pass is said to be one's."""
    gatherer, computed = Gatherer(1), threading.Event()

    def on_gpu(batch: torch.Tensor) -> torch.Tensor:
        assert computed.wait(PATIENCE_S), "the other study could not compute"
        return batch

    def one() -> torch.Tensor:
        return gatherer.run(current(), "network", torch.device("cuda"), torch.ones(1, 1, 2, 2), on_gpu)

    found = beside_each_other(gatherer, [one, computed.set])
    assert torch.equal(found[0], torch.ones(1, 1, 2, 2))


def test_on_the_cpu_nothing_is_gathered_unless_told_and_on_a_gpu_it_is():
    assert Gatherer().most_on(CPU) == 1
    assert Gatherer(8).most_on(CPU) == 8
    assert Gatherer().most_on(torch.device("cuda")) == MOST_SLICES
    assert Gatherer(1).most_on(torch.device("cuda")) == 1


# -- the networks


def sizes_of(network: torch.nn.Module) -> list[int]:
    """The slices of each pass from now on."""
    sizes: list[int] = []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return sizes


@pytest.mark.usefixtures("patient")
def test_outlines_and_classes_are_those_of_passes_of_their_own(tmp_path):
    write_tiny_bundle(tmp_path / "outliner")
    as_measured = {"window_hu": list(WINDOW_HU), "levels": ["L1"], "hu": "measured", "crop": CROP}
    write_tiny_classifier(tmp_path / "classifier", levels=("L1",), preprocessing=as_measured)
    segmenter = Segmenter(load_bundle(tmp_path / "outliner"), "cpu")
    classifier = Classifier(load_bundle(tmp_path / "classifier"), "cpu")
    slices = [make_phantom(L1=110.0 + 20 * n).hu[CENTRES["L1"]].astype(np.float32) for n in range(4)]

    def look(hu: np.ndarray):
        found = segmenter.segment(hu, SPACING)
        masked = MaskedSlice(hu, found.probability, SPACING)
        return found, classifier.classify({"L1": masked})

    alone = [look(hu) for hu in slices]
    outlining, classifying = sizes_of(segmenter.network), sizes_of(classifier.network)
    found = beside_each_other(Gatherer(64), [lambda hu=hu: look(hu) for hu in slices])
    for (outline, opinion), (outline_alone, opinion_alone) in zip(found, alone, strict=True):
        np.testing.assert_allclose(outline.probability, outline_alone.probability, atol=TOLERANCE)
        assert (outline.mask != outline_alone.mask).sum() <= 1  # one that lies on the edge itself
        assert outline.confidence == pytest.approx(outline_alone.confidence, abs=TOLERANCE)
        assert opinion.category == opinion_alone.category
        assert opinion.probabilities == pytest.approx(opinion_alone.probabilities, abs=TOLERANCE)
    # Coarse passes of one slice, fine ones of two views, and the classifier's, each of all four studies.
    assert outlining[:2] == [4, 8]
    assert classifying == [4]


@pytest.mark.usefixtures("patient")
def test_a_batchs_process_gathers_and_finds_what_it_finds_ungathered(archive, undisturbed, tmp_path):
    settings = BatchSettings(
        segmentation_model=str(archive.folder / "segmentation"),
        classification_model=str(archive.folder / "classification"),
        device="cpu",
        force=True,
    )
    threads, answers, done = torch.get_num_threads(), {}, threading.Event()

    def reply(answer: dict) -> None:
        if "done" in answer:
            answers[answer["id"]] = json.loads(json.dumps(answer["done"]))
            if len(answers) == len(archive.ids) + 1:
                done.set()

    prepare_set(tmp_path, "set-1", {})
    studies = Studies()
    try:
        studies.handle({"id": 1, "do": "start", "settings": asdict(settings), "gather": 64}, reply)
        held = loaded.SEGMENTERS.get(load_bundle(archive.folder / "segmentation"), "cpu")
        sizes = sizes_of(held.network)
        with Turn(studies._turns):  # nobody computes before all are there
            for n, study_id in enumerate(archive.ids, 2):
                scan, l1, l2 = str(archive.scan(study_id)), f"#{CENTRES['L1']}", f"#{CENTRES['L2']}"
                whole = {
                    "bundles": used_bundles(settings),
                    "versions": versions(),
                    "timeout_s": PATIENCE_S,
                    "in_flight": 6,
                }
                order = Order(BatchStudy(study_id, scan, l1, l2), settings, str(tmp_path), "set-1", "hash", **whole)
                studies.handle({"id": n, "do": "screen", "order": order.to_json()}, reply)
            waited(lambda: len(studies._turns._waiting) == len(archive.ids))
        assert done.wait(PATIENCE_S)
    finally:
        torch.set_num_threads(threads)
    assert max(sizes) >= 6
    for n, study_id in enumerate(archive.ids, 2):
        outcome = Outcome.from_json(answers[n])
        state, _, measures, _, _, document, _ = undisturbed[study_id]
        assert outcome.state is not None and outcome.state.value == state
        found = {key: value for key, value in outcome.measures.items() if key != "time_s"}
        assert found == {
            key: pytest.approx(value, rel=1e-4, abs=1e-4) if isinstance(value, float) else value
            for key, value in measures.items()
        }
        mine = json.loads((tmp_path / "set-1").glob(f"*/{study_id}/{RESULT}").__next__().read_text())
        assert set(mine["timing_s"]) == {"read", "segment", "classify", "total"}
        assert 0 <= mine["timing_s"]["segment"] <= mine["timing_s"]["total"] <= answers[n]["seconds"] + 0.01
        assert mine["classification"]["category"] == document["classification"]["category"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--in-flight=0", "--in-flight is from 1 to 64."),
        ("--in-flight=65", "--in-flight is from 1 to 64."),
        ("--gather=0", "--gather is from 1 (no gathering) to 1024 slices."),
    ],
)
def test_wrong_numbers_are_told_before_anything_is_made(tmp_path, capsys, word, said):
    (tmp_path / "list.csv").write_text("ct,l1\nscan.nrrd,#1\n")
    assert main(["batch", str(tmp_path / "list.csv"), "-o", str(tmp_path / "out"), word]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
