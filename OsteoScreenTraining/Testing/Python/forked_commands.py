"""Commands in processes of their own that start at once: what is killed is a process, what waits is not torch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Imports everything once, and forks a process for each command.
ZYGOTE = """
import os, sys
sys.path[:0] = sys.argv[1].split(os.pathsep)
import torch
torch.set_num_threads(1)
import torch._dynamo, torch.utils.tensorboard
from OsteoScreenLib.cli import main
import OsteoScreenTrainingLib.cli.train, OsteoScreenTrainingLib.training.running, OsteoScreenTrainingLib.datasets.splits
import OsteoScreenTrainingLib.training.segmentation_task, OsteoScreenTrainingLib.control.exporting
import OsteoScreenTrainingLib.study.running
print("ready", flush=True)
while line := sys.stdin.readline():
    pid = os.fork()
    if not pid:
        os.close(0)
        os.dup2(2, 1)
        code = main(line.rstrip("\\n").split("\\t"))
        sys.stdout.flush()
        os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class ForkedCommands:
    """Runs one command of ``osteoscreen`` after another, each in a process of its own."""

    def __init__(self, paths: Sequence[str], log: Path):
        self._log = log
        with open(log, "w", encoding="utf-8") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-c", ZYGOTE, os.pathsep.join(paths)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
            )  # fmt: skip
        self._begun = 0
        assert self._answer() == "ready", self.said()

    def start(self, arguments: Sequence[Any]) -> int:
        """Start a command; return its process."""
        self._begun = self._log.stat().st_size
        assert self._process.stdin is not None
        self._process.stdin.write("\t".join(map(str, arguments)) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def end(self) -> int:
        """Wait for the command's end; return its exit code, which is negative for a signal."""
        return int(self._answer())

    def said(self) -> str:
        """Return what the last command has said so far, or said."""
        return self._log.read_bytes()[self._begun :].decode("utf-8", "replace")

    def close(self) -> None:
        """End the process that forks."""
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")
