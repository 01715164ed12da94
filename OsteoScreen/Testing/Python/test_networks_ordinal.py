"""The ordinal head is the proportional-odds model, at any score and any cut points."""

from __future__ import annotations

import pytest
import torch

from OsteoScreenLib.networks import build_network
from OsteoScreenLib.networks.ordinal import OrdinalHead


def head_with(cuts: list[float], scores: list[float]) -> tuple[OrdinalHead, torch.Tensor]:
    """A head of double precision whose score is its one input."""
    head = OrdinalHead(1, len(cuts) + 1).double()
    gaps = torch.tensor(cuts, dtype=torch.double).diff()
    with torch.no_grad():
        head.score.weight.fill_(1.0)
        head.first.copy_(torch.tensor(cuts[:1]))
        head.increments.copy_(torch.log(torch.expm1(gaps)))
    return head, torch.tensor(scores, dtype=torch.double)[:, None]


def test_it_begins_with_equal_classes():
    for classes in (2, 3, 5):
        probabilities = torch.exp(OrdinalHead(4, classes)(torch.zeros(1, 4)))
        torch.testing.assert_close(probabilities, torch.full((1, classes), 1 / classes))


def test_it_is_the_closed_form():
    head, x = head_with([-1.5, 0.25, 3.0], [-4.0, -0.3, 0.0, 1.0, 7.0])
    upto = torch.sigmoid(torch.tensor([-1.5, 0.25, 3.0], dtype=torch.double) - x)
    upto = torch.cat([torch.zeros(5, 1), upto, torch.ones(5, 1)], dim=1)
    torch.testing.assert_close(torch.exp(head(x)), upto.diff(dim=1))
    torch.testing.assert_close(torch.softmax(head(x), dim=1), upto.diff(dim=1))


def test_a_higher_score_never_means_an_earlier_class():
    head, x = head_with([-1.0, 1.0], torch.linspace(-8, 8, 50).tolist())
    assert (head(x).argmax(dim=1).diff() >= 0).all()
    assert sorted(set(head(x).argmax(dim=1).tolist())) == [0, 1, 2]


@pytest.mark.parametrize("increment", [-1000.0, -30.0, 0.0, 30.0, 1000.0])
@pytest.mark.parametrize("score", [-1e6, -100.0, 0.0, 100.0, 1e6])
def test_extremes_stay_ordered_finite_and_sum_to_one(score, increment):
    head = OrdinalHead(1, 4)
    with torch.no_grad():
        head.score.weight.fill_(1.0)
        head.increments.fill_(increment)
    assert (head.cut_points.diff() >= 0).all()
    x = torch.tensor([[score]], requires_grad=True)
    values = head(x)
    assert torch.isfinite(values).all()
    if abs(score) <= 100:
        torch.testing.assert_close(torch.exp(values.double()).sum(), torch.tensor(1.0).double(), atol=1e-5, rtol=0)
    values.sum().backward()
    for gradient in (x.grad, *(parameter.grad for parameter in head.parameters())):
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("head", ["softmax", "ordinal"])
@pytest.mark.parametrize("name", ["study_classifier", "resnet101"])
def test_classifiers_have_either_head_and_take_slices_from_32_pixels(name, head):
    architecture = {"name": name, "parameters": {"in_channels": 2, "base_width": 2, "head": head}}
    network = build_network(architecture).eval()
    for side in (32, 33, 64, 512):
        with torch.no_grad():
            values = network(torch.rand(1, 2, side, side))
        assert values.shape == (1, 3)
        assert torch.softmax(values, dim=1).sum() == pytest.approx(1.0)


def test_old_weights_keep_their_names():
    names = set(build_network({"name": "study_classifier", "parameters": {"base_width": 2}}).state_dict())
    assert {"output.weight", "output.bias"} <= names
    ordinal = build_network({"name": "study_classifier", "parameters": {"base_width": 2, "head": "ordinal"}})
    found = {name for name in ordinal.state_dict() if name.startswith("output.")}
    assert found == {"output.score.weight", "output.first", "output.increments"}


def test_two_classes_at_least():
    with pytest.raises(ValueError, match="two classes"):
        OrdinalHead(4, 1)
