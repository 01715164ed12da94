"""The localiser's parts: reading on the coarse grid, the centre line, the candidates, the network and its bundle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from OsteoScreenLib.ct import ct_from_array
from OsteoScreenLib.errors import BundleError
from OsteoScreenLib.localisation import centre_line, channels
from OsteoScreenLib.localisation.candidates import Candidate, Profile, find_candidates
from OsteoScreenLib.localisation.chain import decode
from OsteoScreenLib.localisation.evidence import evidence_from
from OsteoScreenLib.localisation.landmarks import landmark_terms, sacral_candidate
from OsteoScreenLib.localisation.localiser import Localiser, name_spine, see_spine
from OsteoScreenLib.localisation.priors import STEP_MM
from OsteoScreenLib.localisation.resample import TrunkGrid, read_trunk
from OsteoScreenLib.models import load_bundle, save_bundle
from OsteoScreenLib.networks import SpineLocaliser
from OsteoScreenLib.networks.fusion import fuse_batch_norm

CHANNELS = len(channels.CHANNELS)


def ct_of(hu, spacing=(3.0, 4.0, 4.0), origin=(100.0, 90.0, -300.0), downwards=False):
    dz, dy, dx = spacing
    matrix = np.diag([-dx, -dy, -dz if downwards else dz, 1.0])
    matrix[:3, 3] = origin
    return ct_from_array(hu, matrix)


def ramp(shape):
    return sum(np.indices(shape, float) * np.array([3.0, 5.0, 7.0])[:, None, None, None]).astype(np.float32)


# -- reading


def test_a_scan_on_the_grid_is_read_as_it_is():
    hu = ramp((20, 16, 18))
    trunk = read_trunk(ct_of(hu), trim=False)
    np.testing.assert_allclose(trunk.hu, hu, atol=1e-3)
    np.testing.assert_allclose(trunk.ras([2, 3, 5]), [100 - 20, 90 - 12, -300 + 6])
    np.testing.assert_allclose(trunk.places(trunk.ras([2.5, 3.2, 5.1])), [2.5, 3.2, 5.1])


@pytest.mark.parametrize(
    "spacing", [(1.5, 1.0, 1.0), (1.5, 0.8, 0.8), (0.75, 2.0, 2.0), (5.0, 0.98, 0.98), (2.0, 4.0, 4.0)]
)
@pytest.mark.parametrize("downwards", [False, True])
def test_any_scan_is_read_at_its_place(spacing, downwards):
    """A linear field keeps its values at their places through means and interpolation."""
    shape = tuple(round(mm / step) for mm, step in zip((60, 64, 72), spacing, strict=True))
    ct = ct_of(np.zeros(shape, np.float32), spacing, downwards=downwards)
    k, j, i = np.indices(shape)
    ras = ct.geometry.ras(i, j, k)
    ct = ct_of((ras @ [1.0, 2.0, 3.0]).astype(np.float32) + 500, spacing, downwards=downwards)
    trunk = read_trunk(ct, trim=False)
    inner = np.indices(trunk.hu.shape).reshape(3, -1).T
    inner = inner[((inner > 1) & (inner < np.array(trunk.hu.shape) - 2)).all(axis=1)]
    expected = trunk.ras(inner) @ [1.0, 2.0, 3.0] + 500
    np.testing.assert_allclose(trunk.hu[tuple(inner.T)], expected, atol=0.5)
    assert trunk.ras([5, 0, 0])[2] > trunk.ras([2, 0, 0])[2]


def test_not_more_slices_are_decoded_than_the_grid_needs():
    ct = ct_of(ramp((80, 16, 16)), (0.75, 4.0, 4.0))
    read_trunk(ct)
    assert ct.decoded_slices == 40


def test_the_air_about_the_body_is_left_out():
    hu = np.full((20, 40, 50), -1000, np.float32)
    hu[:, 10:30, 12:41] = 40
    trunk = read_trunk(ct_of(hu))
    assert trunk.hu.shape == (20, 24, 32)
    np.testing.assert_allclose(trunk.ras([0, 2, 2]), [100 - 4 * 12, 90 - 4 * 10, -300])


# -- evidence and centre line


def trunk_of(shape):
    slices, rows, columns = shape
    ct = ct_of(np.zeros((slices, 2 * rows, 2 * columns), np.float32))
    return read_trunk(ct, trim=False)


def logits(share):
    share = np.clip(share, 1e-4, 1 - 1e-4)
    return np.log(share / (1 - share))


def outputs_of(shape, columns, period=8.0):
    """A straight column at the rows and columns given per slice, its bodies ``period`` slices apart."""
    slices, height, width = shape
    outputs = np.zeros((CHANNELS, *shape), np.float32)
    outputs[: channels.RIBBED_RIGHT + 1] = -9.0
    v, u = np.mgrid[:height, :width]
    # The phase grows towards the feet; slices go from foot to head.
    turn = (slices - 1 - np.arange(slices)) / period
    for k in range(slices):
        share = np.exp(-0.5 * (np.hypot(v - columns[k][0], u - columns[k][1]) / 1.3) ** 4)
        body = np.cos(2 * np.pi * turn[k]) > -0.5
        outputs[channels.BODY if body else channels.DISC, k] = logits(share)
        outputs[channels.COS, k] = np.cos(2 * np.pi * turn[k])
        outputs[channels.SIN, k] = np.sin(2 * np.pi * turn[k])
    return outputs


def test_log_probabilities_and_shares():
    rng = np.random.default_rng(2)
    evidence = evidence_from(rng.normal(0, 3, (CHANNELS, 8, 4, 4)).astype(np.float32), trunk_of((8, 4, 4)))
    np.testing.assert_allclose(np.exp(evidence.names).sum(axis=0), 1.0, rtol=1e-5)
    assert 0 < evidence.body.min() < evidence.body.max() < 1
    # Row 1 of the evidence is rows 2 and 3 of the trunk, 4 mm apart.
    np.testing.assert_allclose(evidence.ras([3, 1, 2]), [100 - 4 * 4.5, 90 - 4 * 2.5, -300 + 9])


def test_the_path_is_the_best_of_all():
    rng = np.random.default_rng(3)
    gain = rng.normal(0, 0.3, (4, 2, 3)).astype(np.float32)
    best = (-np.inf, None, None)
    for first in range(4):
        for last in range(first, 4):
            for path in itertools.product(range(6), repeat=last - first + 1):
                places = [divmod(place, 3) for place in path]
                total = sum(float(gain[first + n][place]) for n, place in enumerate(places))
                for (j, i), (v, u) in itertools.pairwise(places):
                    aside = (abs(j - v), abs(i - u))
                    total -= centre_line.ASIDE * sum(aside) if max(aside) <= 1 else np.inf
                best = max(best, (total, tuple(range(first, last + 1)), path))
    ks, places = centre_line.best_path(gain)
    assert tuple(ks) == best[1]
    assert tuple(places) == best[2]


def test_a_leaning_column_is_followed_to_its_middle():
    shape = (40, 14, 16)
    truth = [(5 + 0.1 * k, 7.3 - 0.05 * k) for k in range(40)]
    line = centre_line.centre_line(evidence_from(outputs_of(shape, truth), trunk_of(shape)))
    assert line is not None and list(line[:, 0]) == list(range(39, -1, -1))
    np.testing.assert_allclose(line[4:-4, 1:], np.array(truth)[::-1][4:-4], atol=0.25)


def test_the_axis_told_of_a_body_does_not_follow_every_bend_of_the_line():
    """A spine that leans by 15 degrees; its evidence wavers by 4 mm sideways and back within five bodies' heights."""
    shape, lean = (80, 24, 20), 0.1
    truth = np.degrees(np.arctan(lean * 8 / 3))
    for begins in (0.0, 1.5, 3.0, 4.5):
        wavers = 0.5 * np.sin(2 * np.pi * np.arange(80) / 14 + begins)
        columns = [(6 + lean * k + wavers[k], 10.0) for k in range(80)]
        spine = name_spine(see_spine(evidence_from(outputs_of(shape, columns, period=9.0), trunk_of(shape))))
        axes = [np.subtract(vertebra.upper, vertebra.lower) for vertebra in spine.vertebrae[1:-1]]
        assert len(axes) >= 6
        told = [np.degrees(np.arccos(axis[2] / np.linalg.norm(axis))) for axis in axes]
        np.testing.assert_allclose(told, truth, atol=4.0)


def test_nothing_has_no_line():
    shape = (20, 8, 8)
    outputs = np.full((CHANNELS, *shape), -9.0, np.float32)
    evidence = evidence_from(outputs, trunk_of(shape))
    assert centre_line.centre_line(evidence) is None
    spine = name_spine(see_spine(evidence))
    assert spine.vertebrae == () and spine.probability == 0
    assert "No spine" in (spine.abstains or "")


# -- candidates


def profile_of(centres, length, noise=0.0, seed=0):
    """A profile of phases whose zeros are at ``centres`` mm."""
    t = np.arange(0.0, length)
    turn = np.interp(t, centres, np.arange(len(centres), dtype=float))
    before, after = t < centres[0], t > centres[-1]
    turn[before] = (t[before] - centres[0]) / (centres[1] - centres[0])
    turn[after] = len(centres) - 1 + (t[after] - centres[-1]) / (centres[-1] - centres[-2])
    rng = np.random.default_rng(seed)
    phase = np.exp(2j * np.pi * turn) + noise * (rng.normal(size=len(t)) + 1j * rng.normal(size=len(t)))
    body = (np.abs(turn - np.round(turn)) < 0.38).astype(float)
    zeros = np.zeros(len(t))
    return Profile(
        t=t,
        ras=np.stack([zeros, zeros, -t], axis=1),
        body=body,
        disc=1 - body,
        sacrum=zeros,
        ribbed=np.zeros((len(t), 2)),
        phase=phase,
        names=np.full((len(t), len(channels.NAMES)), -3.0),
    )


@pytest.mark.parametrize("noise", [0.0, 0.35])
def test_centres_are_found_between_the_samples(noise):
    centres = [12.4, 32.1, 53.0, 75.7, 100.2, 127.9, 160.3]
    found = find_candidates(profile_of(centres, 176, noise))
    np.testing.assert_allclose([candidate.t for candidate in found], centres, atol=0.6 if noise == 0 else 1.5)
    halves = [(c.lower - c.upper) / 2 for c in found[1:-1]]
    steps = np.diff(centres)
    np.testing.assert_allclose(halves, 0.38 * (steps[1:] + steps[:-1]) / 2, atol=1.2)


def test_no_phase_no_candidates():
    profile = profile_of([20.0, 50.0], 80)
    silent = Profile(**{**vars(profile), "phase": profile.phase * 0})
    assert find_candidates(silent) == []


# -- landmarks


def candidate(t, ribs=(0.0, 0.0), sacrum=0.0):
    return Candidate(t, t - 12, t + 12, 1.0, np.full(len(channels.NAMES), -3.0), ribs, sacrum)


def test_ribs_end_where_the_lumbar_spine_begins():
    steps = [STEP_MM[name] for name in ("T10", "T11", "T12", "L1", "L2")]
    at = np.concatenate([[0.0], np.cumsum(steps)])
    column = [candidate(t, (0.95, 0.95) if n < 3 else (0.05, 0.05)) for n, t in enumerate(at)]
    found = decode(4 * landmark_terms(column), steps)
    assert found.names == ("T10", "T11", "T12", "L1", "L2", "L3")
    unsure = decode(landmark_terms([candidate(t, (0.5, 0.5)) for t in at]), steps)
    assert unsure.marginals.max() < 0.5


def test_the_sacrum_is_s1_where_no_body_of_its_own_is_seen():
    centres = [20.0, 55.0, 92.0]
    profile = profile_of(centres, 140)
    assert sacral_candidate(profile, find_candidates(profile)) is None
    below = Profile(**{**vars(profile), "sacrum": (profile.t > 112).astype(float)})
    sacral = sacral_candidate(below, [candidate(t) for t in centres])
    assert sacral is not None and sacral.t == pytest.approx(127, abs=1)
    assert channels.NAMES[int(sacral.names.argmax())] == "S1"
    assert sacral_candidate(below, [candidate(92), candidate(125, sacrum=0.9)]) is None


# -- the network and its bundle


def description(**changes):
    return {
        "name": "tiny-localiser",
        "version": "0.0.1",
        "role": "localisation",
        "architecture": {"name": "spine_localiser", "parameters": {"out_channels": CHANNELS, "widths": [2, 4]}},
        "preprocessing": {"window_hu": [-300.0, 900.0], "grid_mm": list(channels.GRID_MM)},
        "classes": list(channels.CHANNELS),
        "training": {"data": "none: untrained", "kind": "none"},
        "metrics": [],
        "licence": "Apache-2.0",
        **changes,
    }


@pytest.mark.parametrize("shape", [(8, 16, 16), (13, 17, 22)])
def test_the_network_answers_on_half_the_plane(shape):
    network = SpineLocaliser(5, (2, 4, 6)).eval()
    slices, rows, columns = shape
    with torch.inference_mode():
        outputs = network(torch.rand(1, 1, *shape))
    assert outputs.shape == (1, 5, slices, -(-rows // 2), -(-columns // 2))


def test_batch_normalisation_folds_in_three_dimensions():
    torch.manual_seed(1)
    network = SpineLocaliser(3, (4, 6))
    x = torch.rand(1, 1, 8, 16, 16)
    network(x)
    network.eval()
    with torch.inference_mode():
        before = network(x)
        after = fuse_batch_norm(network)(x)
    assert not any(isinstance(module, torch.nn.BatchNorm3d) for module in network.modules())
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-4)


def test_every_parameter_of_the_network_gets_a_gradient():
    network = SpineLocaliser(3, (4, 6, 8))
    network(torch.rand(2, 1, 8, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in network.parameters())


def test_the_shipped_size_fits_in_six_megabytes():
    weights = sum(p.numel() for p in SpineLocaliser(CHANNELS).parameters())
    assert 2 * weights < 6_000_000


def test_a_bundle_runs_on_a_scan(tmp_path):
    torch.manual_seed(2)
    folder = tmp_path / "bundle"
    save_bundle(folder, description(postprocessing={"temperature": 7.5}), SpineLocaliser(CHANNELS, (2, 4)))
    localiser = Localiser(load_bundle(folder, "localisation"), "cpu")
    assert localiser.temperature == 7.5
    spine = localiser.localise(ct_of(ramp((24, 40, 40)) - 300))
    assert spine.abstains is not None or spine.namings


def test_in_a_scan_too_small_nothing_is_found_and_it_says_why(tmp_path):
    folder = tmp_path / "bundle"
    save_bundle(folder, description(), SpineLocaliser(CHANNELS, (2, 4)))
    spine = Localiser(load_bundle(folder), "cpu").localise(ct_of(ramp((3, 40, 40))))
    assert not spine.vertebrae
    assert "too little to find vertebrae" in (spine.abstains or "")


def test_a_bundle_for_other_channels_is_refused(tmp_path):
    folder = tmp_path / "bundle"
    other = description(
        classes=["body"], architecture={"name": "spine_localiser", "parameters": {"out_channels": 1, "widths": [2, 4]}}
    )
    save_bundle(folder, other, SpineLocaliser(1, (2, 4)))
    with pytest.raises(BundleError, match="channels"):
        Localiser(load_bundle(folder), "cpu")


def test_a_localisation_needs_its_grid(tmp_path):
    with pytest.raises(BundleError, match="grid_mm"):
        save_bundle(
            tmp_path / "bundle", description(preprocessing={"window_hu": [0.0, 1.0]}), SpineLocaliser(CHANNELS, (2, 4))
        )


def test_the_grid_goes_on_beyond_its_ends():
    trunk = trunk_of((8, 4, 4))
    assert isinstance(trunk, TrunkGrid)
    np.testing.assert_allclose(trunk.ras([-1, 0, 0]), [100, 90, -303])
    np.testing.assert_allclose(trunk.ras([9, 0, 0]), [100, 90, -300 + 27])
