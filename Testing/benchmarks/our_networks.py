"""What our own networks cost: the passes of one screening, and the study's network beside the U-Net."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from OsteoScreenLib.models import default_bundle
from OsteoScreenLib.networks import ARCHITECTURES, build_network
from OsteoScreenLib.networks.fusion import fuse_batch_norm
from OsteoScreenLib.screening import ScreeningRequest, screen


class PassesOf:
    """Counts the FLOPs of every pass of a network of ours that is made while it is entered, in any thread."""

    def __enter__(self) -> PassesOf:
        self._passes: list[tuple[nn.Module, torch.Tensor]] = []
        self._hook = nn.modules.module.register_module_forward_pre_hook(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()

    def _note(self, module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        if type(module) in ARCHITECTURES.values():
            self._passes.append((module, given[0].clone()))

    @property
    def count(self) -> int:
        """How many passes there were."""
        return len(self._passes)

    @torch.inference_mode()
    def flops(self) -> int:
        """Return the FLOPs of all of them; they are made again for it, on this thread, after the hook is gone."""
        with FlopCounterMode(display=False) as counter:
            for network, given in self._passes:
                network(given)
        return int(counter.get_total_flops())


def passes_of_screening(ct: str, l1: str, l2: str) -> dict[str, int]:
    """Return how many passes one screening of two levels makes, and their FLOPs."""
    with PassesOf() as passes:
        screen(ScreeningRequest(ct=ct, l1=l1, l2=l2, force=True))
    return {"passes": passes.count, "flops": passes.flops()}


def outlining(names: Sequence[str], rounds: int) -> dict[str, dict[str, Any]]:
    """Return what outlining one slice costs with each network: seconds (median), FLOPs, parameters; taken in turns.

    The passes are the shipped bundle's: a coarse one over the whole slice, a fine one as it is and mirrored.
    """
    bundle = default_bundle("segmentation")
    assert bundle is not None, "a segmentation bundle is shipped"
    width = bundle.architecture["parameters"]["base_width"]
    locate, outline = (int(bundle.preprocessing[name]["size"]) for name in ("locate", "outline"))
    inputs = [torch.zeros(1, 1, locate, locate), torch.zeros(2, 1, outline, outline)]
    networks = {
        name: fuse_batch_norm(build_network({"name": name, "parameters": {"base_width": width}}).eval())
        for name in names
    }
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(rounds + 1):
        for name, network in networks.items():
            seconds[name].append(_seconds(network, inputs))
    return {
        name: {
            "seconds": statistics.median(seconds[name][1:]),  # the first one pays for the allocation
            "flops": _flops(network, inputs),
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
        }
        for name, network in networks.items()
    }


@torch.inference_mode()
def _seconds(network: nn.Module, inputs: list[torch.Tensor]) -> float:
    began = time.perf_counter()
    for given in inputs:
        network(given)
    return time.perf_counter() - began


@torch.inference_mode()
def _flops(network: nn.Module, inputs: list[torch.Tensor]) -> int:
    with FlopCounterMode(display=False) as counter:
        for given in inputs:
            network(given)
    return int(counter.get_total_flops())
