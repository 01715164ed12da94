"""Reads mutated DICOM files in child processes: no crash, no hang, no leak, and every failure is one of our sentences.

    python Testing/fuzz_dicom.py --count 10000 --seed 1 --workers 2 -o FINDINGS

A case is a seed and a number: it damages one file of a small series (simulated ones in every way of storing pixels; and
real ones from ../shared/data, where they are) and reads the series with it, or that file alone. The children work under
limits of memory and time. ``FINDINGS`` gets the damaged file of every case that went wrong, and ``report.json``; it is
to be deleted afterwards, because it may hold parts of real scans.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import queue
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from pydicom.uid import UID

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = ROOT.parent / "shared" / "data"
_PATHS = (ROOT / "OsteoScreen", ROOT / "OsteoScreen" / "Testing" / "Python", ROOT / "Testing")

#: Address space of a child. Reading a series of three slices takes 0.2 GB beside the libraries' 1 GB.
MEMORY_BYTES = 3 << 30
#: A case takes 30 ms; a child that says nothing for so long hangs, on a busy machine too.
MOST_SECONDS = 120.0
#: CPU seconds of one case, of which there are three slices: more is no hang, but would be with a real series.
SLOW_CPU_SECONDS = 5.0
#: What a child may grow by between its two-hundredth case, when all libraries are loaded, and its last.
LEAK_BYTES = 96 << 20
_WARM_CASES = 200
#: Cases that one child reads, before another takes over.
CASES_PER_CHILD = 2500
_LONGEST_SENTENCE = 1200
#: What the RLE decoder, which is Rust, writes to the terminal before it raises what the reader turns into a sentence.
_KNOWN_NOISE = re.compile(r"\n*thread '<unnamed>' \S*\s*panicked at src/lib.rs:\d+:\d+:\n.*\n(note: run with .*\n)?")


@dataclass
class Outcome:
    """What became of a case: ``kind`` is "read", the class of our error, or what went wrong."""

    number: int
    kind: str
    message: str = ""
    series: str = ""
    mutations: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    resident: int = 0
    files_open: int = 0

    @property
    def is_finding(self) -> bool:
        """Whether it is to be mended."""
        return self.kind not in ("read", "InputError", "UsageError", "StudyRefused")


# -- the cases


def write_corpus(folder: Path, *, real: bool = True) -> None:
    """Write the intact series, a folder each: simulated ones, and three slices of each real one that there is."""
    import dicom_files
    from dicom_files import SYNTAXES, body, write_enhanced, write_series

    hu = body(3)
    # A case must be the same the next time, so UIDs are counted, not drawn.
    numbers = itertools.count(1)
    dicom_files.generate_uid = lambda: UID(f"1.2.826.0.1.3680043.10.1{next(numbers):06d}")
    for name, syntax in SYNTAXES.items():
        try:
            write_series(folder / name.replace(" ", "-"), hu, syntax=syntax)
        except BaseException as problem:  # pytest's skip, where dcmtk is not installed
            if type(problem).__name__ != "Skipped":
                raise
    write_enhanced(folder / "enhanced" / "a.dcm", hu)
    write_enhanced(folder / "enhanced-JPEG-2000" / "a.dcm", hu, syntax=SYNTAXES["JPEG 2000"])
    for name in ("acrin-nsclc-fdg-pet-042", "totalsegmentator-dicom") if real else ():
        files = sorted(path for path in (REAL_DATA / name).rglob("*") if path.is_file() and path.suffix != ".json")
        images = [path for path in files if path.stat().st_size > 100_000][60:63] or files[:3]
        for path in images:
            copy = folder / f"real-{name}" / path.name
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())


def make_case(corpus: Path, seed: int, number: int, target: Path) -> tuple[Path, str, list[str]]:
    """Write the files of a case below ``target``; returns what to open, the series, and the mutations' names."""
    from dicom_mutations import mutated

    rng = random.Random(f"{seed}-{number}")
    series = rng.choice(sorted(path for path in corpus.iterdir() if path.is_dir()))
    files = sorted(series.iterdir())
    chosen = rng.choice(files)
    with warnings.catch_warnings():
        # What the reader says of a damaged file is a finding; what finding the elements to damage says is not.
        warnings.simplefilter("ignore")
        data, names = mutated(chosen.read_bytes(), rng)
    alone = rng.random() < 0.5
    for path in [chosen] if alone else files:
        (target / path.name).write_bytes(data if path == chosen else path.read_bytes())
    whole_folder = rng.random() < 0.5
    return (target if whole_folder else target / chosen.name), series.name, names


def read_case(path: Path) -> None:
    """Everything that reading does: headers, geometry, checks, hash, slices."""
    from OsteoScreenLib.ct import open_ct
    from OsteoScreenLib.ct.eligibility import acquisition_checks
    from OsteoScreenLib.results import ScreeningResult
    from OsteoScreenLib.results_io import to_dict

    ct = open_ct(path)
    checks = acquisition_checks(ct)
    slices, rows, columns = ct.geometry.shape
    json.dumps(to_dict(ScreeningResult("refused", ct.describe(), checks)), allow_nan=False)
    for k in sorted({0, slices // 2, slices - 1}):
        ct.slice(k)
        ct.geometry.nearest_slice(ct.geometry.slice_z(k))
        ct.geometry.ijk(ct.geometry.ras(columns / 2, rows / 2, k))


# -- the child


def child(corpus: Path, seed: int, first: int, last: int) -> None:
    """Read cases ``first`` to ``last - 1``; tells of each before and after, one JSON line on descriptor 3."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(3, "w", buffering=1) as report:
        for number in range(first, last):
            print(json.dumps({"begin": number}), file=report)
            print(json.dumps(asdict(_outcome(corpus, seed, number))), file=report)


def _outcome(corpus: Path, seed: int, number: int) -> Outcome:
    from OsteoScreenLib.errors import OsteoScreenError

    with tempfile.TemporaryDirectory(prefix="osteoscreen-fuzz-") as folder:
        path, series, mutations = make_case(corpus, seed, number, Path(folder))
        before = time.process_time()
        try:
            read_case(path)
            kind, message = "read", ""
        except OsteoScreenError as error:
            kind, message = type(error).__name__, str(error)
            message = message.replace(folder, "…")
            if not _is_sentence(message):
                kind = "no sentence"
        except BaseException as error:
            kind, message = f"escaped {type(error).__name__}", _where(error)
        cpu = time.process_time() - before
    if cpu > SLOW_CPU_SECONDS:
        kind = f"slow ({kind})"
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    files_open = len(os.listdir("/proc/self/fd")) if pages else 0
    resident = pages * resource.getpagesize()
    return Outcome(number, kind, message, series, mutations, round(cpu, 3), resident, files_open)


def _is_sentence(message: str) -> bool:
    """Whether an error is for a user: one line, ends as a sentence does, and names nobody."""
    fit = message.isprintable() and message.endswith(".") and len(message) <= _LONGEST_SENTENCE
    return fit and "Secret" not in message and "SECRET" not in message


def _where(error: BaseException) -> str:
    import traceback

    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
    return f"{str(error)[:300]} at {places}"


# -- the parent


def run(corpus: Path, seed: int, numbers: range, *, most_seconds: float = MOST_SECONDS) -> Iterator[Outcome]:
    """The outcomes of the cases ``numbers``; a case that ends its child or hangs is one too, and the next go on."""
    first = numbers.start
    while first < numbers.stop:
        last = min(first + CASES_PER_CHILD, numbers.stop)
        reached = first
        baseline: Outcome | None = None
        for outcome in _one_child(corpus, seed, first, last, most_seconds):
            reached = outcome.number + 1
            if outcome.number == first + _WARM_CASES:
                baseline = outcome
            if baseline is not None and reached == last:
                outcome = _leaked(outcome, baseline)
            yield outcome
        first = reached


def _leaked(last: Outcome, warm: Outcome) -> Outcome:
    if last.resident - warm.resident > LEAK_BYTES:
        grown = (last.resident - warm.resident) >> 20
        return Outcome(last.number, "leak of memory", f"{grown} MiB in {last.number - warm.number} cases")
    if last.files_open > warm.files_open:
        return Outcome(last.number, "leak of files", f"{warm.files_open} open, then {last.files_open}")
    return last


def _one_child(corpus: Path, seed: int, first: int, last: int, most_seconds: float) -> Iterator[Outcome]:
    readable, writable = os.pipe()
    words = [sys.executable, __file__, "--child", str(corpus), str(seed), str(first), str(last), str(writable)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "RUST_BACKTRACE": "0",
        "PYTHONPATH": os.pathsep.join(map(str, _PATHS)),
    }
    with tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(words, pass_fds=(writable,), env=environment, stdout=noise, stderr=noise)
        os.close(writable)
        begun = first
        last_told: Outcome | None = None
        try:
            for line in _lines(os.fdopen(readable), most_seconds):
                told = json.loads(line)
                if "begin" in told:
                    begun = told["begin"]
                    continue
                last_told = Outcome(**told)
                yield last_told
            hung = process.poll() is None and (last_told is None or last_told.number + 1 < last)
        finally:
            if process.poll() is None and (last_told is None or last_told.number + 1 < last):
                process.kill()
            code = process.wait()
        noise.seek(0)
        said = _KNOWN_NOISE.sub("", noise.read(100_000).decode("utf-8", "replace")).strip()
        if last_told is None or last_told.number + 1 < last:
            yield Outcome(begun, "hang" if hung else f"crash ({code})", said[-1000:])
        elif said:
            yield Outcome(last_told.number, "noise", said)


def _lines(stream: IO[str], most_seconds: float) -> Iterator[str]:
    """Lines as they come; ends with the stream, or where nothing came for so long."""
    arrived: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        with stream:
            for line in stream:
                arrived.put(line)
        arrived.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = arrived.get(timeout=most_seconds)
        except queue.Empty:
            return
        if line is None:
            return
        yield line


def fuzz(seed: int, count: int, workers: int, findings: Path, *, real: bool = True, first: int = 0) -> dict[str, Any]:
    """Read ``count`` cases, tell of those that went wrong, and return (and write) the report."""
    findings.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="osteoscreen-corpus-") as folder:
        corpus = Path(folder)
        write_corpus(corpus, real=real)
        share = -(-count // workers)
        parts = [range(first + n * share, first + min((n + 1) * share, count)) for n in range(workers)]
        kinds: Counter[str] = Counter()
        wrong: list[Outcome] = []
        lock = threading.Lock()

        def work(part: range) -> None:
            for outcome in run(corpus, seed, part):
                with lock:
                    kinds[outcome.kind] += 1
                    if sum(kinds.values()) % 1000 == 0:
                        print(json.dumps(dict(kinds)), flush=True)
                    if outcome.is_finding:
                        wrong.append(outcome)
                        print(json.dumps(asdict(outcome)), flush=True)
                        _keep(corpus, seed, outcome.number, findings)

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, parts))
        series = sorted(path.name for path in corpus.iterdir())
    report = {
        "seed": seed,
        "first": first,
        "cases": count,
        "series": series,
        "seconds": round(time.monotonic() - begun, 1),
        "outcomes": dict(kinds.most_common()),
        "findings": [asdict(outcome) for outcome in wrong],
    }
    (findings / "report.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    return report


def _keep(corpus: Path, seed: int, number: int, findings: Path) -> None:
    folder = findings / f"{seed}-{number}"
    folder.mkdir(exist_ok=True)
    make_case(corpus, seed, number, folder)


def main(words: Sequence[str]) -> int:
    """The command line; 1 where anything went wrong."""
    if words[:1] == ["--child"]:
        corpus, seed, first, last, descriptor = words[1:]
        if descriptor != "3":
            os.dup2(int(descriptor), 3)
        child(Path(corpus), int(seed), int(first), int(last))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--simulated-only", action="store_true")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args(words)
    sys.path[:0] = map(str, _PATHS)
    report = fuzz(
        arguments.seed,
        arguments.count,
        arguments.workers,
        arguments.output,
        real=not arguments.simulated_only,
        first=arguments.first,
    )
    print(json.dumps({key: value for key, value in report.items() if key != "findings"}, indent=2))
    return 1 if report["findings"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
