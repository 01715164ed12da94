"""Training the localiser: targets, what the reading makes of them, blocks, loss, and a run to its bundle."""

from __future__ import annotations

import argparse
import dataclasses
import json

import numpy as np
import pytest
import torch

from OsteoScreenLib.ct import ct_from_array
from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.localisation import channels
from OsteoScreenLib.localisation.evidence import evidence_from
from OsteoScreenLib.localisation.localiser import Localiser, name_spine, see_spine
from OsteoScreenLib.localisation.resample import read_trunk
from OsteoScreenLib.models import load_bundle
from OsteoScreenTrainingLib.cli import evaluate
from OsteoScreenTrainingLib.evaluation import localisation_cases
from OsteoScreenTrainingLib.evaluation.localisation import (
    fit_naming_temperature,
    naming_losses,
    score_case,
    summarise,
)
from OsteoScreenTrainingLib.evaluation.localisation_cases import KnownVertebra, LocalisationCase, groups_of
from OsteoScreenTrainingLib.evaluation.localisation_report import draw_spine, write_json, write_tables
from OsteoScreenTrainingLib.simulation.trunk3d import TrunkModel, simulate_trunk
from OsteoScreenTrainingLib.simulation.trunk3d.writing import write_volume
from OsteoScreenTrainingLib.training import localisation_targets as targets
from OsteoScreenTrainingLib.training.config import defaults, from_dict
from OsteoScreenTrainingLib.training.localisation_loss import localisation_loss, localisation_losses
from OsteoScreenTrainingLib.training.localisation_task import BLOCKS, cut_block, mirrored
from OsteoScreenTrainingLib.training.running import export, train
from OsteoScreenTrainingLib.training.tasks import open_task
from OsteoScreenTrainingLib.training.trunk_store import Trunk, TrunkStore

SEED = 31


def found_model(wanted, region, most=600):
    """The first trunk of the stream whose model is wanted, as an index."""
    return next(index for index in range(most) if wanted(TrunkModel(SEED, index, region=region)))


def logits(share):
    share = np.clip(share, 0.002, 0.998)
    return np.log(share / (1 - share))


def ideal_outputs(target, sure=4.0):
    """What a network that has learned everything would answer."""
    plane = target.astype(np.float32)
    outputs = np.zeros((len(channels.CHANNELS), *target.shape[1:]), np.float32)
    for channel, of in enumerate((targets.BODY, targets.DISC, targets.SACRUM, targets.RIB)):
        outputs[channel] = logits(plane[of] / 255)
    bits = target[targets.RIBBED]
    outputs[channels.RIBBED_LEFT] = np.where(bits & targets.LEFT_BIT, 4.0, -4.0)
    outputs[channels.RIBBED_RIGHT] = np.where(bits & targets.RIGHT_BIT, 4.0, -4.0)
    outputs[channels.COS] = (plane[targets.COS] - 128) / 127
    outputs[channels.SIN] = (plane[targets.SIN] - 128) / 127
    for place in range(len(channels.NAMES)):
        outputs[channels.FIRST_NAME + place] = np.where(target[targets.NAME] == place, sure, 0.0)
    return outputs


def seen(trunk, sure=4.0):
    """The sighting of a trunk by a network that has learned everything."""
    hu, labels, matrix = targets.upright(trunk)
    target = targets.make_targets(labels, matrix, trunk.truth)
    grid = read_trunk(ct_from_array(hu, matrix), trim=False)
    return see_spine(evidence_from(ideal_outputs(target, sure), grid))


def named(trunk, sure=4.0, temperature=1.0):
    return name_spine(seen(trunk, sure), temperature)


def whole(trunk):
    return [v for v in trunk.truth.vertebrae if v.visible > 0.8]


def assert_found(trunk, spine, mm=6.0):
    by_name = {v.name: v for v in spine.vertebrae}
    for v in whole(trunk):
        if v.name in ("C1", "C2"):
            continue  # the dens has no body of its own: there is nothing between them
        assert v.name in by_name, f"{v.name} was not named"
        assert np.linalg.norm(np.array(by_name[v.name].centre) - v.centre) < mm


@pytest.fixture(scope="module")
def chest():
    return simulate_trunk(SEED, 3, spacing_mm=channels.GRID_MM, region="chest", usual=True)


# -- targets


def test_targets_stand_from_foot_to_head_whatever_the_file(chest):
    hu, labels, matrix = targets.upright(chest)
    assert matrix[2, 2] > 0 and matrix[0, 0] < 0 and matrix[1, 1] < 0
    target = targets.make_targets(labels, matrix, chest.truth)
    assert target.shape == (targets.PLANES, hu.shape[0], hu.shape[1] // 2, hu.shape[2] // 2)
    for v in whole(chest)[1:-1]:
        ijk = np.linalg.inv(matrix) @ [*v.centre, 1.0]
        k, j, i = round(ijk[2]), round((ijk[1] - 0.5) / 2), round((ijk[0] - 0.5) / 2)
        here = target[:, k, j, i]
        assert channels.NAMES[here[targets.NAME]] == v.name
        assert here[targets.BODY] > 128 and here[targets.DISC] < 64
        assert here[targets.COS] > 200
        assert bool(here[targets.RIBBED]) == bool(v.ribs)


def test_the_phase_grows_towards_the_feet(chest):
    _, labels, matrix = targets.upright(chest)
    target = targets.make_targets(labels, matrix, chest.truth)
    v = chest.truth.vertebra("T9")
    ijk = np.linalg.inv(matrix) @ [*(np.array(v.centre) + np.array(v.lower)) / 2, 1.0]
    below = target[:, round(ijk[2]), round((ijk[1] - 0.5) / 2), round((ijk[0] - 0.5) / 2)]
    assert below[targets.SIN] > 160


def test_mirroring_exchanges_the_sides():
    target = np.zeros((targets.PLANES, 1, 1, 3), np.uint8)
    target[targets.RIBBED, 0, 0] = [targets.LEFT_BIT, 0, targets.LEFT_BIT | targets.RIGHT_BIT]
    hu, turned = mirrored(np.arange(6, dtype=np.int16).reshape(1, 1, 6), target)
    assert hu.ravel().tolist() == [5, 4, 3, 2, 1, 0]
    assert turned[targets.RIBBED].ravel().tolist() == [3, 0, targets.RIGHT_BIT]


# -- reading what a perfect network would answer


@pytest.mark.parametrize("region", ["chest", "trunk", "abdomen"])
def test_a_usual_spine_is_named(region):
    trunk = simulate_trunk(SEED, 5, spacing_mm=channels.GRID_MM, region=region, usual=True)
    spine = named(trunk)
    assert_found(trunk, spine)
    assert spine.abstains is None
    assert spine.probability > 0.95
    assert {naming.shift for naming in spine.namings} <= {0, -1, 1}


ODD = {
    "eleven pairs": (lambda m: "T12" not in m.anomalies.ribs, "trunk"),
    "thirteen pairs": (lambda m: "T13" in m.anomalies.names and len(m.anomalies.names) == 26, "trunk"),
    "four lumbar": (lambda m: "L5" not in m.anomalies.names and "T13" not in m.anomalies.names, "trunk"),
    "six lumbar": (lambda m: "L6" in m.anomalies.names, "trunk"),
}


@pytest.mark.parametrize("odd", list(ODD))
def test_spines_of_another_count_are_named(odd):
    wanted, region = ODD[odd]
    index = found_model(wanted, region)
    trunk = simulate_trunk(SEED, index, spacing_mm=channels.GRID_MM, region=region)
    assert_found(trunk, named(trunk, sure=8.0), mm=10.0)


def test_the_reasons_name_the_last_rib_and_the_sacrum(chest):
    words = " ".join(named(chest).reasons)
    assert "The lowest rib-bearing vertebra is T12" in words
    assert "The sacrum is not in the field of view." in words
    trunk = simulate_trunk(SEED, 5, spacing_mm=channels.GRID_MM, region="trunk", usual=True)
    assert "The sacrum begins at S = " in " ".join(named(trunk).reasons)


def test_a_part_of_the_thorax_alone_is_not_counted():
    def inside(model):
        spine, view = model.spine, model.view
        return spine["T4"].centre[2] > view.high[2] and view.low[2] > spine["T11"].centre[2]

    index = found_model(inside, "part")
    spine = named(simulate_trunk(SEED, index, spacing_mm=channels.GRID_MM, region="part"), sure=0.5, temperature=4.0)
    assert spine.abstains is not None


def test_a_body_that_is_not_seen_is_passed_over(chest):
    sighting = seen(chest)
    names = [v.name for v in name_spine(sighting, 1.0).vertebrae]
    gone = names.index("T8")
    fewer = dataclasses.replace(sighting, candidates=(*sighting.candidates[:gone], *sighting.candidates[gone + 1 :]))
    assert [v.name for v in name_spine(fewer, 1.0).vertebrae] == [name for name in names if name != "T8"]


def test_bodies_at_the_ends_are_cut(chest):
    truth = {v.name: v.whole for v in chest.truth.vertebrae}
    found = {v.name: v.whole for v in named(chest).vertebrae}
    assert all(found[name] for name, is_whole in truth.items() if is_whole and name in found and name[1:] != "1")
    assert not any(found[name] for name, is_whole in truth.items() if name in found and not is_whole)


# -- blocks, loss, store


@pytest.mark.parametrize("shape", BLOCKS)
def test_blocks_keep_picture_and_targets_together(tmp_path, chest, shape):
    _, labels, matrix = targets.upright(chest)
    target = targets.make_targets(labels, matrix, chest.truth)
    # The picture is made to say which body is where.
    named_hu = np.repeat(np.repeat(target[targets.NAME], 2, axis=1), 2, axis=2).astype(np.int16)
    for seed in range(3):
        block, wanted = cut_block(Trunk(named_hu, target), shape, np.random.default_rng(seed))
        assert block.shape == shape
        assert wanted.shape == (targets.PLANES, shape[0], shape[1] // 2, shape[2] // 2)
        valid = wanted[targets.VALID] > 0
        assert valid.any()
        np.testing.assert_array_equal(block[:, ::2, ::2][valid], wanted[targets.NAME][valid])
        assert (block[:, ::2, ::2][~valid] == -1024).all()


def test_the_loss_falls_with_the_right_answer(chest):
    _, labels, matrix = targets.upright(chest)
    target = targets.make_targets(labels, matrix, chest.truth)
    right = torch.from_numpy(ideal_outputs(target))[None]
    wanted, options = torch.from_numpy(target)[None], defaults("localisation").localisation
    parts = localisation_losses(right, wanted)
    assert float(parts["phase"]) < 1e-3 and float(parts["names"]) < 0.5 and float(parts["ribs"]) < 0.05
    assert float(localisation_loss(right, wanted, options)) < 0.3 * float(
        localisation_loss(torch.zeros_like(right), wanted, options)
    )


def test_a_block_without_a_spine_has_a_loss_all_the_same():
    target = torch.zeros((1, targets.PLANES, 4, 2, 2), dtype=torch.uint8)
    target[:, targets.NAME] = targets.NO_NAME
    outputs = torch.zeros((1, len(channels.CHANNELS), 4, 2, 2), requires_grad=True)
    loss = localisation_loss(outputs, target, defaults("localisation").localisation)
    loss.backward()
    assert torch.isfinite(loss)


def test_a_store_makes_each_trunk_once(tmp_path):
    store = TrunkStore(tmp_path / "trunks", 4)
    first = store.read(0)
    written = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "trunks").iterdir()}
    again = TrunkStore(tmp_path / "trunks", 4).read(0)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "trunks").iterdir()} == written
    np.testing.assert_array_equal(first.hu, again.hu)
    np.testing.assert_array_equal(first.targets, again.targets)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "something.txt").write_text("else")
    with pytest.raises(UsageError, match="name a new folder"):
        TrunkStore(tmp_path, 1)
    (tmp_path / "trunks.json").write_text(json.dumps({"schema": "another"}))
    with pytest.raises(UsageError, match="another generator"):
        TrunkStore(tmp_path, 1)


# -- a run, from its configuration to its bundle


def tiny_config(**changes):
    return from_dict(
        {
            "task": "localisation",
            "network": {
                "name": "spine_localiser",
                "parameters": {"out_channels": len(channels.CHANNELS), "widths": [4, 8]},
            },
            "steps": 3,
            "batch": 2,
            "device": "cpu",
            "precision": "float32",
            "localisation": {"trunks": 2, "held_out": 1, "calibration": 1, "workers": 0},
            "validation": {"every_steps": 2},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("localisation")
    config = tiny_config()
    task = open_task(config, [folder / "trunks"])
    train(config, task, folder / "run")
    return folder, config, task, export(config, task, folder / "run")


def test_a_run_ends_in_a_bundle_that_localises(run, chest):
    bundle = load_bundle(run[3], "localisation")
    assert bundle.classes == channels.CHANNELS
    assert [metric["name"] for metric in bundle.description["metrics"]]
    Localiser(bundle, "cpu").localise(ct_from_array(chest.hu, chest.ijk_to_ras))


@pytest.mark.parametrize(("fitted", "kept"), [(1.0, 4.0), (8.0, 8.0)])
def test_names_are_never_believed_as_much_as_simulation_would_have_them(run, monkeypatch, fitted, kept):
    task = run[2]
    monkeypatch.setattr(task, "fit_temperature", lambda network: fitted)
    assert task.bundle_description(task.make_network())["postprocessing"] == {"temperature": kept}


def test_a_run_goes_on_and_loads_the_same_blocks(run):
    folder, config, task, _ = run
    longer = dataclasses.replace(config, steps=4)
    ending = train(longer, open_task(longer, [folder / "trunks"]), folder / "run", resume=True)
    assert ending is not None and "budget" in ending.reason
    one, other = task.load(1, slice(0, 2)), open_task(config, [folder / "trunks"]).load(1, slice(0, 2))
    assert torch.equal(one.hu, other.hu) and torch.equal(one.targets, other.targets)


def test_only_one_folder_keeps_the_trunks(tmp_path):
    with pytest.raises(UsageError, match="one folder"):
        open_task(tiny_config(), [tmp_path / "a", tmp_path / "b"])


# -- the evaluation


def case_of(trunk):
    known = tuple(KnownVertebra(v.name, v.alternatives, v.centre, v.whole) for v in trunk.truth.vertebrae)
    ct = ct_from_array(trunk.hu, trunk.ijk_to_ras)
    return LocalisationCase("a chest", "simulated", ct, known, groups_of(trunk.truth), True)


def test_a_perfect_network_scores_perfectly(run, chest, monkeypatch, tmp_path):
    localiser = Localiser(load_bundle(run[3]), "cpu")
    hu, labels, matrix = targets.upright(chest)
    outputs = ideal_outputs(targets.make_targets(labels, matrix, chest.truth), 8.0)
    grid = read_trunk(ct_from_array(hu, matrix), trim=False)
    evidence = evidence_from(outputs, grid)
    monkeypatch.setattr(localiser.network, "look", lambda trunk: evidence)
    localiser.temperature = 1.0
    score = score_case(localiser, case_of(chest))
    found = [v for v in score.vertebrae if v.whole]
    assert all(v.right for v in found) and score.spurious == 0
    assert {level.outcome for level in score.levels} <= {"right", "none"}
    summary = summarise([score])
    assert summary["all"]["confident_right"] == 1.0
    assert summary[groups_of(chest.truth)[0]]["scans"] == 1
    write_tables(tmp_path, [score])
    write_json(tmp_path / "summary.json", summary)
    assert (tmp_path / "vertebrae.csv").read_text().count("\n") == len(score.vertebrae) + 1
    picture = draw_spine(evidence, name_spine(see_spine(evidence), 1.0), case_of(chest).vertebrae)
    assert picture.height > 300


def test_the_temperature_is_higher_where_the_evidence_is_wrong(chest):
    case, right = case_of(chest), seen(chest, sure=6.0)
    order = channels.NAMES
    shifted = dataclasses.replace(
        right,
        candidates=tuple(dataclasses.replace(c, names=np.roll(c.names, 1)) for c in right.candidates),
    )
    assert len(order) == len(right.candidates[0].names)
    assert naming_losses([(right, case)], 1.0)[0] < 0.05
    sure = fit_naming_temperature([(right, case)] * 3)
    unsure = fit_naming_temperature([(right, case)] * 3 + [(shifted, case)] * 2)
    assert unsure > sure


def test_the_command_scores_scans_and_trunks(run, chest, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "a-scan"
    folder.mkdir()
    write_volume(folder / "ct.nrrd", chest.hu, chest.ijk_to_ras)
    x, y, z = chest.truth.vertebra("T9").centre
    outline = {"level": "T9", "is_level_centre_slice": True, "z_ras_mm": z, "polygon_ras_mm": [[x, y], [x, y]]}
    (folder / "outlines.json").write_text(json.dumps([outline]))
    monkeypatch.setattr(localisation_cases, "PIXELS_MM", 5.0)
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    out = tmp_path / "out"
    arguments = ["localisation", "--data", str(folder), "--model", str(run[3]), "-o", str(out), "--most", "1"]
    assert evaluate.run(parser.parse_args([*arguments, "--device", "cpu"])) == 0
    assert "a-scan: T9" in capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    assert summary["simulated"]["all"]["scans"] == 1 and summary["real"]["all"]["scans"] == 1
    assert {path.name for path in out.iterdir()} >= {"vertebrae.csv", "levels.csv", "cases.json", "a-scan.png"}
