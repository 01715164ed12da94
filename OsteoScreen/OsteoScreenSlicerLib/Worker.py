"""Where the networks run: in a process of their own for the panel, in this one for scripts. Both speak the same.

The messages are those of OsteoScreenLib.worker. The panel's process keeps the window alive, can be stopped at any
moment, and takes nothing with it when it runs out of memory; it is started on first use and holds the loaded networks
until Slicer ends.
"""

import json
import os
import shutil
import sys

import qt
from slicer.i18n import tr as _

from .Diagnostics import LOGGER
from .Errors import ModuleError

_MODULE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The worker's own search path goes by argument: an environment variable would reach every program it starts.
_BOOT = (
    "import sys, runpy; sys.path[:0] = sys.argv[1:]; del sys.argv[1:]; "
    "runpy.run_module('OsteoScreenLib.worker', run_name='__main__', alter_sys=True)"
)


class WorkerProcess:
    """The engine in a process of its own. Answers come through Qt's events, so the caller never waits.

    :param recentLog: where the process's messages go (Diagnostics.RecentLog).
    """

    def __init__(self, recentLog):
        self._recentLog = recentLog
        self._process = None
        self._pending = {}
        self._received = b""
        self._greeted = False
        self._nextID = 1

    @property
    def busy(self):
        """Whether an answer is still due."""
        return bool(self._pending)

    @property
    def running(self):
        """Whether the process is there."""
        return self._process is not None

    def start(self, message, onDone, onError, onProgress=None):
        """Send a message; exactly one of ``onDone(done)`` and ``onError(kind, text)`` is called later.

        :param onProgress: called with (step, done, total) meanwhile.
        :raises ModuleError: the process cannot be started.
        """
        if self._process is None:
            self._launch()
        identifier, self._nextID = self._nextID, self._nextID + 1
        self._pending[identifier] = (onDone, onError, onProgress)
        line = json.dumps({**message, "id": identifier}) + "\n"
        self._process.write(qt.QByteArray(line.encode("ascii")))

    def stop(self):
        """End the process at once; what is due is not answered any more. The next message starts it anew."""
        self._pending.clear()
        process, self._process = self._process, None
        self._received = b""
        if process is not None:
            # PythonSlicer starts the real Python and stands before it: killing it leaves that one, which the end of
            # its input ends at once.
            process.closeWriteChannel()
            process.kill()
            process.waitForFinished(2000)

    def _launch(self):
        process = qt.QProcess()
        process.readyReadStandardOutput.connect(self._onOutput)
        process.readyReadStandardError.connect(self._onErrorOutput)
        process.finished.connect(self._onFinished)
        process.errorOccurred.connect(self._onProcessError)
        self._process, self._greeted = process, False
        program, paths = pythonForWorker()
        process.start(program, ["-u", "-c", _BOOT, *paths])
        if self._process is None:
            raise ModuleError(_cannotStart())

    def _onOutput(self, *_arguments):
        if self._process is None:
            return
        self._received += _bytes(self._process.readAllStandardOutput())
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            self._onLine(line)

    def _onLine(self, line):
        try:
            answer = json.loads(line)
        except ValueError:
            LOGGER.warning("The worker wrote a line that is no message.")
            return
        if "hello" in answer:
            self._greeted = True
            return
        waiting = self._pending.get(answer.get("id"))
        if waiting is None:
            return
        onDone, onError, onProgress = waiting
        if "progress" in answer:
            if onProgress is not None:
                onProgress(*answer["progress"])
            return
        del self._pending[answer["id"]]
        if "done" in answer:
            onDone(answer["done"])
        else:
            onError(answer["error"]["kind"], answer["error"]["message"])

    def _onErrorOutput(self, *_arguments):
        if self._process is not None:
            text = _bytes(self._process.readAllStandardError()).decode("utf-8", "replace")
            self._recentLog.addText(text)

    def _onProcessError(self, *_arguments):
        # A process that never started says so here only; one that died says so in _onFinished too.
        if self._process is not None and self._process.state() == qt.QProcess.NotRunning:
            self._onEnd()

    def _onFinished(self, *_arguments):
        if self._process is not None:
            self._onOutput()
            self._onErrorOutput()
            self._onEnd()

    def _onEnd(self):
        if self._greeted:
            self._fail("WorkerEnded", _ended())
        else:
            self._fail("CannotStart", _cannotStart())

    def _fail(self, kind, text):
        process, self._process = self._process, None
        pending, self._pending = self._pending, {}
        self._received = b""
        LOGGER.error("The worker process: %s", kind)
        for _onDone, onError, _onProgress in pending.values():
            onError(kind, text)
        # Kept until Qt has left its signal: deleting a process inside of its own signal crashes.
        qt.QTimer.singleShot(0, lambda: process)


class InProcessWorker:
    """The engine in this process: a call returns when the work is done. For scripts."""

    def run(self, message, onProgress=None):
        """Work on a message and return its "done".

        :param onProgress: called with (step, done, total) meanwhile; what it raises ends the work and passes through.
        :raises ModuleError: what went wrong and what to do, with ``kind`` as in OsteoScreenLib.worker.
        """
        from OsteoScreenLib.worker.operations import handle

        answers = []

        def reply(answer):
            if "progress" not in answer:
                answers.append(answer)
            elif onProgress is not None:
                onProgress(*answer["progress"])

        handle({**message, "id": 0}, reply)
        answer = answers[-1]
        if "done" in answer:
            return answer["done"]
        error = ModuleError(answer["error"]["message"])
        error.kind = answer["error"]["kind"]
        raise error


def pythonForWorker():
    """Return the Python to run the worker with, and the folders that it has to be told of."""
    program = shutil.which("PythonSlicer")
    if program:
        return program, [_MODULE_FOLDER]
    # A Slicer without its launcher (a build tree, the test host): its Python and everything that it finds.
    name = os.path.basename(sys.executable or "").lower()
    if name.startswith("python"):
        return sys.executable, [_MODULE_FOLDER, *(path for path in sys.path if path)]
    raise ModuleError(_cannotStart())


def _cannotStart():
    return _(
        "The process that runs the networks could not be started (PythonSlicer was not found or is blocked); install "
        "Slicer again, or let the virus scanner pass PythonSlicer."
    )


def _ended():
    return _(
        "The process that runs the networks ended unexpectedly, often for want of memory. Close other programs or "
        "volumes and try again; with a GPU, choose the device CPU. Copy diagnostics says more."
    )


def _bytes(byteArray):
    data = byteArray.data()
    return data if isinstance(data, bytes) else bytes(data, "latin-1")
