"""What the sections that start jobs have in common."""

import os

import qt

import slicer
from slicer.i18n import tr as _

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

    def startJob(self, what, arguments, folder):
        """Start a job, once the packages are there and the user has not declined them.

        :param what: the job in words.
        """
        with self.attempt(_("{what} could not be started.").format(what=what)):
            self.logic.packages.ensure()
            Jobs.start(arguments, folder)
            self.panel.run.say(_("{what} …").format(what=what))
        self.panel.updatePanel()

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
