"""What NVIDIA's management library tells of a GPU: clocks, temperature, throttling, power and energy.

It comes with the driver; `nvidia-ml-py` (the module `pynvml`) calls it. A Jetson's GPU is not in it, except on Thor.
What one GPU does not tell is None, whatever the others tell.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from edgevae.cuda.libcuda import call
from edgevae.errors import EdgeVaeError

THROTTLE = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "thermal (software)",
    0x40: "thermal (hardware)",
    0x80: "power brake",
}
"""Bits of nvmlClocksEventReasons that hold clocks down against the load; idle and the user's own settings are not
here."""

T = TypeVar("T")


class Nvml:
    """One GPU in NVML.

    Args:
        library: The module `pynvml`, initialised.
        handle: Of the GPU.
    """

    def __init__(self, library: Any, handle: Any) -> None:  # Any: pynvml has no types
        self._library, self._handle = library, handle

    def energy_j(self) -> float | None:
        """Return the energy of the whole board since the driver was loaded; Volta and later."""
        millijoules = self._ask(self._library.nvmlDeviceGetTotalEnergyConsumption)
        return None if millijoules is None else millijoules / 1e3

    def clock_mhz(self) -> float | None:
        """Return the clock of the multiprocessors."""
        clock = self._library.NVML_CLOCK_SM
        return self._ask(lambda handle: float(self._library.nvmlDeviceGetClockInfo(handle, clock)))

    def temperature_c(self) -> float | None:
        """Return the temperature of the GPU."""
        sensor = self._library.NVML_TEMPERATURE_GPU
        ask = self._library.nvmlDeviceGetTemperature
        return self._ask(lambda handle: float(ask(handle, sensor)))

    def throttle_reasons(self) -> tuple[str, ...] | None:
        """Return what holds the clocks down now."""
        # Named ThrottleReasons until driver 535; both names work in what is installed beside it.
        ask = getattr(
            self._library,
            "nvmlDeviceGetCurrentClocksEventReasons",
            self._library.nvmlDeviceGetCurrentClocksThrottleReasons,
        )
        bits = self._ask(ask)
        return None if bits is None else tuple(why for bit, why in THROTTLE.items() if bits & bit)

    def power_limit_w(self) -> float | None:
        """Return the power that the board may take."""
        milliwatts = self._ask(self._library.nvmlDeviceGetEnforcedPowerLimit)
        return None if milliwatts is None else milliwatts / 1e3

    def _ask(self, function: Callable[[Any], T]) -> T | None:  # Any: pynvml's handle
        try:
            return function(self._handle)
        except self._library.NVMLError:
            return None


def open_nvml(device: int) -> Nvml | None:
    """Return a GPU in NVML; None where the library is not installed, or does not know the GPU.

    Args:
        device: CUDA's index of it. NVML counts otherwise, so that the two are matched by their place on the bus.
    """
    try:
        library = importlib.import_module("pynvml")
        bus = ctypes.create_string_buffer(32)
        call("cuDeviceGetPCIBusId", bus, len(bus), device)
    except (ImportError, EdgeVaeError):
        return None
    try:
        library.nvmlInit()
        return Nvml(library, library.nvmlDeviceGetHandleByPciBusId(bus.value))
    except library.NVMLError:
        return None
