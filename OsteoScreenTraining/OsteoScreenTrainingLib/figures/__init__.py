"""The figures of the study and of evaluations, one module each.

A function takes numbers that were computed elsewhere and returns a Figure.
"""
