"""Who lies on the table: what the size of everything follows from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: The body height that Panjabi's vertebrae belong to, cm: judged, from his donors' mean of 168 cm.
REFERENCE_HEIGHT_CM = 168.0
#: L1 of a large American population measures 226 HU below 30 years and loses 2.5 HU a year; SD 40 (Jang 2019, in
#: Docs/sources.md).
YOUNG_HU, LOSS_HU_PER_YEAR, HU_SD = 226.0, 2.5, 40.0


@dataclass(frozen=True)
class Person:
    """Age (years), sex, body height (cm), BMI (kg/m2), and what follows.

    scale : of lengths along the spine, 1 for Panjabi's cadavers
    girth : of widths of the rib cage and the pelvis, about 1
    trabecular_hu : of L1 at 120 kVp
    """

    age: float
    sex: str
    height_cm: float
    bmi: float
    scale: float
    girth: float
    trabecular_hu: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> Person:
        """Draw a person; ages 18 to 95, flat in the middle, BMI 16 to 46: wider than a hospital's (judged)."""
        age = float(np.clip(rng.normal(58, 18), 18, 95))
        sex = str(rng.choice(["F", "M"]))
        height = float(np.clip(rng.normal(176 if sex == "M" else 163, 8), 142, 205))
        bmi = float(np.clip(np.exp(rng.normal(np.log(26), 0.21)), 16, 46))
        # On the two real CT beside the project bodies lie a tenth to a fifth further apart than Panjabi's would.
        scale = height / REFERENCE_HEIGHT_CM * float(rng.normal(1.09, 0.055))
        girth = (height / 170) ** 0.5 * (1 + 0.006 * (bmi - 25)) * float(rng.normal(1.0, 0.055))
        girth *= 1.02 if sex == "M" else 0.94
        hu = YOUNG_HU - LOSS_HU_PER_YEAR * max(age - 28, 0) + float(rng.normal(0, HU_SD))
        return cls(age, sex, height, bmi, float(np.clip(scale, 0.8, 1.35)), girth, float(np.clip(hu, 5, 380)))
