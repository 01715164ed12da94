"""Rows of a made-up batch, as the store gives them: simulated subjects, refusals, failures, and open levels."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

from OsteoScreenLib.batch.study import BatchStudy, State, StudyRow

SET = "set-0123456789ab"
_BUNDLE = {"segmentation_bundle_name": "vertebral-body-dcnn", "segmentation_bundle_version": "1.0.0"}


def screened(n: int, rng: random.Random, shift: float = 0.0, **changes: Any) -> StudyRow:
    """A screened study, whose BMD falls with age; ``shift`` is added to its HU."""
    age, sex = rng.uniform(35, 90), rng.choice("FFM")
    hu = max(20.0, 230 - 2.0 * age + (8 if sex == "M" else 0) + rng.gauss(0, 24) + shift)
    bmd = round(0.79 * hu - 3.1, 1)
    category = "osteoporosis" if bmd < 80 else "osteopenia" if bmd <= 120 else "normal"
    opinion = category if rng.random() < 0.85 else "osteopenia"
    suggested = rng.random() < 0.3
    measures: dict[str, str | float | int | bool | None] = {
        "status": "screened", "age_years": round(age, 1), "sex": sex, "input_kind": "dicom", "slices": 300,
        "manufacturer": "SIEMENS", "tube_voltage_kv": 120.0, "l1_mean_hu": hu + 3, "l2_mean_hu": hu - 3,
        "l1_confidence": round(rng.uniform(0.4, 0.99), 2), "bmd_mg_cm3": bmd, "qct_category": category,
        "class": opinion, "bmd_uncertainty_mg_cm3": 6.0, "agreement": "yes" if opinion == category else "no",
        "l1_slice_index": 120,
        "l1_z_ras_mm": -812.5, "l2_slice_index": 100, "l2_z_ras_mm": -846.0,
        "l1_set_by": "suggested" if suggested else "user", "l1_confirmed": "no" if suggested else "yes",
        "l2_set_by": "suggested" if suggested else "user", "l2_confirmed": "no" if suggested else "yes", **_BUNDLE,
    }  # fmt: skip
    if suggested:
        measures["l1_name_probability"] = measures["l2_name_probability"] = round(rng.uniform(0.5, 0.99), 2)
    study = BatchStudy(f"case-{n:04d}", f"/archive/DOE^JANE {n}/ct", l1="auto" if suggested else "-812.5")
    parts = (1 - float(measures["l1_confidence"] or 0), 0.4 * suggested, 0.5 * (opinion != category))
    doubt = round(1 - math.prod(1 - part for part in parts), 3)
    return StudyRow(study, State.SCREENED, 1, "", "", rng.uniform(2, 9), {**measures, **changes}, doubt)


def refused(n: int, rng: random.Random) -> StudyRow:
    check = rng.choice(("kvp", "contrast", "contrast", "slice_thickness", "metal_or_cement_L1"))
    measures: dict[str, Any] = {"status": "refused", "refusals": check, "age_years": 61.0, "sex": "M"}
    study = BatchStudy(f"case-{n:04d}", f"/archive/ROE^MAX {n}/ct", l1="-812.5")
    return StudyRow(study, State.REFUSED, 1, check, f"The check {check} refuses it.", 2.0, measures)


def failed(n: int, rng: random.Random) -> StudyRow:
    study = BatchStudy(f"case-{n:04d}", f"/archive/POE^EDGAR {n}/ct.nii.gz", l1="#12")
    kind = rng.choice(("unreadable", "timeout", "killed"))
    return StudyRow(study, State.FAILED, 2, kind, f"{study.ct} is damaged; copy POE^EDGAR {n} again.", 30.0)


def open_levels(n: int, rng: random.Random) -> StudyRow:
    study = BatchStudy(f"case-{n:04d}", f"/archive/LOW^AMY {n}/ct", age_years=70.0, sex="F")
    return StudyRow(study, State.NEEDS_LEVELS, 0, "no levels", "Nobody said where L1 is.")


def rows(count: int, seed: int = 1, shift: float = 0.0) -> Iterator[StudyRow]:
    """So many rows, the same for a seed."""
    for n in range(count):
        rng = random.Random(f"{seed}-{n}")
        part = random.Random(n).random()
        if part < 0.78:
            yield screened(n, rng, shift)
        elif part < 0.88:
            yield refused(n, rng)
        elif part < 0.92:
            yield failed(n, rng)
        elif part < 0.98:
            yield open_levels(n, rng)
        else:
            yield StudyRow(BatchStudy(f"case-{n:04d}", f"/archive/{n}", l1="#1"), State.WAITING)
