"""Data sets from public collections of CT with vertebra labels: VerSe, TotalSegmentator, CTSpine1K.

:mod:`.importers` know where a collection keeps its files and what it says of its subjects; :mod:`.importing` makes
centre slices and outlines of the trabecular bone from them, by :mod:`.outlining` and :mod:`.trabecular`.
"""
