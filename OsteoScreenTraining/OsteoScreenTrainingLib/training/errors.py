"""What can go wrong while training."""

from __future__ import annotations

from OsteoScreenLib.errors import OsteoScreenError


class TrainingError(OsteoScreenError):
    """The training stopped; the sentence says why and what to do, and the last good checkpoint is kept."""
