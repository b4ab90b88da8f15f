"""What changes with the step of a run: learning rate and averaged weights."""

from __future__ import annotations

import math

import torch
from torch import nn


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, *, decay: float) -> None:
    """Move the average of a network's weights, and of its statistics, towards it by 1 - decay."""
    current = network.state_dict()
    for name, mean in average.state_dict().items():
        if mean.is_floating_point():
            mean.lerp_(current[name], 1.0 - decay)
        else:
            mean.copy_(current[name])


def ema_decay_at(step: int, decay: float) -> float:
    """Return how much of an average stays at a step: it follows at once at first."""
    return min(decay, (step + 1) / (step + 51))


def risen_cosine(step: int, *, steps: int, warmup_steps: int, final: float) -> float:
    """Return the share of the peak learning rate at a step, counted from 0: a linear rise times half a cosine."""
    rise = min(1.0, (step + 1) / max(1, warmup_steps))
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / steps)))
    return rise * (final + (1.0 - final) * cosine)
