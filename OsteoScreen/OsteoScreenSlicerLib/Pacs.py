"""In and out of a PACS by DICOMweb: find, fetch into Slicer's DICOM database, load, send. Off the main thread.

It runs in a process of its own, so that ending it costs no loaded network. Nothing is asked of a server, or sent to
it, but when one of these is called; server, credentials and what is searched for come with each call, and are kept in
no scene and no log.
"""

import os
import shutil

from slicer.i18n import tr as _

from . import Database
from .Errors import ModuleError
from .Networks import send
from .Packages import PACS_REQUIREMENTS, ExtraPackages


class PacsAccess:
    """Which server, and as whom.

    :param at: the server's URL, or its name in the settings of ``osteoscreen pacs``.
    :param user, password: empty for what the environment or the computer's keyring has.
    :param keep: give user and password to the computer's keyring, once the server took them.
    :param insecureHttp: whether plain http may go over the network.
    """

    def __init__(self, at, user="", password="", keep=False, insecureHttp=False):
        self.at, self.user, self.password = at.strip(), user.strip(), password
        self.keep, self.insecureHttp = keep, insecureHttp

    @property
    def host(self):
        """Host and port of the server. Raises UsageError where there is no such server, or it is not safe."""
        from OsteoScreenLib.pacs.servers import find_server

        return find_server(self.at, insecure_http=self.insecureHttp).host

    def message(self, what, **more):
        """Return the worker's message that talks to the server."""
        if not self.at:
            raise ModuleError(_("Give the server's address first, such as https://host/dicom-web."))
        if self.user and not self.password:
            raise ModuleError(_("Give the password too, or leave the user empty for what the keyring has."))
        credentials = {"user": self.user, "password": self.password} if self.user or self.password else None
        server = {"at": self.at, "insecure_http": self.insecureHttp}
        return {"do": what, "server": server, "credentials": credentials, "keep": self.keep, **more}


class PacsLogic:
    """Talks to a server through a worker process, and hands Slicer what came.

    :param worker: Worker.WorkerProcess, for this alone.
    :param tasks: Tasks, for the folder where files are on their way.
    :param exports: Exports.ExportLogic, which makes what is sent.
    """

    def __init__(self, worker, tasks, exports):
        self._worker = worker
        self._tasks = tasks
        self._exports = exports
        self.packages = ExtraPackages(PACS_REQUIREMENTS)

    @staticmethod
    def servers():
        """Return the names of the servers in the settings of ``osteoscreen pacs``; none where they are damaged."""
        from OsteoScreenLib.errors import OsteoScreenError
        from OsteoScreenLib.pacs.servers import named_servers

        try:
            return sorted(named_servers())
        except OsteoScreenError:
            return []

    def startFinding(self, access, wanted, onDone, onError, onProgress=None):
        """Find studies; ``onDone((studies, more))`` or ``onError(kind, text)`` is called later.

        :param wanted: {patient_id, accession, study_date, modality}; what is empty does not matter.
        """
        message = access.message("pacs_find", wanted=wanted)
        send(self._worker, message, lambda done: (done["studies"], done["more"]), onDone, onError, onProgress)

    def startLooking(self, access, studyUID, onDone, onError, onProgress=None):
        """Ask for the series of a study; otherwise as ``startFinding``."""
        message = access.message("pacs_series", study=studyUID)
        send(self._worker, message, lambda done: done["series"], onDone, onError, onProgress)

    def startFetching(self, access, studyUID, seriesUID, onDone, onError, onProgress=None):
        """Fetch a series, add it to Slicer's DICOM database, and load it; ``onDone(volumeNode)`` is called later.

        What came before it was stopped is not fetched again. Otherwise as ``startFinding``.
        """
        Database.checkOpen()
        folder = os.path.join(self._tasks.folder, "fetched", studyUID)
        message = access.message("pacs_fetch", study=studyUID, series=seriesUID, folder=folder)

        def accept(done):
            Database.add([os.path.join(done["folder"], name) for name in sorted(os.listdir(done["folder"]))])
            shutil.rmtree(done["folder"], ignore_errors=True)
            return Database.load(seriesUID)

        send(self._worker, message, accept, onDone, onError, onProgress)

    def startSending(self, access, volumeNode, onDone, onError, onProgress=None):
        """Make the DICOM objects of a CT's result and send them to the server, and to no other.

        ``onDone(results)`` is called later, with name, outcome and reason of each object. Otherwise as
        ``startFinding``.
        """
        access.message("pacs_send")  # says what is missing before anything is made

        def made(paths):
            try:
                message = access.message("pacs_send", paths=paths)
                send(self._worker, message, lambda done: done["results"], onDone, onError, onProgress)
            except Exception as error:  # the process cannot be started: told like an error of its own
                onError(type(error).__name__, str(error))

        self._exports.startDicom(self._worker, volumeNode, lambda paths: paths, made, onError, onProgress)

    def cancel(self):
        """Stop what runs; what a server has taken already is remembered, and not sent again."""
        if self._worker.busy:
            self._worker.stop()

    def shutDown(self):
        """End the process."""
        self._worker.stop()
