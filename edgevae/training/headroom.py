"""A penalty on large activations, so that half precision holds: FP16 ends at 65,504, and far below it steps get coarse.

What is penalised is what the residual blocks and stems give, in training only; the network itself knows nothing of it.
"""

from __future__ import annotations

from types import TracebackType

import torch
from torch import Tensor, nn

from edgevae.nn.blocks import MemBlock, ResBlock


class Headroom:
    """A context in which the activations of a network's blocks are collected.

    Args:
        network: Whose `MemBlock` and `ResBlock` layers are watched.
        limit: Size up to which an activation costs nothing.
    """

    def __init__(self, network: nn.Module, *, limit: float) -> None:
        self.blocks = [m for m in network.modules() if isinstance(m, MemBlock | ResBlock)]
        self.limit = limit
        self._excesses: list[Tensor] = []
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Headroom:
        self._excesses = []
        self._hooks = [block.register_forward_hook(self._collect) for block in self.blocks]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def penalty(self) -> Tensor:
        """Return the mean over blocks of (|x| / limit - 1) squared, where |x| is above the limit."""
        return torch.stack(self._excesses).mean()

    def _collect(
        self, _block: nn.Module, _inputs: tuple[object, ...], output: Tensor | tuple[Tensor, Tensor]
    ) -> None:
        x = output[0] if isinstance(output, tuple) else output
        self._excesses.append(torch.relu(x.float().abs() / self.limit - 1.0).square().mean())
