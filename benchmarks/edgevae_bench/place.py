"""Where a subject's arrays are, and a clock for the work there: host memory, or a GPU through our own driver layer.

PyTorch's side is `edgevae_bench.baseline_place`.
"""

from __future__ import annotations

import contextlib
import time
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from edgevae.cuda.arrays import DeviceArray
from edgevae.cuda.opening import open_driver
from edgevae.runtime.session import Array
from edgevae_bench.work import Arrays


class Place(Protocol):
    """Memory and a clock. `mark` between pieces of work, then `laps_ms` gives the time of each."""

    arrays: Arrays
    """What its arrays are called in a result."""
    stream: Any
    """What a codec takes as `stream`; None where it has none. Any: as `Vae.encode_chunk`."""

    def put(self, array: np.ndarray) -> Array:
        """Return a numpy array as an array of the place."""

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Array | None:
        """Return an array to write a result to; None where the subject makes its own, out of memory that it keeps."""

    def get(self, array: Array) -> np.ndarray:
        """Return an array of the place as numpy, after the work on it."""

    def mark(self) -> None:
        """Note the time at which the work so far is done; on a GPU an event, which waits for nothing."""

    def laps_ms(self) -> list[float]:
        """Return the times between neighbouring marks, in milliseconds, and forget them; waits for the last one."""

    def wait(self) -> None:
        """Return when the work so far is done."""

    def free_bytes(self) -> int | None:
        """Return the device's free memory; None in host memory."""

    def close(self) -> None:
        """Free what the place holds."""


class HostPlace:
    """numpy arrays, and the host's clock."""

    arrays: Arrays = "host"
    stream: Any = None  # Any: see Place

    def __init__(self) -> None:
        self._marks_ns: list[int] = []

    def put(self, array: np.ndarray) -> np.ndarray:
        """Return the array."""
        return array

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Return None: every call makes a new result, as most callers have it."""

    def get(self, array: np.ndarray) -> np.ndarray:
        """Return the array."""
        return array

    def mark(self) -> None:
        """Note the time."""
        self._marks_ns.append(time.perf_counter_ns())

    def laps_ms(self) -> list[float]:
        """Return the times between the marks, and forget them."""
        marks, self._marks_ns = self._marks_ns, []
        return [(after - before) / 1e6 for before, after in pairwise(marks)]

    def wait(self) -> None:
        """Return: a call on the host returns when it is done."""

    def free_bytes(self) -> None:
        """Return None."""

    def close(self) -> None:
        """Nothing to free."""


class GpuPlace:
    """Device arrays, one stream and CUDA events, without PyTorch.

    Args:
        device: Index of the GPU.

    Raises:
        UnavailableError: no driver, no such GPU, or no CUDA layer for Python.
    """

    arrays: Arrays = "device"

    def __init__(self, device: int) -> None:
        self.driver = open_driver(device)
        self.stream: Any = self.driver.create_stream()  # Any: see Place
        self._events: list[int] = []
        self._marked = 0
        self._memory: list[int] = []

    def put(self, array: np.ndarray) -> DeviceArray:
        """Return a copy on the device; it lives as long as the place."""
        array = np.ascontiguousarray(array)
        copy = self.empty(array.shape, array.dtype)
        self.driver.copy_to_device(copy.address, array.ctypes.data, array.nbytes, self.stream)
        self.driver.synchronize(self.stream)
        return copy

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> DeviceArray:
        """Return new device memory, which lives as long as the place."""
        dtype = np.dtype(dtype)
        self._memory.append(self.driver.allocate(int(np.prod(shape)) * dtype.itemsize))
        return DeviceArray(self._memory[-1], tuple(shape), dtype, self.driver.device, owner=self)

    def get(self, array: DeviceArray) -> np.ndarray:
        """Return a copy in host memory."""
        host = np.empty(array.shape, array.dtype)
        self.driver.copy_to_host(host.ctypes.data, array.address, host.nbytes, self.stream)
        self.driver.synchronize(self.stream)
        return host

    def mark(self) -> None:
        """Record the next event; events are made once and used again."""
        if self._marked == len(self._events):
            self._events.append(self.driver.create_event(timing=True))
        self.driver.record(self._events[self._marked], self.stream)
        self._marked += 1

    def laps_ms(self) -> list[float]:
        """Return the times between the events, and forget them."""
        self.driver.synchronize(self.stream)
        marks, self._marked = self._events[: self._marked], 0
        return [self.driver.elapsed_ms(before, after) for before, after in pairwise(marks)]

    def wait(self) -> None:
        """Return when the stream is empty."""
        self.driver.synchronize(self.stream)

    def free_bytes(self) -> int:
        """Return the device's free memory."""
        return self.driver.memory()[0]

    def close(self) -> None:
        """Free the arrays, events and stream."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.driver.close)
            stack.callback(self.driver.destroy_stream, self.stream)
            for event in self._events:
                stack.callback(self.driver.destroy_event, event)
            for address in self._memory:
                stack.callback(self.driver.free, address)
            self.driver.synchronize(self.stream)
