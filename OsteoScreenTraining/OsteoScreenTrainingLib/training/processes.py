"""One process or many: what ``torchrun`` says, and what the trainer needs of it."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from OsteoScreenLib.errors import UsageError


@dataclass(frozen=True)
class Processes:
    """This process's place among those of the run; a run without ``torchrun`` is the only one."""

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes the files and draws the progress bar."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """Return this process's part of a global batch.

        Raises:
            UsageError: the batch cannot be shared out evenly.
        """
        if batch % self.count:
            raise UsageError(f"The batch of {batch} cannot be shared by {self.count} processes; use a multiple.")
        size = batch // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network that averages gradients over the processes.

        On CUDA, batch normalisation sees the global batch (SyncBatchNorm, which torch offers for CUDA alone). On the
        CPU each process normalises with its own share, and the running statistics are averaged
        (:meth:`average_buffers`): the same as one process that runs with as many ``micro_batches``.
        """
        if self.count == 1:
            return network
        if self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
            return DistributedDataParallel(network, device_ids=[self.device.index], broadcast_buffers=False)
        return DistributedDataParallel(network, broadcast_buffers=False)

    def average_buffers(self, *networks: nn.Module) -> None:
        """Make floating-point buffers the mean over the processes; they are updated linearly, so any time will do."""
        if self.count == 1:
            return
        for network in networks:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    distributed.all_reduce(buffer)
                    buffer.div_(self.count)

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a scalar over the processes."""
        if self.count > 1:
            value = value.clone()
            distributed.all_reduce(value)
            value = value / self.count
        return value

    def agree(self, flag: bool) -> bool:
        """Return whether any process says so."""
        if self.count == 1:
            return flag
        vote = torch.tensor(float(flag), device=self.device)
        distributed.all_reduce(vote)
        return bool(vote.item() > 0)

    def close(self) -> None:
        """Leave the other processes, once nothing holds a network that :meth:`wrap` made.

        Such a network keeps the group's threads alive, and a thread that is still there when Python ends aborts the
        process now and then (seen with gloo).
        """
        if self.count > 1:
            gc.collect()
            distributed.destroy_process_group()


def join_processes(device: str) -> Processes:
    """Return this process's place, after joining the others when ``torchrun`` started it.

    Raises:
        UsageError: the device is not there.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = _device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if count == 1:
        return Processes(0, 1, chosen)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return Processes(distributed.get_rank(), count, chosen)


def _device(name: str, local_rank: int) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            name = "cuda"
        else:
            name = "mps" if torch.backends.mps.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("No CUDA device is there; use device cpu or auto.")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UsageError("No MPS device is there; use device cpu or auto.")
    try:
        return torch.device("cuda", local_rank) if name == "cuda" else torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"The device {name!r} is unknown; use auto, cpu, cuda or mps.") from error
