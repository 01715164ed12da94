"""Long work as processes of their own: started from the panel, followed by their folders, and not ended with it."""

import os

from OsteoScreenSlicerLib.Worker import pythonForWorker

_MODULE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def start(arguments, folder):
    """Start the command line ``osteoscreen ARGUMENTS`` as a job in ``folder``; it survives the panel and Slicer.

    :param arguments: the command line's words.
    :raises UsageError: a job runs there already. ModuleError: Slicer's Python cannot be found.
    """
    from OsteoScreenTrainingLib.control.jobs import start_job

    program, paths = pythonForWorker()
    start_job([str(word) for word in arguments], folder, python=[program], search_path=[_MODULE_FOLDER, *paths])


def state(folder):
    """Return the state of the job in ``folder`` (the library's JobState); one that never was is "none"."""
    from OsteoScreenTrainingLib.control.jobs import read_job

    return read_job(folder)


def pause(folder):
    """Ask the job in ``folder`` to end in order; a training goes on from there later."""
    from OsteoScreenTrainingLib.control.jobs import request_stop

    request_stop(folder)


def kill(folder):
    """End the job in ``folder`` at once; a training goes on from its last checkpoint later."""
    from OsteoScreenTrainingLib.control.jobs import kill_job

    kill_job(folder)
