"""Simulated CT with known truth: slices, studies, cohorts, and in :mod:`.trunk3d` whole trunks."""
