"""A real PACS for tests: Orthanc with its DICOMweb plug-in, on loopback, with a user, and gone afterwards.

It needs neither pytest nor Slicer, so that the tests of both can use it.
"""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "reader", "s3cret-word"
_PATIENCE_S = 60.0
#: Below those that Linux lends to whoever connects (``ip_local_port_range``, from 32768).
_PORTS = (20_000, 32_000)


@dataclass(frozen=True)
class Orthanc:
    """``url`` is where its DICOMweb services begin."""

    url: str
    root: str

    def ask(self, path: str) -> requests.Response:
        """Ask its own REST interface, past everything that is tested."""
        session = requests.Session()
        session.trust_env = False
        return session.get(f"{self.root}/{path}", auth=(USER, PASSWORD), timeout=_PATIENCE_S)

    def take(self, content: bytes) -> None:
        """Store a DICOM file, likewise."""
        session = requests.Session()
        session.trust_env = False
        where = f"{self.root}/instances"
        session.post(where, data=content, auth=(USER, PASSWORD), timeout=_PATIENCE_S).raise_for_status()

    def clear(self) -> None:
        """Delete every patient."""
        session = requests.Session()
        session.trust_env = False
        for patient in self.ask("patients").json():
            session.delete(f"{self.root}/patients/{patient}", auth=(USER, PASSWORD), timeout=_PATIENCE_S)

    def stored(self) -> dict[str, bytes]:
        """The files that it holds, by SOP Instance UID."""
        found = {}
        for each in self.ask("instances?expand").json():
            found[each["MainDicomTags"]["SOPInstanceUID"]] = self.ask(f"instances/{each['ID']}/file").content
        return found


def missing() -> str:
    """Why there is no server to start, empty where there is."""
    if Path(ORTHANC).is_file() and PLUGIN.is_file():
        return ""
    return "Orthanc with its DICOMweb plug-in is not installed (Debian: orthanc, orthanc-dicomweb)"


def free_port() -> int:
    """A port that nobody has, and that the system gives to nobody by itself before it is used."""
    while True:
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", random.SystemRandom().randrange(*_PORTS)))
            except OSError:
                continue
            return int(free.getsockname()[1])


@contextmanager
def running(folder: Path, port: int | None = None) -> Iterator[Orthanc]:
    """A server with its storage in ``folder``, where it finds again what it held; ended on the way out."""
    port = port or free_port()
    settings = {
        "Name": "test",
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen([ORTHANC, str(folder / "orthanc.json")], stdout=log, stderr=log)
    server = Orthanc(f"http://127.0.0.1:{port}/dicom-web", f"http://127.0.0.1:{port}")
    with ended_at_last(process):
        _await(server, process, folder / "log.txt")
        yield server


@contextmanager
def ended_at_last(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a server when the context is left, and wait until it has ended."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(server: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        assert process.poll() is None, f"Orthanc ended by itself:\n{log.read_text(errors='replace')[-2000:]}"
        try:
            if server.ask("system").ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"Orthanc did not answer within {_PATIENCE_S} s:\n{log.read_text(errors='replace')[-2000:]}")
