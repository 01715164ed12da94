"""Which bundles a screening uses: the ones that were named, else the shipped ones for the levels at hand."""

from __future__ import annotations

import os
from collections.abc import Iterable

from .errors import BundleError, UnusableLevels
from .models import Bundle, default_bundle, load_bundle

PathLike = str | os.PathLike[str]


def segmentation_bundle(named: PathLike | None) -> Bundle:
    """Return the named segmentation bundle, or the shipped one.  Raises BundleError when there is none."""
    if named is not None:
        return load_bundle(named, "segmentation")
    bundle = default_bundle("segmentation")
    if bundle is None:
        raise BundleError(
            "No segmentation bundle is installed; add one with `osteoscreen models import PATH`, name one with "
            "--segmentation-model, or give your own outlines with --masks."
        )
    return bundle


def localisation_bundle(named: PathLike | None) -> Bundle:
    """Return the named localisation bundle, or the shipped one.  Raises BundleError when there is none."""
    bundle = default_bundle("localisation") if named is None else load_bundle(named, "localisation")
    if bundle is None:
        raise BundleError(
            "No localisation bundle is installed, so that levels cannot be suggested; add one with `osteoscreen models "
            "import PATH`, name one with --localisation-model, or give the centre slices with --l1 and --l2."
        )
    return bundle


def named_classification_bundle(named: PathLike | None, levels: Iterable[str] | None) -> Bundle | None:
    """Return the named classification bundle, None without a name; `levels` are None while they are not known.

    Raises BundleError when there is no such bundle, UnusableLevels when it sees a level that is not there.
    """
    if named is None:
        return None
    bundle = load_bundle(named, "classification")
    missing = [] if levels is None else [name for name in bundle.preprocessing["levels"] if name not in set(levels)]
    if missing:
        raise UnusableLevels(
            f"The classification bundle {bundle.name} (Model 1) sees {' and '.join(bundle.preprocessing['levels'])}; "
            f"give the centre slice of {missing[0]} with --{missing[0].lower()}, or name a Model 2 bundle, which sees "
            "L1 alone."
        )
    return bundle


def classification_bundle(named: PathLike | None, levels: Iterable[str]) -> Bundle | None:
    """Return the named classification bundle, else the shipped one for the levels, None when none ships for them.

    Raises BundleError when there is no such bundle or a shipped one is damaged, UnusableLevels as above.
    """
    return named_classification_bundle(named, levels) or default_bundle("classification", levels=tuple(levels))
