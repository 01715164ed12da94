"""What every tissue of one trunk measures, HU, by tube voltage, contrast medium and chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import tissue
from .person import Person

#: Attenuation of bone and of iodine against 120 kVp, beyond soft tissue's: 100 and 140 kVp from Docs/sources.md
#: (inverses of 0.927 and 1.053 on vertebral HU); 80 kVp continued from there (judged).
KVP_FACTORS = {80: 1.25, 100: 1 / 0.927, 120: 1.0, 140: 1 / 1.053}
KVP_SHARES = (0.04, 0.22, 0.6, 0.14)
#: Contrast medium: none, arteries first, portal venous, late; and blood's HU in arteries and veins (usual protocols).
PHASES = {"none": 0.45, "arterial": 0.15, "venous": 0.3, "late": 0.1}
ARTERY = {"arterial": (180.0, 480.0), "venous": (110.0, 220.0), "late": (80.0, 140.0)}
VEIN = {"arterial": (40.0, 110.0), "venous": (90.0, 200.0), "late": (80.0, 140.0)}


@dataclass(frozen=True)
class Tissues:
    """HU of one trunk's tissues; lengths in mm.

    bone : factor of bone and iodine at this tube voltage against 120 kVp
    texture_sd, arch_sd, lung_sd, marbling_sd : SD of the grain in bodies, arches and ribs, lungs and muscle
    septa : share of fat in the sheets between muscles
    """

    kvp: int
    phase: str
    oral: bool
    bone: float
    fat: float
    visceral_fat: float
    muscle: float
    skin: float
    lung: float
    lung_sd: float
    blood: float
    artery: float
    vein: float
    right_heart: float
    liver: float
    spleen: float
    kidney: float
    bowel_wall: float
    soft: float
    fluid: float
    thyroid: float
    disc: float
    cartilage: float
    canal: float
    cord: float
    trabecular: float
    texture_sd: float
    cortex: float
    cortex_mm: float
    endplate_mm: float
    rib_marrow: float
    rib_cortex_mm: float
    arch_marrow: float
    arch_sd: float
    septa: float
    marbling_sd: float

    @classmethod
    def random(cls, rng: np.random.Generator, person: Person) -> Tissues:
        """Draw the tissues of a person and of an examination."""
        u = rng.uniform
        kvp = int(rng.choice(list(KVP_FACTORS), p=KVP_SHARES))
        bone = KVP_FACTORS[kvp] * float(rng.normal(1, 0.03))
        phase = str(rng.choice(list(PHASES), p=list(PHASES.values())))
        contrast = phase != "none"
        blood = u(*tissue.BLOOD)
        artery = u(*ARTERY[phase]) * bone if contrast else blood
        vein = u(*VEIN[phase]) * bone if contrast else blood
        marrow = person.trabecular_hu
        enhanced = {"none": 0.0, "arterial": 0.25, "venous": 1.0, "late": 0.7}[phase] * u(0.7, 1.3)
        return cls(
            kvp=kvp,
            phase=phase,
            oral=bool(rng.random() < 0.25),
            bone=bone,
            fat=u(*tissue.FAT),
            visceral_fat=u(*tissue.FAT),
            muscle=u(*tissue.MUSCLE) + 8 * enhanced,
            skin=u(-10, 60),
            lung=u(*tissue.LUNG),
            lung_sd=u(20, 90),
            blood=blood,
            artery=artery,
            vein=vein,
            right_heart=u(150, 500) if phase == "arterial" and rng.random() < 0.6 else vein,
            liver=u(*tissue.LIVER) + 50 * enhanced if rng.random() < 0.88 else u(-15, 30) + 40 * enhanced,
            spleen=u(*tissue.SPLEEN) + 65 * enhanced,
            kidney=u(*tissue.KIDNEY) + 140 * enhanced * u(0.7, 1.2),
            bowel_wall=u(25, 55) + 40 * enhanced,
            soft=u(20, 60) + 25 * enhanced,
            fluid=u(*tissue.FLUID),
            thyroid=u(60, 130) + 70 * enhanced,
            disc=u(*tissue.DISC),
            cartilage=u(60, 150) + 2.0 * max(person.age - 40, 0) * u(0, 1.2),
            canal=u(*tissue.CANAL),
            cord=u(25, 50),
            trabecular=marrow * bone + 8 * enhanced,
            texture_sd=u(12, 48),
            cortex=u(550, 1200) * bone,
            cortex_mm=u(0.25, 0.7),
            endplate_mm=u(0.4, 0.95),
            rib_marrow=u(10, 160) + 0.4 * marrow,
            rib_cortex_mm=u(0.5, 1.05),
            arch_marrow=u(30, 200) + 0.6 * marrow,
            arch_sd=u(30, 150),
            septa=u(0.1, 0.9),
            marbling_sd=u(2, 14) * (1 + person.age / 120),
        )
