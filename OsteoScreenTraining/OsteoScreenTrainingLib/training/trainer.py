"""The trainer: one loop for every task, on one device or many, that can be killed at any time and goes on."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from OsteoScreenLib.errors import UsageError

from .checkpoints import (
    Counters,
    find_checkpoint,
    generator_states,
    load_checkpoint,
    load_weights,
    pack_optimiser,
    remove_older,
    restore_generators,
    save_checkpoint,
    unpack_optimiser,
)
from .config import TrainingConfig
from .errors import told
from .logs import RunLog
from .loss_window import LossWindow
from .numerics import chosen_memory_format, chosen_precision
from .optimisers import WeightAverage, learning_rate, make_optimiser
from .prefetch import Prefetcher
from .processes import Processes
from .stopping import FirstSignal, StopRequests
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
        self.precision = chosen_precision(config.precision, self.device)
        network = task.make_network()
        if initial is not None:
            load_weights(network, initial)
        self.memory_format = chosen_memory_format(config, network, self.device, self.precision)
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
        self._signal = FirstSignal()
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
            stack.enter_context(self._signal)
            if self._requests is not None:
                stack.enter_context(self._requests)
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
        window = LossWindow()
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
        if self.processes.agree(requested or self._signal.name is not None):
            self.interrupted = True
            if self._requests is not None:
                self._requests.follow()
            return (
                f"stopped by {'request' if requested else self._signal.name or 'another process'}; go on with --resume"
            )
        return None

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
            "generators": generator_states(self.device),
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
        restore_generators(tensors["generators"], self.device)
