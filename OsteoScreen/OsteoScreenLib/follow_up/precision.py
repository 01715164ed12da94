"""How large a change in BMD has to be before it is more than the measurement's own."""

from __future__ import annotations

import math

#: The least significant change at 95 % is this times the precision error: 1.96 times the square root of 2, since both
#: measurements err (the ISCD's formula, recalled; the factor can be computed).
LSC_FACTOR = 2.77

#: Precision error (one SD of repeated measurement) of the mean BMD of L1 and L2 in mg/cm3, where a facility has not
#: measured its own. Two parts, added as squares:
#: 3.4, measuring a new scan: an interscan variability of 2.8 % (thoracic QCT, Budoff et al., Radiology 2010, abstract)
#: at 120 mg/cm3; long-term QCT of the spine varied by under 2.4 % in good and over 3.2 % in problem cases (J Comput
#: Assist Tomogr 1993;17:915, abstract);
#: 4.9, choosing the slice: the SD of the individual's BMD on the centre slice and its two neighbours, as the root mean
#: square of two real CT in slices of 3.3 and 3 mm (6.3 and 2.8; ACRIN 6668 and TotalSegmentator's example).
#: Two scans are few: a facility's own precision is better than this. It is for scans that were made alike: between
#: routine scans of a patient within six months, of any protocol, L1 differed by 27.5 HU on average (Br J Radiol 2018,
#: doi:10.1259/bjr.20170395, abstract), more than bone changes, so other scans are not compared at all.
PRECISION_ERROR_MG_CM3 = 6.0

#: What one body measures instead of two varies more, at most by this, if the bodies' errors are independent.
_ONE_BODY = math.sqrt(2.0)


def least_significant_change(bodies: int, precision_mg_cm3: float | None = None) -> float:
    """Return the least significant change at 95 %, in mg/cm3, of the mean BMD of ``bodies`` vertebrae (1 or 2).

    ``precision_mg_cm3`` is the facility's own precision error for the mean of two, None where it is not known.
    """
    error = PRECISION_ERROR_MG_CM3 if precision_mg_cm3 is None else precision_mg_cm3
    return LSC_FACTOR * error * (_ONE_BODY if bodies < 2 else 1.0)


def least_significant_change_of_level(of_mean: float, bodies: int) -> float:
    """Return the least significant change of one vertebra's BMD, in mg/cm3.

    ``of_mean`` is that of the mean BMD of ``bodies`` vertebrae (1 or 2).
    """
    return of_mean * (_ONE_BODY if bodies > 1 else 1.0)
