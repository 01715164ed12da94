"""The worker as a process: its lines, its life and its end."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from worker_study import make_study

import OsteoScreenLib
from OsteoScreenLib.levels import level_at
from OsteoScreenLib.results_io import to_dict
from OsteoScreenLib.screening import ScreeningRequest, screen
from OsteoScreenLib.worker import exchange

ENGINE = Path(OsteoScreenLib.__file__).resolve().parents[1]
PATIENCE_S = 120


class Worker:
    """A worker's process, asked line by line."""

    def __init__(self, *, prelude: Path | None = None) -> None:
        path = [str(ENGINE)] if prelude is None else [str(prelude), str(ENGINE)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "OsteoScreenLib.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._errors: list[bytes] = []
        self._hearing = threading.Thread(target=lambda: self._errors.extend(self.process.stderr), daemon=True)
        self._hearing.start()
        threading.Thread(target=lambda: [self._lines.put(line) for line in self.process.stdout], daemon=True).start()
        self.hello = self.line()

    def line(self):
        """The next line, which is JSON."""
        return json.loads(self._lines.get(timeout=PATIENCE_S))

    def send(self, raw: bytes) -> None:
        self.process.stdin.write(raw)
        self.process.stdin.flush()

    def ask(self, message) -> dict:
        """The message's last answer."""
        self.send(json.dumps(message).encode() + b"\n")
        while True:
            answer = self.line()
            assert answer["id"] == message["id"]
            if "progress" not in answer:
                return answer

    def end(self) -> int:
        """Close stdin; return the exit status."""
        self.process.stdin.close()
        try:
            return self.process.wait(timeout=PATIENCE_S)
        finally:
            self.process.kill()

    def heard(self) -> bytes:
        """What the process, which has ended, wrote to stderr."""
        self._hearing.join(PATIENCE_S)
        return b"".join(self._errors)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("with spaces") / "Größe – 测试")


@pytest.fixture(scope="module")
def worker():
    started = Worker()
    yield started
    assert started.end() == 0


def test_the_first_line_says_who_it_is(worker):
    assert worker.hello == {
        "hello": "osteoscreen-worker/1",
        "python": ".".join(map(str, sys.version_info[:3])),
        "pid": worker.process.pid,
    }


def test_a_study_from_warming_up_to_its_page(worker, study, tmp_path):
    options = {key: study.options[key] for key in ("segmentation_model", "classification_model", "device")}
    warm = worker.ask({"id": 1, "do": "warm_up", "options": {**options, "levels": ["L1", "L2"]}})
    assert warm["done"]["device"] == "cpu"
    outlined = exchange.read_done(worker.ask(study.message("outline", 2))["done"])
    answer = worker.ask(study.message("screen", 3))["done"]
    levels = {
        name.lower(): level_at(study.ct, level["slice_index"], name, "user") for name, level in study.levels.items()
    }
    expected = screen(ScreeningRequest(study.ct, **levels, **study.options))
    mine, its = to_dict(expected.result), dict(answer["result"])
    assert its.pop("timing_s")["total"] > 0
    del mine["timing_s"]
    assert its == mine
    for name, outline in expected.outlines.items():
        np.testing.assert_array_equal(outlined.outlines[name].mask, outline.mask)
        np.testing.assert_array_equal(exchange.read_done(answer).outlines[name].probability, outline.probability)
    target = tmp_path / "page – ü.html"
    page = study.message("report", 4, result=answer["result"], outlines=answer["outlines"], to=str(target))
    assert worker.ask(page)["done"] == {"written": str(target)}
    assert target.read_text(encoding="utf-8").startswith("<!")


def test_lines_that_are_no_messages_do_not_end_it(worker):
    for raw in (b"garbage\n", b"\xff\xfe\x00\n", b"[1, 2]\n", b'{"id": 5}\n', b"null\n", b"[" * 100_000 + b"\n"):
        worker.send(raw)
        answer = worker.line()
        assert answer["error"]["kind"] == "UsageError"
        assert answer["id"] == (5 if b"5" in raw else None)
    worker.send(b"\r\n\n   \n")
    assert worker.ask({"id": "6", "do": "forget"}) == {"id": "6", "done": {}}


def test_messages_are_worked_on_in_their_order(worker):
    worker.send(b'{"id": 1, "do": "forget"}\n{"id": 2, "do": "dance"}\n{"id": 3, "do": "forget"}\n')
    assert [worker.line()["id"] for _ in range(3)] == [1, 2, 3]


def test_a_message_may_come_in_pieces_and_in_any_script(worker):
    raw = json.dumps({"id": "числó\u2028", "do": "forget"}, ensure_ascii=False).encode() + b"\n"
    for n in range(0, len(raw), 5):
        worker.send(raw[n : n + 5])
    assert worker.line() == {"id": "числó\u2028", "done": {}}


def test_an_error_leaves_it_ready_for_the_next_message(worker, study):
    broken = study.message("screen", 1, ct={**study.described, "array": "/no/such.npy"})
    assert worker.ask(broken)["error"]["kind"] == "InputError"
    assert "done" in worker.ask(study.message("outline", 2))


NOISY = """
import os, sys, ctypes, ctypes.util
print("a library says hello")
sys.stdout.write("without a newline")
sys.__stdout__.write("to the old stdout\\n"); sys.__stdout__.flush()
os.write(1, b"to the descriptor\\n")
ctypes.CDLL(None).puts(b"from C") if os.name == "posix" else None
ctypes.CDLL(None).fflush(None) if os.name == "posix" else None
assert sys.stdin.read() == ""
__version__ = "0"
"""


def test_what_libraries_print_and_read_does_not_reach_the_protocol(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(NOISY + "raise OSError('c10.dll is missing')\n")
    noisy = Worker(prelude=tmp_path)
    answer = noisy.ask({"id": 1, "do": "warm_up"})
    assert answer["error"]["kind"] == "MissingPackage"
    assert "PyTorch is installed but does not load (c10.dll is missing)" in answer["error"]["message"]
    assert noisy.ask({"id": 2, "do": "forget"}) == {"id": 2, "done": {}}
    assert noisy.end() == 0
    heard = noisy.heard()
    assert b"a library says hello" in heard
    assert b"to the descriptor" in heard


BUSY = {
    "python": "while True: pass",
    "a long call": "import time; time.sleep(900)",
    "numpy": "import numpy as np\nwhile True: np.linalg.svd(np.random.rand(400, 400))",
}


@pytest.mark.parametrize("work", BUSY)
def test_the_end_of_stdin_ends_it_while_it_computes(tmp_path, work):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(f"open({str(tmp_path / 'begun')!r}, 'w').close()\n{BUSY[work]}\n")
    busy = Worker(prelude=tmp_path)
    busy.send(b'{"id": 1, "do": "warm_up"}\n')
    until = time.monotonic() + PATIENCE_S
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert busy.end() == 0


@pytest.mark.skipif(os.name != "posix", reason="looks at processes as POSIX shows them")
def test_a_caller_that_is_gone_takes_it_along(tmp_path):
    """The caller's process dies without a word; the worker, which computes, does not outlive it."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("while True: pass\n")
    script = (
        "import subprocess, sys, os, json\n"
        "worker = subprocess.Popen([sys.executable, '-m', 'OsteoScreenLib.worker'], stdin=subprocess.PIPE,"
        " stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)\n"
        "worker.stdout.readline()\n"
        'worker.stdin.write(b\'{"id": 1, "do": "warm_up"}\\n\'); worker.stdin.flush()\n'
        "print(worker.pid, flush=True)\n"
        "os._exit(9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ENGINE)])}
    caller = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False
    )
    pid = int(caller.stdout)
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.02)
    os.kill(pid, 9)
    pytest.fail("the worker outlived its caller")


def test_unexpected_errors_are_logged_without_what_they_say(study, tmp_path):
    (tmp_path / "safetensors").mkdir()
    (tmp_path / "safetensors" / "__init__.py").write_text("class SafetensorError(Exception): pass\n")
    (tmp_path / "safetensors" / "torch.py").write_text("def load(content): raise LookupError('nnamretsuM'[::-1])\n")
    odd = Worker(prelude=tmp_path)
    answer = odd.ask(study.message("outline", 1))
    assert answer["error"]["kind"] == "Unexpected"
    assert "LookupError in torch.py, line 1" in answer["error"]["message"]
    odd.end()
    heard = odd.heard().decode()
    assert "Unexpected LookupError" in heard and "weights.py" in heard
    assert "Mustermann" not in heard + answer["error"]["message"]
