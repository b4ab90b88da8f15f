"""Energy meters: what of the machine they cover, and no watt counted twice.

    NVML       the whole board of an NVIDIA GPU, a counter that the driver keeps
    INA3221    a Jetson's rails, power sampled and added up over time
    RAPL       the CPU packages and, where they have their own counter, their memory (root may read them, others often
    not)

What a meter cannot tell apart is in its name: idle power is in every figure, and a CPU's meter knows nothing of the
GPU.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgevae_bench.nvml import Nvml

TOTAL_RAILS = ("VDD_IN", "VIN", "POM_5V_IN")
"""INA3221 channels that measure what the whole module takes; where there is one, the other rails are parts of it."""

SAMPLE_S = 0.01
"""Between two samples of a rail; the chip itself averages over about this long."""


class Meter(Protocol):
    """Something that counts energy."""

    @property
    def name(self) -> str:
        """What is read, and what of the machine it covers."""

    def energy_j(self) -> float:
        """Return the energy so far; only differences mean something."""

    def running(self) -> AbstractContextManager[None]:
        """Return what is to be entered while it has to count."""


@dataclass(frozen=True)
class CounterMeter:
    """A meter that the system keeps counting by itself."""

    name: str
    _read: Callable[[], float]

    def energy_j(self) -> float:
        """Return the counter."""
        return self._read()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Nothing has to be done."""
        yield


class RaplMeter:
    """Intel's and AMD's counters of a CPU, `energy_uj`, which start over at `max_energy_range_uj`.

    Args:
        zones: Folders of the domains, none of which is part of another.
    """

    def __init__(self, zones: Sequence[Path]) -> None:
        names = ", ".join((zone / "name").read_text().strip() for zone in zones)
        self.name = f"RAPL: {names}"
        self._zones = tuple(zones)
        self._last = [_number(zone / "energy_uj") for zone in zones]
        self._ranges = [_number(zone / "max_energy_range_uj") for zone in zones]
        self._total_uj = 0

    def energy_j(self) -> float:
        """Return the energy since the meter was made; to be asked at least once per range, which is minutes."""
        now = [_number(zone / "energy_uj") for zone in self._zones]
        for before, after, range_uj in zip(self._last, now, self._ranges, strict=True):
            grown = after - before
            self._total_uj += grown if grown >= 0 else grown + range_uj
        self._last = now
        return self._total_uj / 1e6

    @contextmanager
    def running(self) -> Iterator[None]:
        """Nothing has to be done."""
        yield


class RailMeter:
    """Rails whose power is sampled, while the meter runs.

    Args:
        rails: For each its voltage and current file, in mV and mA, and its name.
    """

    def __init__(self, rails: Sequence[tuple[str, Path, Path]]) -> None:
        self.name = f"INA3221: {', '.join(name for name, _, _ in rails)}"
        self._rails, self._energy_j = tuple(rails), 0.0

    def energy_j(self) -> float:
        """Return what was added up so far."""
        return self._energy_j

    def power_w(self) -> float:
        """Return the power now."""
        return sum(_number(mv) * _number(ma) for _, mv, ma in self._rails) / 1e6

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add up power over time, trapezoid by trapezoid, in a thread."""
        stop = threading.Event()
        sampler = threading.Thread(target=self._sample, args=(stop,), daemon=True)
        sampler.start()
        try:
            yield
        finally:
            stop.set()
            sampler.join()

    def _sample(self, stop: threading.Event) -> None:
        then, before_w = time.perf_counter(), self.power_w()
        ends = False
        while not ends:
            ends = stop.wait(SAMPLE_S)
            now, after_w = time.perf_counter(), self.power_w()
            self._energy_j += (now - then) * (before_w + after_w) / 2
            then, before_w = now, after_w


def find_meter(nvml: Nvml | None, *, is_gpu: bool, root: Path = Path("/")) -> Meter | str:
    """Return the meter of what is measured, or why there is none.

    Args:
        nvml: The GPU that is measured, where NVML knows it.
        is_gpu: Whether a GPU is measured.
        root: Where the file system begins.
    """
    rails = jetson_rails(root)
    if rails:  # of the whole module, whichever part works
        return RailMeter(rails)
    if is_gpu:
        if nvml is None:
            return "no meter: NVML is not there (`pip install nvidia-ml-py`) and no INA3221"
        if nvml.energy_j() is None:
            return "no meter: NVML tells no energy of this GPU"
        return CounterMeter("NVML: the GPU's whole board", lambda: nvml.energy_j() or 0.0)
    zones = rapl_zones(root)
    if isinstance(zones, str):
        return zones
    return RaplMeter(zones)


def jetson_rails(root: Path) -> list[tuple[str, Path, Path]]:
    """Return the rails that together are the module, each once; empty where there is no INA3221.

    Orin Nano and NX:  VDD_IN is all, VDD_CPU_GPU_CV and VDD_SOC are parts of it.
    AGX Orin:          VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0 and VDDQ_VDD2_1V8AO are parts, and no channel has the sum.
    The fourth channel of a chip, "sum of shunt voltages", is a sum of the others and never a rail.
    """
    found = []
    for label in sorted(root.glob("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in[1-3]_label")):
        number = label.name[2]
        volts, amperes = (label.with_name(f"{kind}{number}_input") for kind in ("in", "curr"))
        name = label.read_text().strip()
        if name not in ("", "NC") and volts.is_file() and amperes.is_file():
            found.append((name, volts, amperes))
    total = [rail for rail in found if rail[0] in TOTAL_RAILS]
    return total[:1] or found


def rapl_zones(root: Path) -> list[Path] | str:
    """Return the RAPL domains that are no part of each other, or why they cannot be read.

    intel-rapl:0        package-0     all of a socket
    intel-rapl:0:0      core          a part of it: left out
    intel-rapl:0:1      dram          not in it: counted
    intel-rapl:1        psys          the whole platform, packages included: left out
    """
    zones = sorted(root.glob("sys/class/powercap/intel-rapl:*"))
    wanted = [z for z in zones if _name(z).startswith("package") or _name(z) == "dram"]
    if not wanted:
        return "no meter: no RAPL (/sys/class/powercap) and no INA3221"
    try:
        for zone in wanted:
            _number(zone / "energy_uj")
    except OSError as error:
        return f"no meter: RAPL cannot be read ({error.strerror}); run as root, or let others read energy_uj"
    return wanted


def _name(zone: Path) -> str:
    file = zone / "name"
    return file.read_text().strip() if file.is_file() else ""


def _number(path: Path) -> int:
    return int(path.read_text())
