"""Bundles scored on data whose truth is known: outlines, bone status, names of vertebrae."""

#: The schema of an evaluation's ``summary.json``.
SCHEMA = "osteoscreen-evaluation/1"
