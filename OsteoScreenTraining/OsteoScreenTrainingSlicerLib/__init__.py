"""What stands between the training module's panel and its library: jobs, plots and tables, the drawing walk.

Everything here runs on Slicer's main thread; training itself runs in a process of its own, whose whole state lies in
its folder (OsteoScreenTrainingLib.control). Names follow Slicer.
"""
