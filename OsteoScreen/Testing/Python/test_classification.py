"""The classifier: what its network sees, what it answers, and what it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tiny_classifier import LIMITS_HU, WINDOW_HU, description, hand_made_classifier, write_tiny_classifier

from OsteoScreenLib.classification import Classifier, MaskedSlice, crop_centre
from OsteoScreenLib.densitometry import bmd, standardised_hu
from OsteoScreenLib.densitometry.calibration import NOMINAL_INTERCEPT, NOMINAL_SLOPE
from OsteoScreenLib.errors import BundleError, InputError, SegmentationFailed, UsageError
from OsteoScreenLib.models import load_bundle, save_bundle
from OsteoScreenLib.networks import build_network
from OsteoScreenLib.results import Calibration

NOMINAL = Calibration("nominal", NOMINAL_SLOPE, NOMINAL_INTERCEPT, "CaHA", 20.0)
OTHER = Calibration("scanner header", 0.9236, -1.6565, "CaHA", 10.0)
SIDE = 64


def masked(hu: float | np.ndarray, spacing: tuple[float, float] = (0.8, 0.8)) -> MaskedSlice:
    """A disc of 26 mm around the middle of a slice of air."""
    rows, columns = (np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2) * np.array(spacing)[:, None, None]
    inside = np.hypot(rows, columns) < 13.0
    return MaskedSlice(np.where(inside, hu, -1000.0).astype(np.float32), inside.astype(np.float32), spacing)


def classifier(folder, **changes) -> Classifier:
    return Classifier(load_bundle(write_tiny_classifier(folder / "bundle", **changes)), "cpu")


def seen_by(runner: Classifier, *arguments) -> torch.Tensor:
    """What the network is given."""
    inputs: list[torch.Tensor] = []
    hook = runner.network.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    runner.classify(*arguments)
    hook.remove()
    return inputs[0]


def windowed(hu: np.ndarray) -> torch.Tensor:
    low, high = WINDOW_HU
    return torch.from_numpy((hu - low) / (high - low)).clamp(0, 1).float()


# -- what it answers


@pytest.mark.parametrize("head", ["softmax", "ordinal"])
@pytest.mark.parametrize(
    ("hu", "category"), [(60.0, "osteoporosis"), (115.0, "osteopenia"), (200.0, "normal"), (-90.0, "osteoporosis")]
)
def test_the_class_follows_from_the_density(tmp_path, head, hu, category):
    found = classifier(tmp_path, head=head).classify({"L1": masked(hu), "L2": masked(hu)}, NOMINAL)
    assert (found.model, found.category, found.reason) == ("model1", category, None)
    assert list(found.probabilities) == ["normal", "osteopenia", "osteoporosis"]
    assert sum(found.probabilities.values()) == pytest.approx(1.0, abs=1e-12)
    assert max(found.probabilities, key=found.probabilities.get) == category


def test_both_heads_say_the_same_at_a_limit(tmp_path):
    for head in ("softmax", "ordinal"):
        runner = classifier(tmp_path / head, head=head)
        found = runner.classify({"L1": masked(LIMITS_HU[1]), "L2": masked(LIMITS_HU[1])}, NOMINAL)
        assert found.probabilities["normal"] == pytest.approx(0.5, abs=0.01)


def test_model_2_sees_l1_alone(tmp_path):
    runner = classifier(tmp_path, levels=("L1",))
    assert (runner.levels, runner.model) == (("L1",), "model2")
    alone = runner.classify({"L1": masked(60.0)}, NOMINAL)
    assert runner.classify({"L1": masked(60.0), "L2": masked(300.0)}, NOMINAL) == alone
    assert alone.category == "osteoporosis"


def test_levels_are_channels_in_order(tmp_path):
    seen = seen_by(classifier(tmp_path), {"L2": masked(100.0), "L1": masked(200.0)}, NOMINAL)
    torch.testing.assert_close(seen[0, :, 16, 16], windowed(np.array([200.0, 100.0])))


def test_the_temperature_divides_the_networks_values(tmp_path):
    slices = {"L1": masked(115.0), "L2": masked(115.0)}
    plain = classifier(tmp_path / "plain").classify(slices, NOMINAL).probabilities
    warm = classifier(tmp_path / "warm", postprocessing={"temperature": 2.0}).classify(slices, NOMINAL).probabilities
    values = torch.tensor(list(plain.values()), dtype=torch.double).log() / 2
    assert list(warm.values()) == pytest.approx(torch.softmax(values, dim=0).tolist(), abs=1e-6)
    assert max(warm.values()) < max(plain.values())


def test_the_weights_of_the_classes_in_the_loss_are_undone_before_the_temperature(tmp_path):
    weights = torch.tensor([0.5, 1.0, 3.0], dtype=torch.double)
    slices = {"L1": masked(115.0), "L2": masked(115.0)}
    plain = classifier(tmp_path / "plain").classify(slices, NOMINAL).probabilities
    values = torch.tensor(list(plain.values()), dtype=torch.double).log() - weights.log()
    for name, temperature in (("alone", {}), ("warm", {"temperature": 2.0})):
        runner = classifier(tmp_path / name, postprocessing={"class_weights": weights.tolist(), **temperature})
        expected = torch.softmax(values / temperature.get("temperature", 1.0), dim=0).tolist()
        found = runner.classify(slices, NOMINAL).probabilities
        assert list(found.values()) == pytest.approx(expected, abs=1e-6)
        assert found != pytest.approx(plain, abs=1e-3)


# -- HU of several scanners


def test_the_same_bone_on_two_scanners_is_the_same_to_the_network(tmp_path):
    runner, bone = classifier(tmp_path), 115.0
    other = (NOMINAL_SLOPE * bone + NOMINAL_INTERCEPT - OTHER.intercept) / OTHER.slope
    at_140 = other / 1.053
    nominal = runner.classify({"L1": masked(bone), "L2": masked(bone)}, NOMINAL).probabilities
    for hu, factor in ((other, 1.0), (at_140, 1.053)):
        there = runner.classify({"L1": masked(hu), "L2": masked(hu)}, OTHER, factor).probabilities
        assert there == pytest.approx(nominal, abs=1e-4)
    misread = runner.classify({"L1": masked(other), "L2": masked(other)}, NOMINAL).probabilities
    assert misread != pytest.approx(nominal, abs=1e-2)


def test_standardised_hu_keep_the_bmd_and_the_nominal_scanner():
    hu = np.array([-90.0, 0.0, 87.3, 412.5], np.float32)
    assert np.array_equal(standardised_hu(hu, NOMINAL), hu)
    assert torch.equal(standardised_hu(torch.from_numpy(hu), NOMINAL), torch.from_numpy(hu))
    for value in (-90.0, 87.3):
        assert bmd(standardised_hu(value, OTHER, 1.053), NOMINAL) == pytest.approx(bmd(value, OTHER, 1.053))


def test_a_bundle_of_measured_hu_needs_no_line(tmp_path):
    preprocessing = {**description()["preprocessing"], "hu": "measured"}
    runner = classifier(tmp_path, preprocessing=preprocessing)
    slices = {"L1": masked(115.0), "L2": masked(115.0)}
    assert runner.classify(slices) == runner.classify(slices, OTHER, 1.053)
    assert runner.classify(slices).category == "osteopenia"


# -- what it sees


def test_the_crop_is_centred_on_the_outline_to_the_pixel(tmp_path):
    crop = {"spacing_mm": 0.8, "size": 32}
    runner = classifier(tmp_path, levels=("L1",), preprocessing={**description(("L1",))["preprocessing"], "crop": crop})
    hu = np.random.default_rng(0).uniform(-150, 350, (SIDE, SIDE)).astype(np.float32)
    coverage = np.zeros((SIDE, SIDE), np.float32)
    coverage[20:24, 30:36] = 1.0
    assert crop_centre(coverage) == (22.0, 33.0)
    seen = seen_by(runner, {"L1": MaskedSlice(hu, coverage, (0.8, 0.8))}, NOMINAL)
    window = (slice(22 - 16, 22 + 16), slice(33 - 16, 33 + 16))
    torch.testing.assert_close(seen[0, 0], windowed(hu[window]) * torch.from_numpy(coverage[window]))


def test_a_coarser_crop_averages_before_it_samples(tmp_path):
    crop = {"spacing_mm": 1.6, "size": 32}
    runner = classifier(tmp_path, levels=("L1",), preprocessing={**description(("L1",))["preprocessing"], "crop": crop})
    hu = np.random.default_rng(0).uniform(-150, 350, (SIDE, SIDE)).astype(np.float32)
    coverage = np.zeros((SIDE, SIDE), np.float32)
    coverage[24:40, 24:40] = 1.0
    seen = seen_by(runner, {"L1": MaskedSlice(hu, coverage, (0.8, 0.8))}, NOMINAL)
    expected = windowed(hu.reshape(32, 2, 32, 2).mean(axis=(1, 3))) * torch.from_numpy(coverage[::2, ::2])
    torch.testing.assert_close(seen[0, 0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("inside", "centre"),
    [([(3, 5)], (3.5, 5.5)), ([(0, 0), (0, 1)], (0.5, 1.0)), ([(7, 2), (8, 2), (9, 2), (9, 3)], (8.75, 2.75))],
)
def test_the_centre_counts_pixels_inside_from_a_half(inside, centre):
    coverage = np.full((12, 12), 0.49, np.float32)
    for place in inside:
        coverage[place] = 0.5
    assert crop_centre(coverage) == pytest.approx(centre, abs=1e-12)


def test_without_a_crop_the_network_sees_the_whole_slice_at_512(tmp_path):
    whole = {key: value for key, value in description(("L1",))["preprocessing"].items() if key != "crop"}
    runner = classifier(tmp_path, levels=("L1",), preprocessing=whole)
    rng = np.random.default_rng(0)
    hu = rng.uniform(-150, 350, (512, 512)).astype(np.float32)
    coverage = (rng.uniform(size=(512, 512)) > 0.5).astype(np.float32)
    seen = seen_by(runner, {"L1": MaskedSlice(hu, coverage, (0.7, 0.7))}, NOMINAL)
    torch.testing.assert_close(seen[0, 0], windowed(hu) * torch.from_numpy(coverage), atol=1e-4, rtol=0)
    seen = seen_by(runner, {"L1": masked(100.0, (0.8, 1.6))}, NOMINAL)
    assert seen.shape == (1, 1, 512, 512)
    # 64 columns of 1.6 mm fill the field; 64 rows of 0.8 mm are half of it, so that 26 mm are 130 pixels either way.
    inside = seen[0, 0] > 0
    assert int(inside.any(dim=0).sum()) == pytest.approx(130, abs=9)
    assert int(inside.any(dim=1).sum()) == pytest.approx(130, abs=9)


# -- refused


def test_missing_parts_are_told(tmp_path):
    runner, whole = classifier(tmp_path), masked(100.0)
    with pytest.raises(UsageError, match="give L2"):
        runner.classify({"L1": whole}, NOMINAL)
    with pytest.raises(UsageError, match="line to BMD"):
        runner.classify({"L1": whole, "L2": whole})
    empty = dataclasses.replace(whole, coverage=np.full_like(whole.coverage, 0.4))
    with pytest.raises(SegmentationFailed, match="L2 is empty"):
        runner.classify({"L1": whole, "L2": empty}, NOMINAL)
    with pytest.raises(UsageError, match="own pixels"):
        runner.classify({"L1": dataclasses.replace(whole, coverage=whole.coverage[1:]), "L2": whole}, NOMINAL)
    with pytest.raises(InputError, match="finite"):
        runner.classify({"L1": masked(float("nan")), "L2": whole}, NOMINAL)


PREPROCESSING = description()["preprocessing"]
ARCHITECTURE = description()["architecture"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"classes": ["osteoporosis", "osteopenia", "normal"]}, "normal, osteopenia, osteoporosis, in this order"),
        ({"classes": ["normal", "osteoporosis"]}, "in this order"),
        ({"preprocessing": {**PREPROCESSING, "levels": ["L2", "L1"]}}, "levels"),
        ({"preprocessing": {**PREPROCESSING, "levels": ["L1"]}}, r"2 is not the number of levels, 1 \(L1\)"),
        ({"preprocessing": {key: PREPROCESSING[key] for key in ("window_hu", "hu")}}, "'levels' is a required"),
        ({"preprocessing": {key: PREPROCESSING[key] for key in ("window_hu", "levels")}}, "'hu' is a required"),
        ({"preprocessing": {**PREPROCESSING, "hu": "raw"}}, "hu"),
        ({"preprocessing": {**PREPROCESSING, "crop": {"spacing_mm": 1.0, "size": 16}}}, "32"),
        ({"postprocessing": {"temperature": 0}}, "temperature"),
        ({"postprocessing": {}}, "non-empty"),
        ({"postprocessing": {"class_weights": [1.0, 2.0]}}, "class_weights"),
        ({"postprocessing": {"class_weights": [1.0, 0.0, 2.0]}}, "class_weights"),
        ({"architecture": {**ARCHITECTURE, "parameters": {"in_channels": 1}}}, "1 is not the number of levels, 2"),
        ({"architecture": {**ARCHITECTURE, "parameters": {"base_width": 2}}}, "'in_channels' is a required"),
        ({"architecture": {**ARCHITECTURE, "parameters": {"in_channels": 2, "classes": 4}}}, "number of classes"),
        ({"architecture": {**ARCHITECTURE, "parameters": {"in_channels": 2, "head": "svm"}}}, 'head must be "softmax"'),
    ],
)
def test_a_description_that_contradicts_itself_is_no_bundle(tmp_path, changes, says):
    with pytest.raises(BundleError, match=says):
        save_bundle(tmp_path / "bundle", description(**changes), hand_made_classifier())
    assert not (tmp_path / "bundle").exists()


def test_another_kind_of_network_is_no_classifier(tmp_path):
    architecture = {"name": "unet", "parameters": {"in_channels": 2, "base_width": 2}}
    bundle = save_bundle(tmp_path / "unet", description(architecture=architecture), build_network(architecture))
    with pytest.raises(BundleError, match="not a classifier's"):
        Classifier(bundle, "cpu")
