"""Statistics of a screening study: discrimination, operating points, calibration, agreement, cohorts.

Nothing in here knows of images or networks; arrays go in, small frozen dataclasses come out.
"""
