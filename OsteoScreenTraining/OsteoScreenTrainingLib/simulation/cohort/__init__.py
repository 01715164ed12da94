"""A simulated cohort after the paper's Tables 1 and 2: who, scanned on what, and how they are written to disk."""

from .population import Person, draw_population
from .scanners import Fleet, ScannerModel
from .writing import CohortRequest, write_cohort

__all__ = ["CohortRequest", "Fleet", "Person", "ScannerModel", "draw_population", "write_cohort"]
