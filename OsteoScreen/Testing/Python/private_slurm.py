"""A Slurm of one node for tests: its daemons run as whoever runs the tests, in a folder of their own, and end there."""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orthanc_process import ended_at_last, free_port

_PATIENCE_S = 60.0
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue", "sinfo")
#: A socket's name has to be shorter than a test's folder often is.
_SHORT = "/tmp"


def program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def missing() -> str:
    """Why there is no Slurm to start, empty where there is."""
    lacking = [name for name in _PROGRAMS if program(name) is None]
    return f"Slurm is not installed ({lacking[0]} is missing; Debian: slurm-wlm, munge)" if lacking else ""


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The file of settings (SLURM_CONF) by which Slurm's commands find a queue ``short`` of two cores."""
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    with ExitStack() as stack:
        sockets = Path(stack.enter_context(_short_folder()))
        conf = folder / "slurm.conf"
        conf.write_text(_settings(folder, sockets / "munge"))
        for name in ("state", "spool"):
            (folder / name).mkdir()
        files = [f"--{kind}-file={folder / 'munge'}.{kind}" for kind in ("pid", "log", "seed")]
        words = ["-F", "-f", f"--key-file={key}", f"--socket={sockets / 'munge'}", *files]
        stack.enter_context(_daemon(folder, "munged", *words))
        _wait_for((sockets / "munge").exists, folder)
        for name in ("slurmctld", "slurmd"):
            stack.enter_context(_daemon(folder, name, "-D", "-f", str(conf)))
        _wait_for(lambda: "idle" in ask(str(conf), "sinfo", "-h", "-o", "%T"), folder)
        yield str(conf)


def ask(settings: str, name: str, *words: str) -> str:
    """What one of Slurm's commands says."""
    command, environment = [program(name) or name, *words], {**os.environ, "SLURM_CONF": settings}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


@contextmanager
def _short_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="munge-", dir=_SHORT) as folder:
        Path(folder).chmod(0o755)
        yield folder


@contextmanager
def _daemon(folder: Path, name: str, *words: str) -> Iterator[None]:
    with (folder / f"{name}.out").open("wb") as log:
        process = subprocess.Popen([program(name) or name, *words], stdout=log, stderr=log)
    with ended_at_last(process):
        yield


def _settings(folder: Path, munge: Path) -> str:
    host, user = socket.gethostname().partition(".")[0], getpass.getuser()
    return f"""
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={munge}
CredType=cred/munge
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
StateSaveLocation={folder / "state"}
SlurmdSpoolDir={folder / "spool"}
SlurmctldPidFile={folder / "slurmctld.pid"}
SlurmdPidFile={folder / "slurmd.pid"}
SlurmctldLogFile={folder / "slurmctld.log"}
SlurmdLogFile={folder / "slurmd.log"}
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000
PartitionName=short Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def _wait_for(condition: Callable[[], object], folder: Path) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            said = "\n".join(path.read_text(errors="replace")[-1000:] for path in folder.glob("*.out"))
            raise AssertionError(f"Slurm did not start within {_PATIENCE_S} s:\n{said}")
        time.sleep(0.1)
