"""What the sections that start jobs have in common."""

import os

import qt

import slicer
from slicer.i18n import tr as _

from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.Panels.Section import Section

from .. import Jobs

WORDS = {
    "none": "",
    "running": "…",
    "finished": "✓",
    "paused": "⏸",
    "failed": "✕",
    "crashed": "✕",
}


class JobsSection(Section):
    """Starts jobs and shows what becomes of them; their whole state lies in their folders."""

    def startJob(self, what, job):
        """Start a job, once the packages are there and the user has not declined them.

        :param what: the job in words.
        :param job: called for (its command line, the folder of its state); raises what is missing.
        """
        with self.attempt(_("{what} could not be started.").format(what=what)):
            arguments, folder = job()
            self.logic.packages.ensure()
            Jobs.start(arguments, folder)
            self.panel.run.say(_("{what} …").format(what=what))
        self.panel.updatePanel()

    def chosen(self, parameter):
        """Return a folder of the parameter node. Raises ModuleError where none is chosen."""
        folder = getattr(self.panel.parameterNode, parameter)
        if not folder:
            raise ModuleError(
                {
                    "dataFolder": _("Choose the folder of a data set first."),
                    "drawingsFolder": _("Choose a folder for the drawings first."),
                    "runFolder": _("Choose a run folder first: an empty one."),
                    "evaluationFolder": _("Choose a folder for the evaluation first."),
                    "studyFolder": _("Choose a folder for the study first."),
                }[parameter]
            )
        return folder

    @staticmethod
    def openOutside(path):
        """Open a file or a folder with the computer's program for it."""
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(path))

    def chooseFolder(self, title, parameter):
        """Ask for a folder and keep it in the parameter node."""
        before = getattr(self.panel.parameterNode, parameter)
        path = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, before)
        if path:
            setattr(self.panel.parameterNode, parameter, path)

    @staticmethod
    def describeJob(what, state):
        """Return a job's state in words; empty where there is none."""
        if state.state == "none":
            return ""
        words = {
            "running": _("is running"),
            "finished": _("is done"),
            "paused": _("was paused"),
            "failed": _("failed"),
            "crashed": _("ended unexpectedly"),
        }[state.state]
        text = f"{WORDS[state.state]} {what} {words}."
        return f"{text} {state.message}".strip() if state.message else text


def jobFolder(dataFolder, name):
    """Return where a job about a data set keeps its state."""
    return os.path.join(dataFolder, "jobs", name)
