"""The networks have the shapes, widths and counts of the paper's figures."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from OsteoScreenLib.errors import BundleError
from OsteoScreenLib.networks import (
    ResNet101,
    StudyClassifier,
    StudySegmentationNetwork,
    UNet,
    build_network,
)
from OsteoScreenLib.networks.fusion import fuse_batch_norm

SMALL = {
    "study_segmentation": {"base_width": 4},
    "unet": {"base_width": 4},
    "study_classifier": {"base_width": 4},
    "resnet101": {"base_width": 4},
}


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def normalised(inputs: int, outputs: int, kernel: int) -> int:
    """Count a convolution without bias and the two numbers a channel of its batch normalisation."""
    return outputs * (inputs * kernel**2 + 2)


def biased(inputs: int, outputs: int, kernel: int) -> int:
    return outputs * (inputs * kernel**2) + outputs


def study_network_count(w: list[int]) -> int:
    """Count Figure 2 layer by layer, independently of the code."""
    encoder = sum(normalised(i, o, 1) + 2 * normalised(o, o, 3) for i, o in zip([1, *w[:4]], w[:5], strict=True))
    deep = normalised(w[4], w[5], 2) + 2 * normalised(w[5], w[5], 3) + normalised(w[5], w[6], 2)
    attention = biased(w[6], w[5], 2) + biased(2 * w[5], w[5], 1) + biased(w[5], w[5], 1)
    decoder = sum(biased(w[k + 1], w[k], 2) + normalised(2 * w[k], w[k], 3) for k in range(5))
    return encoder + deep + attention + decoder + biased(w[0], 1, 1)


def unet_count(w: list[int]) -> int:
    """Count Ronneberger's levels at the widths ``w``, with batch normalisation in the place of biases."""
    encoder = sum(normalised(i, o, 3) + normalised(o, o, 3) for i, o in zip([1, *w[:-1]], w, strict=True))
    decoder = sum(
        biased(w[k + 1], w[k], 2) + normalised(2 * w[k], w[k], 3) + normalised(w[k], w[k], 3) for k in range(4)
    )
    return encoder + decoder + biased(w[0], 1, 1)


def randomise_batch_norm(network: nn.Module) -> nn.Module:
    """Give the normalisations statistics and scales of their own, as training would."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network


def test_the_study_network_has_the_sides_and_widths_of_figure_2():
    network = StudySegmentationNetwork().eval()
    with torch.no_grad():
        features = network.encode(torch.zeros(1, 1, 512, 512))
    assert [f.shape[-1] for f in features] == [512, 256, 128, 64, 32, 16, 8]
    assert [f.shape[1] for f in features] == [16, 32, 64, 128, 256, 256, 256]


def test_the_larger_preset_doubles_every_width():
    assert StudySegmentationNetwork(base_width=32).widths == [32, 64, 128, 256, 512, 512, 512]


def test_the_sixth_and_seventh_levels_halve_by_a_strided_convolution():
    network = StudySegmentationNetwork()
    for convolution in (network.encoder[5][0][0], network.bottom[0]):
        assert (convolution.kernel_size, convolution.stride) == ((2, 2), (2, 2))
    assert all(network.encoder[level][0][0].kernel_size == (1, 1) for level in range(5))


def test_the_unet_has_five_levels():
    network = UNet().eval()
    with torch.no_grad():
        features = network.encode(torch.zeros(1, 1, 512, 512))
    assert [f.shape[-1] for f in features] == [512, 256, 128, 64, 32]
    assert [f.shape[1] for f in features] == [16, 32, 64, 128, 256]


@pytest.mark.parametrize(
    ("network", "count"),
    [
        (StudySegmentationNetwork, study_network_count([16, 32, 64, 128, 256, 256, 256])),
        (UNet, unet_count([16, 32, 64, 128, 256])),
        # The published 44,549,160 of ResNet-101 less its 1000 classes and third channel, plus three classes.
        (ResNet101, 44_549_160 - 2_049_000 + 6_147 - 64 * 49),
    ],
)
def test_parameter_counts(network, count):
    assert parameters(network()) == count


def test_the_study_classifier_has_units_3_4_6_3_and_halves_four_times():
    network = StudyClassifier(in_channels=2).eval()
    assert [len(stage) for stage in network.stages] == [3, 4, 6, 3]
    assert network.widths == [64, 128, 256, 512]
    assert [stage[0].body[0][0].stride[0] for stage in network.stages] == [1, 2, 2, 2]
    assert isinstance(network.stages[0][0].shortcut, nn.Identity)
    assert network.stages[1][0].shortcut[0].kernel_size == (1, 1)
    with torch.no_grad():
        y = network.stem(torch.zeros(1, 2, 512, 512))
        sides = [y.shape[-1]] + [(y := stage(y)).shape[-1] for stage in network.stages]
    assert sides == [128, 128, 64, 32, 16]


def test_resnet101_has_units_3_4_23_3():
    assert [len(stage) for stage in ResNet101(base_width=4).stages] == [3, 4, 23, 3]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", ["study_classifier", "resnet101"])
def test_classifiers_take_one_or_two_levels(name, channels):
    network = build_network({"name": name, "parameters": {**SMALL[name], "in_channels": channels}}).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, channels, 96, 96)).shape == (2, 3)


@pytest.mark.parametrize("name", ["study_segmentation", "unet"])
@pytest.mark.parametrize("size", [(64, 64), (100, 130), (512, 511), (1, 65)])
def test_any_size_comes_back(name, size):
    network = build_network({"name": name, "parameters": SMALL[name]}).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, *size)).shape == (1, 1, *size)


def test_padding_does_not_change_what_lies_far_from_it():
    network = StudySegmentationNetwork(base_width=4).eval()
    image = torch.rand(1, 1, 64, 640)
    image[..., 600:] = image[..., 599:600]
    with torch.no_grad():
        # Level 6's attention sees the whole picture, so that equality holds only with it switched off.
        network.attention.weights[-2].weight.zero_()
        whole, cut = network(image), network(image[..., :600])
    torch.testing.assert_close(whole[..., :300], cut[..., :300], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_every_parameter_gets_a_gradient(name):
    torch.manual_seed(0)
    network = build_network({"name": name, "parameters": SMALL[name]}).train()
    channels = 2 if name in ("study_classifier", "resnet101") else 1
    network(torch.randn(4, channels, 128, 128)).square().mean().backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not missing
    assert all(p.grad.abs().sum() > 0 for n, p in network.named_parameters() if n.endswith("weight"))


def test_the_two_readings_of_the_attention_differ_in_what_they_weigh():
    torch.manual_seed(0)
    skip = StudySegmentationNetwork(base_width=4, attention="skip").eval().attention
    upsampled = StudySegmentationNetwork(base_width=4, attention="upsampled").eval().attention
    upsampled.load_state_dict(skip.state_dict())
    a, b = torch.rand(1, 64, 4, 4), torch.rand(1, 64, 4, 4)
    with torch.no_grad():
        weights = skip.weights(torch.cat([a, b], 1))
        torch.testing.assert_close(skip(a, b), weights * a + b)
        torch.testing.assert_close(upsampled(a, b), weights * b + a)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_folding_batch_normalisation_keeps_the_output(name):
    torch.manual_seed(0)
    network = randomise_batch_norm(build_network({"name": name, "parameters": SMALL[name]})).eval()
    channels = 2 if name in ("study_classifier", "resnet101") else 1
    x = torch.randn(1, channels, 64, 64)
    with torch.no_grad():
        before = network(x)
        fused = fuse_batch_norm(network)
        assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
        torch.testing.assert_close(fused(x), before, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    "architecture",
    [
        {"name": "resnet50"},
        {},
        {"name": "unet", "parameters": {"depth": 3}},
        {"name": "study_segmentation", "parameters": {"attention": "x"}},
    ],
)
def test_an_unknown_architecture_is_refused_with_the_reason(architecture):
    with pytest.raises(BundleError, match="architecture"):
        build_network(architecture)
