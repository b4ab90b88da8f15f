"""The few things of the CUDA driver that the runtime needs, behind one small protocol.

    Driver
     ^   ^
     |   pycuda_driver.py     pycuda, which Jetson users have; no CUDA graphs
     cuda_python.py           cuda-bindings, NVIDIA's own

Both use the device's *primary* context, the one that PyTorch, CuPy and the CUDA runtime use, so addresses and streams
of these are valid here and ours there. Handles and addresses are plain integers.

A driver is safe to use from several threads: every method makes the primary context current in the calling thread.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class HostBuffer:
    """Page-locked host memory, which the device can copy from and to without waiting for the host."""

    array: npt.NDArray[np.uint8]
    """The memory, `[nbytes]`."""
    device_address: int | None
    """Where the device sees the same memory (mapped memory, free of copies on a Jetson); None where not mapped."""


class Driver(Protocol):
    """One device. Every call raises `DeviceError` when the driver refuses, `OutOfMemoryError` when memory is short."""

    @property
    def name(self) -> str:
        """`cuda-python` or `pycuda`, and its version."""

    @property
    def device(self) -> int:
        """The device's index."""

    @property
    def has_graphs(self) -> bool:
        """Whether work can be captured as a CUDA graph; without it `begin_capture` must not be called."""

    def activate(self) -> AbstractContextManager[None]:
        """Make the primary context current in this thread for a block, for libraries that use the current one."""

    def allocate(self, nbytes: int) -> int:
        """Return the address of new device memory; the caller frees it. At least one byte is allocated."""

    def free(self, address: int) -> None:
        """Free device memory that `allocate` gave; work that uses it must be done."""

    def allocate_host(self, nbytes: int, *, mapped: bool = False) -> HostBuffer:
        """Return new page-locked host memory; the caller frees it.

        Args:
            nbytes: Its size.
            mapped: Also give the device an address of it.
        """

    def free_host(self, buffer: HostBuffer) -> None:
        """Free page-locked memory; its array must not be used after."""

    def memory(self) -> tuple[int, int]:
        """Return the device's free and total memory, in bytes."""

    def create_stream(self) -> int:
        """Return a new stream that does not wait for the default stream; the caller destroys it."""

    def destroy_stream(self, stream: int) -> None:
        """Destroy a stream; work on it still ends."""

    def synchronize(self, stream: int) -> None:
        """Wait until all work on a stream is done; errors of that work are raised here."""

    def copy_to_device(self, address: int, host: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy from host memory at the address `host`; asynchronous where that is page-locked."""

    def copy_to_host(self, host: int, address: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy to host memory at the address `host`; asynchronous where that is page-locked."""

    def copy_on_device(self, to: int, source: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy from device memory to device memory."""

    def set_zero(self, address: int, nbytes: int, stream: int) -> None:
        """Enqueue that device memory becomes zero."""

    def create_event(self, *, timing: bool = False) -> int:
        """Return a new event; the caller destroys it.

        Args:
            timing: Also note the time, for `elapsed_ms`.
        """

    def destroy_event(self, event: int) -> None:
        """Destroy an event."""

    def record(self, event: int, stream: int) -> None:
        """Enqueue that the event happens when the work on the stream so far is done."""

    def wait(self, stream: int, event: int) -> None:
        """Enqueue that later work on the stream waits for the event; no wait where it was never recorded."""

    def elapsed_ms(self, start: int, end: int) -> float:
        """Return the time between two events made with `timing`, in milliseconds, waiting for the second."""

    def begin_capture(self, stream: int) -> None:
        """Note the calling thread's work on the stream from now on instead of doing it."""

    def end_capture(self, stream: int) -> int:
        """Return what was noted as a graph ready to launch; the caller destroys it. Capture has ended on error too."""

    def launch(self, graph: int, stream: int) -> None:
        """Enqueue a graph's work."""

    def destroy_graph(self, graph: int) -> None:
        """Destroy a graph that `end_capture` gave; its launches must be done."""

    def close(self) -> None:
        """Give the primary context back; the driver cannot be used after."""
