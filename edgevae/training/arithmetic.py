"""The arithmetic of a run's steps: float32, or bfloat16 where the processor has instructions for it.

Without them bfloat16 is emulated: a step of a small convolution was 7 times slower on a CPU with AVX2 alone, and 1.5
times faster on one with AVX-512's.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, Literal, TypeVar

import torch
from tqdm import tqdm

Precision = Literal["auto", "fp32", "bf16"]
"""Of a run that is to begin; of one that has begun it is never auto."""

C = TypeVar("C")

_BF16_OF_CPUS = ("avx512_bf16", "amx_bf16")
"""Of x86; others were not tried."""


def decided(config: C) -> C:
    """Return the configuration of a run with its `precision` decided for this machine where it is auto, and say so.

    The run keeps what was decided, so that it goes on alike on another machine.
    """
    values: Any = config  # Any: one of the configurations that have a precision
    if values.precision != "auto":
        return config
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision: Precision = "bf16" if has_bf16(device) else "fp32"
    tqdm.write(f"precision: {precision}, the faster one here", file=sys.stderr)
    return replace(values, precision=precision)  # type: ignore[no-any-return]  # of the same class


def has_bf16(device: str) -> bool:
    """Return whether a device has instructions for bfloat16; of a CPU only where PyTorch tells (from 2.13 on)."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    tell = getattr(torch.cpu, "get_capabilities", None)
    return tell is not None and any(tell().get(name) for name in _BF16_OF_CPUS)


def arithmetic(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context in which a run's networks compute; its precision was decided before the first step."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
