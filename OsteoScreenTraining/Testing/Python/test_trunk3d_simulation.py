"""The simulated trunk: one seed is one trunk, and its truth is where its picture has it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from OsteoScreenTrainingLib.simulation.trunk3d import (
    BODY_LABELS,
    POSTERIOR_LABEL,
    REGIONS,
    RIB_LABELS,
    TrunkModel,
    label_names,
    simulate,
    simulate_trunk,
)

COARSE_MM = 5.0


@pytest.fixture(scope="module")
def whole():
    return simulate_trunk(4, 1, spacing_mm=COARSE_MM, region="whole", usual=True)


def _first(wanted, seed=9, most=400):
    return next(index for index in range(most) if wanted(TrunkModel(seed, index)))


def _voxels(trunk, points):
    ijk = np.linalg.inv(trunk.ijk_to_ras) @ np.c_[np.array(points), np.ones(len(points))].T
    return np.round(ijk[:3]).astype(int).T


def _centroid(trunk, label):
    k, j, i = np.nonzero(trunk.labels == label)
    return (trunk.ijk_to_ras @ np.array([i.mean(), j.mean(), k.mean(), 1.0]))[:3]


# -- seeds


def test_the_same_seed_gives_the_same_trunk():
    first, again = (simulate_trunk(5, 2, spacing_mm=8.0) for _ in range(2))
    assert (first.hu == again.hu).all() and (first.labels == again.labels).all()
    assert first.truth == again.truth
    assert (first.ijk_to_ras == again.ijk_to_ras).all()


def test_another_number_is_another_trunk():
    spines = {simulate_trunk(5, index, spacing_mm=12.0).truth.spine for index in range(3)}
    spines.add(simulate_trunk(6, 0, spacing_mm=12.0).truth.spine)
    assert len(spines) == 4


def test_spacing_changes_no_anatomy():
    fine, coarse = (simulate_trunk(5, 3, spacing_mm=mm, region="chest").truth for mm in (6.0, 9.0))
    assert fine.spine == coarse.spine
    common = {v.name for v in fine.vertebrae} & {v.name for v in coarse.vertebrae}
    assert len(common) > 10
    for name in common:
        assert fine.vertebra(name).centre == coarse.vertebra(name).centre


def test_region_changes_no_anatomy():
    chest, abdomen = (simulate_trunk(5, 4, spacing_mm=9.0, region=name).truth for name in ("chest", "abdomen"))
    assert chest.spine == abdomen.spine


def test_slabs_leave_no_seams(monkeypatch):
    at_once = simulate_trunk(5, 6, spacing_mm=8.0, region="trunk")
    monkeypatch.setattr(simulate, "SLAB_VOXELS", at_once.hu[0].size * 7)
    in_slabs = simulate_trunk(5, 6, spacing_mm=8.0, region="trunk")
    assert (at_once.labels != in_slabs.labels).mean() < 1e-4
    assert np.percentile(np.abs(at_once.hu.astype(int) - in_slabs.hu), 99.9) <= 1


# -- the picture


def test_a_trunk_is_ct(whole):
    assert whole.hu.dtype == np.int16 and whole.labels.dtype == np.uint8
    assert whole.hu.shape == whole.labels.shape
    assert -1024 <= whole.hu.min() < -900 and 300 < whole.hu.max() <= 3071
    assert set(np.unique(whole.labels)) <= {0, *label_names()}
    share = (whole.hu > -300).mean()
    assert 0.15 < share < 0.95


def test_every_bone_of_the_usual_column_is_labelled(whole):
    found = set(np.unique(whole.labels))
    for v in whole.truth.vertebrae:
        if v.whole:
            assert BODY_LABELS[v.name] in found, v.name
            if v.name not in ("C1", "S1"):
                assert POSTERIOR_LABEL + BODY_LABELS[v.name] in found, v.name
    assert {first + n for first in RIB_LABELS.values() for n in range(1, 13)} <= found | _out_of_view(whole)


def _out_of_view(trunk):
    return {RIB_LABELS[r.side] + r.number for r in trunk.truth.ribs if r.visible < 0.2} | (
        {first + n for first in RIB_LABELS.values() for n in range(1, 13)}
        - {RIB_LABELS[r.side] + r.number for r in trunk.truth.ribs}
    )


def test_bone_is_brighter_than_disc_and_lung_is_dark():
    trunk = simulate_trunk(12, _first(lambda m: m.person.trabecular_hu > 150, 12), spacing_mm=3.0, region="part")
    body = np.isin(trunk.labels, list(BODY_LABELS.values()))
    assert trunk.hu[body].mean() > trunk.hu[trunk.labels == 30].mean() + 40


@pytest.mark.parametrize("index", range(4))
def test_centres_are_where_the_labels_are(index):
    trunk = simulate_trunk(21, index, spacing_mm=4.0)
    checked = 0
    for v in trunk.truth.vertebrae:
        # C1's label is its ring. Screws, bridges and cracks take nothing from a body's label.
        if v.whole and v.name != "C1":
            assert np.abs(_centroid(trunk, BODY_LABELS[v.name]) - v.centre).max() < 2.6, v.name
            checked += 1
    assert checked >= 2


def test_slices_from_head_to_foot_keep_their_places():
    index = _first(lambda m: m.view.downwards)
    trunk = simulate_trunk(9, index, spacing_mm=5.0)
    assert trunk.ijk_to_ras[2, 2] == -5.0
    v = next(v for v in trunk.truth.vertebrae if v.whole)
    assert np.abs(_centroid(trunk, BODY_LABELS[v.name]) - v.centre).max() < 3.5


# -- the truth


def test_vertebrae_are_in_order_and_apart(whole):
    found = whole.truth.vertebrae
    assert [v.number for v in found] == list(range(found[0].number, found[-1].number + 1))
    for upper, lower in itertools.pairwise(found):
        assert upper.centre[2] > lower.centre[2]
        gap = np.linalg.norm(np.subtract(upper.lower, lower.upper))
        assert 0.5 < gap < 20, (upper.name, lower.name)


def test_axes_are_left_posterior_and_up(whole):
    for v in whole.truth.vertebrae:
        axes = np.array(v.axes)
        assert np.allclose(axes @ axes.T, np.eye(3), atol=1e-4)
        assert axes[0, 0] < -0.7 and axes[1, 1] < -0.5 and axes[2, 2] > 0.5
        up = np.subtract(v.upper, v.lower)
        assert axes[2] @ up / np.linalg.norm(up) > 0.96


def test_ribs_start_at_their_vertebra_and_go_out_and_down(whole):
    ribs = whole.truth.ribs
    assert len(ribs) == 24
    for rib in ribs:
        v = whole.truth.vertebra(rib.vertebra)
        assert rib.vertebra == f"T{rib.number}" and rib.side in v.ribs
        head, line = np.array(rib.head), np.array(rib.line)
        assert np.linalg.norm(head - v.centre) < 45
        side = -1 if rib.side == "left" else 1
        assert side * (head[0] - v.centre[0]) > 0
        assert line[-1, 2] < line[0, 2]
        assert rib.length_mm == pytest.approx(np.linalg.norm(np.diff(line, axis=0), axis=1).sum(), rel=0.06)


def test_a_rib_s_line_runs_in_its_label():
    trunk = simulate_trunk(31, 0, spacing_mm=3.0, region="chest", usual=True)
    shares = []
    for rib in trunk.truth.ribs:
        ijk = _voxels(trunk, rib.line)
        inside = ((ijk >= 0) & (ijk < trunk.hu.shape[::-1])).all(axis=1)
        if inside.sum() > 5:
            i, j, k = ijk[inside].T
            shares.append((trunk.labels[k, j, i] == RIB_LABELS[rib.side] + rib.number).mean())
    assert len(shares) > 10 and np.median(shares) > 0.9


def test_what_is_out_of_view_is_not_told():
    truth = simulate_trunk(5, 7, spacing_mm=6.0, region="chest").truth
    assert truth.vertebra("L5") is None
    top, bottom = truth.vertebrae[0], truth.vertebrae[-1]
    assert top.visible < 1 or bottom.visible < 1
    assert all(v.whole == (v.visible >= 0.985) for v in truth.vertebrae)


def test_a_fracture_takes_height():
    def broken(model):
        return any(f.middle > 0.25 for f in model.anomalies.fractures.values())

    model = TrunkModel(9, _first(broken))
    name = next(n for n, f in model.anomalies.fractures.items() if f.middle > 0.25)
    v = model.spine[name]
    upper, lower = v.endplates()
    assert np.linalg.norm(upper - lower) < 0.8 * 2 * v.half_height


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_can_be_asked_for(region):
    trunk = simulate_trunk(5, 8, spacing_mm=10.0, region=region)
    assert trunk.truth.conditions["region"] == region and trunk.truth.vertebrae


def test_what_cannot_be_asked_for():
    with pytest.raises(ValueError, match="spacing"):
        simulate_trunk(1, spacing_mm=0.0)
    with pytest.raises(ValueError, match="region"):
        simulate_trunk(1, region="knee")
