"""What changes with the step of a run: learning rate and averaged weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from edgevae.errors import ConfigError


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


def check_schedule(
    *, learning_rate: float, warmup_steps: int, final_rate: float, ema_decay: float
) -> None:
    """Refuse values by which no run learns.

    Raises:
        ConfigError: a rate that is not above 0 or not finite, a rise of less than 0 steps, or a share outside of 0..1.
    """
    if not 0.0 < learning_rate < math.inf:
        raise ConfigError(f"learning_rate: got {learning_rate}, expected a finite number above 0")
    if warmup_steps < 0:
        raise ConfigError(f"warmup_steps: got {warmup_steps}, expected at least 0")
    for name, share in (("final_rate", final_rate), ("ema_decay", ema_decay)):
        if not 0.0 <= share <= 1.0:
            raise ConfigError(f"{name}: got {share}, expected 0 to 1")
