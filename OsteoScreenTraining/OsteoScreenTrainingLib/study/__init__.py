"""The study from a data set to its page: train, evaluate, and lay every number beside the paper's."""

from .computing import StudyRequest
from .profiles import load_profile
from .running import run_study

__all__ = ["StudyRequest", "load_profile", "run_study"]
