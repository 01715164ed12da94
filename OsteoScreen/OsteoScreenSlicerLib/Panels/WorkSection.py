"""What the sections share that have something done in a worker process."""

import slicer
from slicer.i18n import tr as _

from ..Words import inPanel
from .Section import Section


class WorkSection(Section):
    """Starts work, one thing at a time, says how far it is and what becomes of it, and stops it.

    :param label: the QLabel that says it.
    :param progressBar: the QProgressBar that shows it.
    """

    def __init__(self, panel, label, progressBar):
        Section.__init__(self, panel)
        self._label, self._progressBar = label, progressBar
        self._running = ""

    @property
    def running(self):
        """What is running, in words; empty where nothing is."""
        return self._running

    def packages(self):
        """Return the Packages that all work of the section needs."""
        raise NotImplementedError

    def stop(self):
        """Stop what runs in the worker process."""
        raise NotImplementedError

    def start(self, what, begin, onDone, packages=()):
        """Begin work, unless something runs already.

        :param what: the work in words.
        :param begin: called with (onDone, onError, onProgress); returns at once.
        :param onDone: called with what was found, once it is in the scene.
        :param packages: Packages.ExtraPackages that this work needs too.
        """
        if self._running:
            return
        with self.attempt(_("{what} could not be started.").format(what=what)):
            for needed in (self.packages(), *packages):
                needed.ensure()
            self._running = what
            self.say(_("{what} …").format(what=what))
            self._progressBar.maximum = 0
            try:
                begin(lambda found: self._finish(onDone, found), self._onError, self._onProgress)
            except Exception:
                self._running = ""
                self.say("")
                raise
            finally:
                self.update()

    def cancel(self):
        """Stop what is running, silently."""
        self.stop()
        self._running = ""
        if self.panel.parameterNode is not None:
            self.update()

    def say(self, text):
        """Show what became of the last work."""
        self._label.text = text

    def _finish(self, onDone, found):
        self._running = ""
        onDone(found)
        self.panel.updatePanel()

    def _onError(self, _kind, text):
        self._running = ""
        text = inPanel(text)
        self.say(_("✕ {text}").format(text=text))
        self.panel.updatePanel()
        slicer.util.errorDisplay(text, windowTitle=_("OsteoScreen"))

    def _onProgress(self, step, done, total):
        self._progressBar.maximum = total
        self._progressBar.value = done
        self.say(_("{step} …").format(step=step))
