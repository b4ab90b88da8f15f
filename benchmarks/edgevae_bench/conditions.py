"""How the machine was while a subject was measured: clocks, temperature, throttling, time taken by others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What was observed at the end of every turn. A value is None where the system does not tell."""

    clock_min_mhz: float | None
    """Lowest clock seen: of the GPU's multiprocessors, or mean over the CPU's cores."""
    clock_median_mhz: float | None
    """Its median."""
    clock_max_mhz: float | None
    """Its maximum."""
    temperature_max_c: float | None
    """Highest temperature seen, of the GPU or the CPU's package."""
    throttle_reasons: tuple[str, ...]
    """What held the clocks down in any turn; empty where nothing did."""
    has_throttle_reasons: bool
    """Whether the system tells of throttling at all."""
    steal_ratio: float | None
    """Part of the CPU time of the turns that the hypervisor gave to others."""
    others_ratio: float | None
    """Part of the CPU time of the turns that processes other than the subject's used, of all cores of this process."""
