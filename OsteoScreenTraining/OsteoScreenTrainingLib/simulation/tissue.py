"""What tissues measure in HU at 120 kVp, and trabecular bone from its mineral."""

from __future__ import annotations

#: Trabecular bone with 40 % fat marrow at 120 kVp, from attenuation tables at 70 keV (Docs/sources.md):
#: CaHA 50, 100, 150, 200 mg/cm3 measure 41, 114, 187, 261 HU; the line through them.
TRABECULAR_HU_PER_BMD = 1.466
TRABECULAR_HU_AT_ZERO = -32.5

#: Unenhanced soft tissues, HU, as (low, high); Docs/sources.md.
FAT = (-118.0, -75.0)
MUSCLE = (35.0, 68.0)
BLOOD = (30.0, 58.0)
LIVER = (30.0, 72.0)
SPLEEN = (40.0, 58.0)
KIDNEY = (22.0, 42.0)
DISC = (55.0, 115.0)
CANAL = (8.0, 42.0)
LUNG = (-930.0, -720.0)
FLUID = (-8.0, 25.0)


def trabecular_hu(bmd_mg_cm3: float) -> float:
    """Return the HU at 120 kVp of trabecular bone with ``bmd_mg_cm3`` of calcium hydroxyapatite."""
    return TRABECULAR_HU_AT_ZERO + TRABECULAR_HU_PER_BMD * bmd_mg_cm3


def bmd_of(hu: float) -> float:
    """Return the CaHA density (mg/cm3) of trabecular bone that measures ``hu`` at 120 kVp."""
    return (hu - TRABECULAR_HU_AT_ZERO) / TRABECULAR_HU_PER_BMD
