"""What stands between the OsteoScreen module's panel and its engine: MRML nodes, views, the worker process, packages.

Everything here runs on Slicer's main thread and may use slicer, vtk and qt; nothing here measures anything. The engine
(OsteoScreenLib) is imported inside functions only, so that starting Slicer costs nothing. Names follow Slicer.
"""
