"""Simulated trunks in three dimensions, from neck or mid-thorax to the pelvis, with every vertebra's name and place.

:func:`simulate_trunk` makes one; ``osteoscreen simulate trunks`` writes sets of them. How vertebrae are named where a
column is not the usual one is told in :mod:`.anomalies`.
"""

from .levels import BODY_LABELS, DISC_LABEL, POSTERIOR_LABEL, RIB_LABELS, SACRUM_LABEL, label_names
from .simulate import GENERATOR, SimulatedTrunk, TrunkModel, simulate_trunk
from .truth import RibTruth, TrunkTruth, VertebraTruth
from .view import REGIONS
from .writing import TrunkRequest, write_trunks

__all__ = [
    "BODY_LABELS",
    "DISC_LABEL",
    "GENERATOR",
    "POSTERIOR_LABEL",
    "REGIONS",
    "RIB_LABELS",
    "SACRUM_LABEL",
    "RibTruth",
    "SimulatedTrunk",
    "TrunkModel",
    "TrunkRequest",
    "TrunkTruth",
    "VertebraTruth",
    "label_names",
    "simulate_trunk",
    "write_trunks",
]
