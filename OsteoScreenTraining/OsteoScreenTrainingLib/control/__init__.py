"""What a panel or a script needs to steer a training without being part of it.

:mod:`.jobs` runs commands in processes of their own, :mod:`.runs` reads how a training goes, :mod:`.summary` and
:mod:`.drawing` look at a data set and fill in its outlines, :mod:`.presets` and :mod:`.exporting` stand at a training's
beginning and end. All but the last need only what Slicer brings (numpy, scipy, SimpleITK).
"""
