"""The ordinal head: a proportional-odds (cumulative-link) model for classes that lie in an order.

McCullagh 1980, "Regression models for ordinal data", J. R. Stat. Soc. B 42:109-142.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class OrdinalHead(nn.Module):
    """Features (N, ``inputs``) in, log-probabilities (N, ``classes``) of ordered classes out.

    One latent score s is compared with ``classes - 1`` cut points c: ``P(class <= k) = sigmoid(c[k] - s)``. So s rises
    from the first class (normal) to the last (osteoporosis), and a class lies between two cut points. The softmax of
    log-probabilities is the probabilities themselves, so that what follows need not know which head it has.

    Raises:
        ValueError: there are fewer than two classes.
    """

    def __init__(self, inputs: int, classes: int):
        super().__init__()
        if classes < 2:
            raise ValueError(f"an ordinal head needs two classes or more, not {classes}")
        # No bias: it would only move all cut points together.
        self.score = nn.Linear(inputs, 1, bias=False)
        # At a score of 0 all classes begin equally probable.
        cuts = [math.log(k / (classes - k)) for k in range(1, classes)]
        gaps = [above - below for below, above in pairwise(cuts)]
        self.first = nn.Parameter(torch.tensor(cuts[:1]))
        self.increments = nn.Parameter(torch.tensor([math.log(math.expm1(gap)) for gap in gaps]))

    @property
    def cut_points(self) -> Tensor:
        """The cut points (``classes - 1``,), which never fall: each is the one before plus a softplus."""
        return torch.cat([self.first, self.first + functional.softplus(self.increments).cumsum(0)])

    def forward(self, x: Tensor) -> Tensor:
        below = self.cut_points - self.score(x)
        # Between cut points a < b: sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)), and with
        # b - a = softplus(u) the last factor is sigmoid(u). A difference of sigmoids would lose all its digits.
        middle = (
            functional.logsigmoid(below[:, 1:])
            + functional.logsigmoid(-below[:, :-1])
            + functional.logsigmoid(self.increments)
        )
        return torch.cat([functional.logsigmoid(below[:, :1]), middle, functional.logsigmoid(-below[:, -1:])], dim=1)
