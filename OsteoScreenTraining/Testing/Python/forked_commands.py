"""Commands in processes of their own that start at once: what is killed is a process, what waits is not torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Imports once what a command needs, and forks a process for each.
ZYGOTE = """
import json, os, sys
sys.path[:0] = sys.argv[1].split(os.pathsep)
import torch
torch.set_num_threads(1)
import jsonschema, torch._dynamo, torch.utils.tensorboard
from OsteoScreenLib.cli import main
import OsteoScreenTrainingLib.cli.train, OsteoScreenTrainingLib.training.running, OsteoScreenTrainingLib.datasets.splits
import OsteoScreenTrainingLib.training.segmentation_task, OsteoScreenTrainingLib.control.exporting
print("ready", flush=True)
while line := sys.stdin.readline():
    asked = json.loads(line)
    if "end" in asked:
        print(os.waitstatus_to_exitcode(os.waitpid(asked["end"], 0)[1]), flush=True)
        continue
    if asked["words"][0] == "study":
        import OsteoScreenTrainingLib.study.running
    pid = os.fork()
    if not pid:
        os.close(0)
        os.dup2(2, 1)
        os.environ.update(asked["environment"])
        code = main(asked["words"])
        sys.stdout.flush()
        os._exit(code)
    print(pid, flush=True)
"""


class ForkedCommands:
    """Runs commands of ``osteoscreen``, each in a process of its own, which keeps its number until :meth:`end`."""

    def __init__(self, paths: Sequence[str], log: Path):
        self._log = log
        with open(log, "w", encoding="utf-8") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-c", ZYGOTE, os.pathsep.join(paths)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
            )  # fmt: skip
        self._begun = self._last = 0
        assert self._answer() == "ready", self.said()

    def start(self, arguments: Sequence[Any], environment: Mapping[str, str] | None = None) -> int:
        """Start a command, with more in its environment where need be; return its process."""
        self._begun = self._log.stat().st_size
        self._last = self._ask(words=[str(word) for word in arguments], environment=dict(environment or {}))
        return self._last

    def end(self, process: int | None = None) -> int:
        """Wait for the end of a command, the last one unless told; return its exit code, negative for a signal."""
        return self._ask(end=process or self._last)

    def said(self) -> str:
        """Return what the last command has said so far, or said."""
        return self._log.read_bytes()[self._begun :].decode("utf-8", "replace")

    def close(self) -> None:
        """End the process that forks."""
        self._process.communicate()

    def _ask(self, **asked: Any) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")
