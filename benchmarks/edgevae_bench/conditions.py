"""How the machine was while a subject was measured: clocks, temperature, throttling, CPU time taken by others.

Everything is read between turns, never during one: at the start and at the end of each, when the clocks are still those
of the work.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgevae_bench.nvml import Nvml


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What was observed at the end of every turn. A value is None where the system does not tell."""

    clock_min_mhz: float | None
    """Lowest clock seen: of the GPU's multiprocessors, or the mean of the CPU's cores."""
    clock_median_mhz: float | None
    """Its median."""
    clock_max_mhz: float | None
    """Its maximum."""
    temperature_max_c: float | None
    """Highest temperature seen, of the GPU, or of the hottest sensor of the system."""
    throttle_reasons: tuple[str, ...]
    """What held the clocks down in any turn; empty where nothing did."""
    has_throttle_reasons: bool
    """Whether the system tells of throttling at all."""
    steal_ratio: float | None
    """Part of the CPU time of the turns that a hypervisor gave to others."""
    load_average_max: float | None
    """Highest load average of a minute; the benchmark itself is in it."""


@dataclass(frozen=True)
class Reading:
    """One look at the machine."""

    clock_mhz: float | None
    temperature_c: float | None
    throttles: tuple[str, ...] | None
    """What holds the clocks down now (GPU), or `thermal` with its count so far (CPU); None where untold."""
    cpu_ticks: int
    """Time of all CPUs so far, whatever they did."""
    steal_ticks: int
    """Of these, given to others by a hypervisor."""


@dataclass
class Watch:
    """The readings of one subject; a turn is between `begin` and `end`.

    Args:
        nvml: The GPU; None watches the CPU.
        root: Where the file system begins.
    """

    nvml: Nvml | None = None
    root: Path = Path("/")
    _pairs: list[tuple[Reading, Reading]] = field(default_factory=list)
    _begun: Reading | None = None
    _load: float | None = None

    def begin(self) -> None:
        """Look before a turn."""
        self._begun = read(self.root, self.nvml)

    def end(self) -> None:
        """Look after it."""
        assert self._begun is not None, "a turn begins before it ends"
        self._pairs.append((self._begun, read(self.root, self.nvml)))
        if hasattr(os, "getloadavg"):
            self._load = max(self._load or 0.0, round(os.getloadavg()[0], 2))

    def conditions(self) -> Conditions | None:
        """Return what was seen; None before the first turn."""
        if not self._pairs:
            return None
        ends = [end for _, end in self._pairs]
        clocks = [r.clock_mhz for r in ends if r.clock_mhz is not None]
        heat = [r.temperature_c for r in ends if r.temperature_c is not None]
        ticks = sum(end.cpu_ticks - begin.cpu_ticks for begin, end in self._pairs)
        steal = sum(end.steal_ticks - begin.steal_ticks for begin, end in self._pairs)
        return Conditions(
            clock_min_mhz=min(clocks, default=None),
            clock_median_mhz=statistics.median(clocks) if clocks else None,
            clock_max_mhz=max(clocks, default=None),
            temperature_max_c=max(heat, default=None),
            throttle_reasons=_throttles(self._pairs, is_gpu=self.nvml is not None),
            has_throttle_reasons=any(r.throttles is not None for r in ends),
            steal_ratio=steal / ticks if ticks > 0 else None,
            load_average_max=self._load,
        )


def read(root: Path, nvml: Nvml | None) -> Reading:
    """Return one look at a GPU, or where there is none at the CPU."""
    total, steal = _cpu_ticks(root)
    if nvml is not None:
        reasons = nvml.throttle_reasons()
        return Reading(nvml.clock_mhz(), nvml.temperature_c(), reasons, total, steal)
    return Reading(_cpu_clock_mhz(root), _hottest_c(root), _cpu_throttles(root), total, steal)


def _throttles(pairs: Sequence[tuple[Reading, Reading]], *, is_gpu: bool) -> tuple[str, ...]:
    if is_gpu:
        return tuple(sorted({why for _, end in pairs for why in end.throttles or ()}))
    grown = any(begin.throttles != end.throttles for begin, end in pairs)
    return ("thermal (CPU)",) if grown else ()


def _cpu_clock_mhz(root: Path) -> float | None:
    """Return the mean clock of the cores, from cpufreq, else from /proc/cpuinfo."""
    files = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
    clocks = [int(text) / 1e3 for text in map(_text, files) if text.isdigit()]
    if not clocks:
        lines = _text(root / "proc" / "cpuinfo").splitlines()
        clocks = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return statistics.fmean(clocks) if clocks else None


def _hottest_c(root: Path) -> float | None:
    files = root.glob("sys/class/thermal/thermal_zone*/temp")
    found = [int(text) / 1e3 for text in map(_text, files) if text.lstrip("-").isdigit()]
    return max(found, default=None)


def _cpu_throttles(root: Path) -> tuple[str, ...] | None:
    """Return how often the cores were throttled so far, as text; None where Linux does not count it."""
    pattern = "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count"
    counts = [int(text) for text in map(_text, root.glob(pattern)) if text.isdigit()]
    return (f"{sum(counts)}",) if counts else None


def _cpu_ticks(root: Path) -> tuple[int, int]:
    """Return the time of all CPUs and what was stolen of it, from the first line of /proc/stat; zeros without one.

    cpu  user nice system idle iowait irq softirq steal guest guest_nice     (guest is in user already)
    """
    fields = _text(root / "proc" / "stat").split("\n", 1)[0].split()[1:9]
    ticks = [int(value) for value in fields]
    return sum(ticks), ticks[7] if len(ticks) > 7 else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
