"""The OsteoScreen engine: plain Python, without Slicer."""

__version__ = "0.1.0"
