"""The driver through cuda-bindings, NVIDIA's own; releases 12.9.1 and later, 13 included.

Earlier ones give the same results, but hold Python's lock while they wait for a stream, so that threads take turns.

Every call makes the primary context current in the calling thread and puts back what was there, so that PyTorch, CuPy
or an application's own contexts are undisturbed. Where it is current already, as in `activate`, that is one query.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np

from edgevae.cuda.driver import HostBuffer
from edgevae.errors import DeviceError, OutOfMemoryError, UnavailableError

_DEVICE_MAP = 2  # CU_MEMHOSTALLOC_DEVICEMAP
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
_NO_TIMING = 2  # CU_EVENT_DISABLE_TIMING


class CudaPythonDriver:
    """One device; see `edgevae.cuda.driver.Driver`.

    Args:
        device: Its index.

    Raises:
        UnavailableError: cuda-bindings does not load, or is too old.
        DeviceError: the driver gives no context.
    """

    has_graphs = True

    def __init__(self, device: int = 0) -> None:
        try:
            import cuda.bindings
            from cuda.bindings import driver
        except ImportError as error:
            raise UnavailableError(
                f"cuda-python: does not load ({error}); `pip install 'cuda-bindings>=12.9.1'`"
            ) from error
        self._driver: Any = driver  # Any: the bindings have no stubs
        self._success = driver.CUresult.CUDA_SUCCESS
        self.name = f"cuda-python {cuda.bindings.__version__}"
        self.device = device
        self._closed = False
        self._check("cuInit", self._driver.cuInit(0))
        self._gpu = self._check("cuDeviceGet", self._driver.cuDeviceGet(device))
        self._context = self._check(
            "cuDevicePrimaryCtxRetain", self._driver.cuDevicePrimaryCtxRetain(self._gpu)
        )
        self._handle = int(self._context)

    @contextlib.contextmanager
    def activate(self) -> Iterator[None]:
        """Make the primary context current in this thread for a block."""
        self._require_open()
        driver = self._driver
        self._check("cuCtxPushCurrent", driver.cuCtxPushCurrent(self._context))
        try:
            yield
        finally:
            self._check("cuCtxPopCurrent", driver.cuCtxPopCurrent())

    def allocate(self, nbytes: int) -> int:
        """Return the address of new device memory."""
        return int(self._call("cuMemAlloc", max(1, nbytes), nbytes=nbytes))

    def free(self, address: int) -> None:
        """Free device memory."""
        self._call("cuMemFree", address)

    def allocate_host(self, nbytes: int, *, mapped: bool = False) -> HostBuffer:
        """Return new page-locked host memory."""
        flags = _DEVICE_MAP if mapped else 0
        host = int(self._call("cuMemHostAlloc", max(1, nbytes), flags, nbytes=nbytes))
        try:
            address = int(self._call("cuMemHostGetDevicePointer", host, 0)) if mapped else None
        except DeviceError:
            self._call("cuMemFreeHost", host)
            raise
        memory = (ctypes.c_uint8 * max(1, nbytes)).from_address(host)
        return HostBuffer(array=np.ctypeslib.as_array(memory)[:nbytes], device_address=address)

    def free_host(self, buffer: HostBuffer) -> None:
        """Free page-locked memory."""
        self._call("cuMemFreeHost", int(buffer.array.ctypes.data))

    def memory(self) -> tuple[int, int]:
        """Return the device's free and total memory, in bytes."""
        free, total = self._call("cuMemGetInfo")
        return int(free), int(total)

    def create_stream(self) -> int:
        """Return a new stream that does not wait for the default stream."""
        return int(self._call("cuStreamCreate", _NON_BLOCKING))

    def destroy_stream(self, stream: int) -> None:
        """Destroy a stream."""
        self._call("cuStreamDestroy", stream)

    def synchronize(self, stream: int) -> None:
        """Wait until all work on a stream is done."""
        self._call("cuStreamSynchronize", stream)

    def copy_to_device(self, address: int, host: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy from host memory."""
        self._call("cuMemcpyHtoDAsync", address, host, nbytes, stream)

    def copy_to_host(self, host: int, address: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy to host memory."""
        self._call("cuMemcpyDtoHAsync", host, address, nbytes, stream)

    def copy_on_device(self, to: int, source: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy from device memory to device memory."""
        self._call("cuMemcpyDtoDAsync", to, source, nbytes, stream)

    def set_zero(self, address: int, nbytes: int, stream: int) -> None:
        """Enqueue that device memory becomes zero."""
        self._call("cuMemsetD8Async", address, 0, nbytes, stream)

    def create_event(self, *, timing: bool = False) -> int:
        """Return a new event."""
        return int(self._call("cuEventCreate", 0 if timing else _NO_TIMING))

    def destroy_event(self, event: int) -> None:
        """Destroy an event."""
        self._call("cuEventDestroy", event)

    def record(self, event: int, stream: int) -> None:
        """Enqueue that the event happens."""
        self._call("cuEventRecord", event, stream)

    def wait(self, stream: int, event: int) -> None:
        """Enqueue that later work on the stream waits for the event."""
        self._call("cuStreamWaitEvent", stream, event, 0)

    def elapsed_ms(self, start: int, end: int) -> float:
        """Return the time between two events, waiting for the second."""
        self._call("cuEventSynchronize", end)
        return float(self._call("cuEventElapsedTime", start, end))

    def begin_capture(self, stream: int) -> None:
        """Note the calling thread's work on the stream; other threads may allocate meanwhile."""
        modes = self._driver.CUstreamCaptureMode
        self._call("cuStreamBeginCapture", stream, modes.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)

    def end_capture(self, stream: int) -> int:
        """Return what was noted as a graph ready to launch."""
        noted = self._call("cuStreamEndCapture", stream)
        try:
            return int(self._call("cuGraphInstantiate", noted, 0))
        finally:
            self._call("cuGraphDestroy", noted)

    def launch(self, graph: int, stream: int) -> None:
        """Enqueue a graph's work."""
        self._call("cuGraphLaunch", graph, stream)

    def destroy_graph(self, graph: int) -> None:
        """Destroy a graph that `end_capture` gave."""
        self._call("cuGraphExecDestroy", graph)

    def close(self) -> None:
        """Give the primary context back."""
        if not self._closed:
            self._closed = True
            released = self._driver.cuDevicePrimaryCtxRelease(self._gpu)
            self._check("cuDevicePrimaryCtxRelease", released)

    def _call(
        self, name: str, *arguments: object, nbytes: int | None = None
    ) -> Any:  # Any: the call's result
        """Return what a call gives, made in the primary context."""
        self._require_open()
        driver = self._driver
        current = self._check("cuCtxGetCurrent", driver.cuCtxGetCurrent())
        is_foreign = int(current) != self._handle
        if is_foreign:
            self._check("cuCtxPushCurrent", driver.cuCtxPushCurrent(self._context))
        try:
            return self._check(name, getattr(driver, name)(*arguments), nbytes=nbytes)
        finally:
            if is_foreign:
                self._check("cuCtxPopCurrent", driver.cuCtxPopCurrent())

    def _check(
        self, name: str, result: tuple[Any, ...], *, nbytes: int | None = None
    ) -> Any:  # Any: as in _call
        """Return what is behind the status of a call, or raise what it says."""
        status, *values = result
        if status == self._success:
            return values[0] if len(values) == 1 else values
        what = f"cuda:{self.device}: {name}" + ("" if nbytes is None else f" of {nbytes} bytes")
        if status == self._driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            raise OutOfMemoryError(f"{what}: {status.name}; {self._memory_left()}")
        raise DeviceError(
            f"{what}: {getattr(status, 'name', status)}, expected CUDA_SUCCESS; look at `nvidia-smi` and `dmesg`, "
            "and start the process again"
        )

    def _memory_left(self) -> str:
        status, free, total = self._driver.cuMemGetInfo()
        if status != self._success:
            return "use smaller frames or end other processes on the GPU"
        return f"{free} of {total} bytes are free; use smaller frames or end other processes on the GPU"

    def _require_open(self) -> None:
        if self._closed:
            raise DeviceError(f"cuda:{self.device}: the driver is closed; open it again")
