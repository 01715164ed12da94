"""The trainer: one loop for every task, on one device or many, that can be killed at any time and goes on."""

from __future__ import annotations

import contextlib
import errno
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.memory_limits import is_out_of_memory

from .checkpoints import (
    Counters,
    find_checkpoint,
    load_checkpoint,
    pack_optimiser,
    remove_older,
    save_checkpoint,
    unpack_optimiser,
)
from .config import TrainingConfig
from .errors import TrainingError
from .logs import RunLog
from .optimisers import WeightAverage, learning_rate, make_optimiser
from .prefetch import Prefetcher
from .processes import Processes
from .stopping import StopRequests
from .task import Task

#: Steps between two rows of the log.
_LOG_STEPS = 20
#: Steps between two looks at the loss on a device where a look makes the host wait.
_LOOK_STEPS = 10


class Trainer:
    """Trains one network for a task inside a run folder.

    ``run()`` may be called once; :attr:`counters` and :attr:`average` tell the outcome, and :attr:`interrupted` whether
    a signal or a request (see :mod:`.stopping`) stopped it before its budget was spent. What reaches disk: ``log.csv``,
    ``tensorboard/``, ``checkpoints/``.
    """

    def __init__(
        self,
        config: TrainingConfig,
        task: Task,
        run: Path,
        processes: Processes,
        initial: dict[str, Tensor] | None = None,
    ):
        self.config, self.task, self.folder, self.processes = config, task, run, processes
        self.device = processes.device
        self.share = processes.share(config.batch)
        local = self.share.stop - self.share.start
        if local % config.micro_batches:
            raise UsageError(f"{local} samples per process cannot be split into {config.micro_batches} micro-batches.")
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        # Without this a resumed run on CUDA is not the same bit for bit.
        torch.backends.cudnn.deterministic = True
        self.precision = _precision(config.precision, self.device)
        network = task.make_network()
        if initial is not None:
            load_weights(network, initial)
        self.memory_format = _memory_format(config, network, self.device, self.precision)
        self.network = network.to(self.device)
        self.network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.average = WeightAverage(self.network, config.optimiser.average_decay)
        self.parallel = processes.wrap(self.network)
        if processes.count > 1 and isinstance(self.parallel, nn.parallel.DistributedDataParallel):
            self.network = self.parallel.module
        self.forward: Any = torch.compile(self.parallel) if config.compile else self.parallel
        self.optimiser = make_optimiser(self.network, config.optimiser)
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.precision == torch.float16)
        self.counters = Counters()
        self.interrupted = False
        self._signal: str | None = None
        self._validated = 0
        self._requests = StopRequests(run) if processes.first else None
        self._since = time.monotonic()
        self._last_checkpoint = time.monotonic()

    # -- the loop ---------------------------------------------------------------------------------------------------

    def run(self, resume: bool = False) -> str:
        """Train until the budget is spent, patience runs out, or a signal or a request asks to stop; return which.

        Raises:
            TrainingError: the loss is no longer finite, memory or disk ran out; the last good checkpoint is kept.
            InputError: the data vanished or the checkpoint is damaged.
        """
        if resume:
            self._restore()
        first = self.counters.step
        self._since = self._last_checkpoint = time.monotonic()
        with contextlib.ExitStack() as stack:
            stack.enter_context(told(self.folder, lambda: f"At step {self.counters.step} "))
            stack.enter_context(self._signals())
            log = RunLog(self.folder, first) if self.processes.first else None
            if log is not None:
                stack.callback(log.close)
            batches = stack.enter_context(Prefetcher(lambda step: self.task.load(step, self.share), first))
            reason = self._loop(batches, stack.enter_context(self._bar()), log)
            try:
                self._validate(log)
            finally:
                self._checkpoint()
        return reason

    def _bar(self) -> tqdm:
        return tqdm(
            initial=self.counters.step,
            total=self.config.steps or None,
            disable=not self.processes.first,
            unit="step",
            # Into a file, a line now and then will do.
            mininterval=0.2 if sys.stderr.isatty() else 30.0,
        )

    def _loop(self, batches: Prefetcher, bar: tqdm, log: RunLog | None) -> str:
        window = _Window()
        while (reason := self._finished()) is None:
            rate = learning_rate(self.config.optimiser, self.counters.step, self._progress())
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            window.add(self._step(batches.next()))
            self.counters.step += 1
            bar.update()
            step = self.counters.step
            if self.device.type == "cpu" or step % _LOOK_STEPS == 0:
                window.look(step)
            if step % _LOG_STEPS == 0 or step == self.config.steps:
                values = window.close(self.config.batch, batches.waited_s, self.processes)
                values |= {"learning_rate": rate, "seconds": self._seconds()}
                bar.set_postfix(loss=f"{values['loss']:.4f}", per_s=f"{values['images_per_s']:.1f}")
                if log is not None:
                    log.add(step, values)
            if self.config.validation.every_steps and step % self.config.validation.every_steps == 0:
                with window.aside():
                    self._validate(log)
            if self._checkpoint_due():
                window.look(step)
                with window.aside():
                    self._checkpoint()
        window.look(self.counters.step)
        return reason

    def _step(self, host_batch: Any) -> Tensor:
        """Do one optimiser step; return the mean loss of this process's share."""
        inputs, target = self.task.prepare(host_batch, self.device)
        inputs = inputs.contiguous(memory_format=self.memory_format)
        parts = self.config.micro_batches
        size = len(inputs) // parts
        self.parallel.train()
        self.optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for part in range(parts):
            rows = slice(part * size, (part + 1) * size)
            with self._unsynchronised(part < parts - 1):
                with self._autocast():
                    outputs = self.forward(inputs[rows])
                loss = self.task.loss(outputs, target[rows]) / parts
                self.scaler.scale(loss).backward()
            total += loss.detach()
        self.scaler.unscale_(self.optimiser)
        if self.config.optimiser.clip_norm > 0:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimiser.clip_norm, foreach=True)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.average.update(self.network, self.counters.step)
        return total

    def _unsynchronised(self, yes: bool) -> contextlib.AbstractContextManager:
        if yes and isinstance(self.parallel, nn.parallel.DistributedDataParallel):
            return self.parallel.no_sync()
        return contextlib.nullcontext()

    def _autocast(self) -> contextlib.AbstractContextManager:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)

    # -- when to stop -----------------------------------------------------------------------------------------------

    def _seconds(self) -> float:
        return self.counters.seconds + time.monotonic() - self._since

    def _progress(self) -> float:
        """Return the share of the budget that is spent, 0 to 1."""
        spent = [0.0]
        if self.config.steps > 0:
            spent.append(self.counters.step / self.config.steps)
        if self.config.minutes > 0:
            spent.append(self._seconds() / (60 * self.config.minutes))
        return max(spent)

    def _finished(self) -> str | None:
        patience = self.config.validation.patience
        spent = self._progress() >= 1
        # Steps are counted alike everywhere; a clock may have struck in one process only: all stop when one does.
        if self.processes.agree(spent) if self.config.minutes else spent:
            return "the budget is spent"
        if patience and self.counters.stale >= patience:
            return f"{patience} validations in a row brought nothing better"
        requested = self._requests is not None and self._requests.made()
        if self.processes.agree(requested or self._signal is not None):
            self.interrupted = True
            if self._requests is not None:
                self._requests.follow()
            return f"stopped by {'request' if requested else self._signal or 'another process'}; go on with --resume"
        return None

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn the first Ctrl-C or TERM into an orderly stop after the step; a second one is the usual one."""
        previous: dict[int, Any] = {}

        def stop(number: int, _: Any) -> None:
            self._signal = signal.Signals(number).name
            signal.signal(number, previous[number])

        with contextlib.suppress(ValueError):  # not the main thread: leave signals alone
            for number in map(int, (signal.SIGINT, signal.SIGTERM)):
                previous[number] = signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    # -- validation and checkpoints ---------------------------------------------------------------------------------

    def _validate(self, log: RunLog | None) -> None:
        if self.counters.step in (0, self._validated):
            return
        self._validated = self.counters.step
        self.task.check()
        self.processes.average_buffers(self.network, self.average.network)
        metrics: dict[str, float] = {}
        if self.processes.first:
            metrics = self.task.validate(self.average.network, self.device, self._autocast)
            if log is not None and metrics:
                log.add(self.counters.step, {f"val_{name}": value for name, value in metrics.items()})
        score = torch.tensor(metrics.get("score", math.nan), dtype=torch.float64, device=self.device)
        if self.processes.count > 1:
            torch.distributed.broadcast(score, 0)
        self._keep_best(float(score))

    def _keep_best(self, score: float) -> None:
        best = self.counters.best_score
        if self.counters.best_step == self.counters.step or not math.isfinite(score):
            return
        if best is not None and score <= best:
            self.counters.stale += 1
            return
        self.counters.best_score, self.counters.best_step, self.counters.stale = score, self.counters.step, 0
        if self.processes.first:
            folder = self.folder / "checkpoints" / f"best-{self.counters.step:08d}"
            save_checkpoint(folder, {"average": self.average.network.state_dict()}, {}, self.counters)
            remove_older(folder)

    def _checkpoint_due(self) -> bool:
        every = self.config.checkpoints
        by_step = every.every_steps > 0 and self.counters.step % every.every_steps == 0
        by_time = every.every_minutes > 0 and time.monotonic() - self._last_checkpoint > 60 * every.every_minutes
        return self.processes.agree(by_step or by_time)

    def _checkpoint(self) -> None:
        self.processes.average_buffers(self.network, self.average.network)
        self.counters.seconds, self._since = self._seconds(), time.monotonic()
        self._last_checkpoint = time.monotonic()
        if not self.processes.first:
            return
        optimiser, rest = pack_optimiser(self.optimiser)
        tensors = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": optimiser,
            "generators": _generators(self.device),
        }
        folder = self.folder / "checkpoints" / f"step-{self.counters.step:08d}"
        save_checkpoint(folder, tensors, {"optimiser": rest, "scaler": self.scaler.state_dict()}, self.counters)
        remove_older(folder)

    def _restore(self) -> None:
        folder = find_checkpoint(self.folder)
        if folder is None:
            raise UsageError(f"{self.folder} has no checkpoint to go on from; start it without --resume.")
        tensors, state, self.counters = load_checkpoint(folder)
        load_weights(self.network, tensors["network"])
        load_weights(self.average.network, tensors["average"])
        unpack_optimiser(self.optimiser, tensors["optimiser"], state["optimiser"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(tensors["generators"]["cpu"])
        if self.device.type == "cuda" and "cuda" in tensors["generators"]:
            torch.cuda.set_rng_state(tensors["generators"]["cuda"], self.device)


class _Window:
    """Loss and throughput since the last row of the log."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._waited = 0.0
        self._start = time.perf_counter()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Stop the clock: validation and checkpoints do not count as training."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - began

    def add(self, loss: Tensor) -> None:
        self._losses.append(loss)

    def look(self, step: int) -> None:
        """Raise FloatingPointError when a loss since the last look is not finite."""
        if self._losses and not bool(torch.isfinite(torch.stack(self._losses)).all()):
            raise FloatingPointError(f"The loss became NaN or infinite by step {step}")

    def close(self, batch: int, waited_s: float, processes: Processes) -> dict[str, float]:
        """Return the mean loss, images per second and share of time waited for data, and start afresh."""
        loss = float(processes.mean(torch.stack(self._losses).mean()))
        elapsed = max(1e-9, time.perf_counter() - self._start)
        values = {
            "loss": loss,
            "images_per_s": len(self._losses) * batch / elapsed,
            "waiting": min(1.0, (waited_s - self._waited) / elapsed),
        }
        self._losses, self._waited, self._start = [], waited_s, time.perf_counter()
        return values


@contextlib.contextmanager
def told(run: Path, at: Callable[[], str] = str) -> Iterator[None]:
    """Turn what can happen to any run into a sentence with what to do next; ``at()`` begins it."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"{_begin(at() + 'memory ran out')}; {_kept(run)}Use a smaller batch or more micro_batches."
        ) from error
    except OSError as error:
        if not run.is_dir():
            raise TrainingError(f"The run's folder {run} has vanished; put it back and use --resume.") from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TrainingError(f"{_begin(at() + 'the disk is full')}; {_kept(run)}Make room and use --resume.") from error
    except FloatingPointError as error:
        raise TrainingError(
            f"{error}; {_kept(run)}Lower optimiser.learning_rate or set precision to float32, and use --resume."
        ) from error


def _begin(words: str) -> str:
    return words[:1].upper() + words[1:]


def _kept(run: Path) -> str:
    last = find_checkpoint(run)
    return f"the checkpoint {last} is kept. " if last else "there is no checkpoint yet. "


def load_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load a state dictionary, in any floating-point precision.

    Raises:
        UsageError: names or shapes differ.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise UsageError(f"These weights do not fit the configured network: {first}") from error


def _precision(name: str, device: torch.device) -> torch.dtype:
    if name != "auto":
        precision: torch.dtype = getattr(torch, name)
        if precision == torch.float16 and device.type != "cuda":
            raise UsageError("precision float16 needs CUDA; use auto, bfloat16 or float32.")
        return precision
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    # Measured on an EPYC with AVX512-BF16: twice the speed of float32; without the instructions it is slower.
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if device.type == "cpu" and has_bf16() else torch.float32


def _memory_format(
    config: TrainingConfig, network: nn.Module, device: torch.device, precision: torch.dtype
) -> torch.memory_format:
    # Measured on the CPU: channels last gains 30 % in float32 and loses 15 % in bfloat16. With fewer than 8 channels,
    # torch 2.13 corrupts memory in training (seen with 2, 4 and 6 in the classifier, not with 8 and 12).
    narrowest = min((m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)), default=0)
    auto = device.type == "cuda" or (device.type == "cpu" and precision == torch.float32 and narrowest >= 8)
    on = config.channels_last == "on" or (config.channels_last == "auto" and auto)
    return torch.channels_last if on else torch.contiguous_format


def _generators(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states
