"""The driver through pycuda, which many Jetson users have; no CUDA graphs.

pycuda owns the context, memory and streams. Work on a stream goes to the driver library by the stream's handle, because
pycuda cannot make its stream object of a handle, and callers bring streams of PyTorch, CuPy or their own. Events go
with it, because pycuda's do not tell their handle.
"""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from collections.abc import Iterator
from typing import Any, NoReturn

from edgevae.cuda.driver import HostBuffer
from edgevae.cuda.libcuda import call, current_context, set_current_context
from edgevae.errors import DeviceError, OutOfMemoryError, UnavailableError

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
_NO_TIMING = 2  # CU_EVENT_DISABLE_TIMING

_u64, _size, _ptr = ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p


class PycudaDriver:
    """One device; see `edgevae.cuda.driver.Driver`.

    Args:
        device: Its index.

    Raises:
        UnavailableError: pycuda does not load.
        DeviceError: the driver gives no context.
    """

    has_graphs = False

    def __init__(self, device: int = 0) -> None:
        try:
            import pycuda
            import pycuda.driver as driver
        except ImportError as error:
            raise UnavailableError(
                f"pycuda: does not load ({error}); build it for this CUDA: `pip install --no-cache-dir pycuda`"
            ) from error
        self._driver: Any = driver  # Any: pycuda has no annotations
        self.name = f"pycuda {pycuda.VERSION_TEXT}"
        self.device = device
        # pycuda frees what nobody holds, so each object is held by its address or handle.
        self._held: dict[tuple[str, int], Any] = {}
        try:
            driver.init()
            context = driver.Device(device).retain_primary_context()
        except driver.Error as error:
            raise DeviceError(f"cuda:{device}: {error}") from error
        self._context = context
        # Also at exit: a context that is not detached before is detached by the wrong call, with a warning.
        self._release = weakref.finalize(self, _detach, context)

    @contextlib.contextmanager
    def activate(self) -> Iterator[None]:
        """Make the primary context current in this thread for a block."""
        if not self._release.alive:
            raise DeviceError(f"cuda:{self.device}: the driver is closed; open it again")
        before = current_context()
        self._context.push()
        try:
            yield
        except self._driver.Error as error:
            self._raise(error)
        finally:
            self._driver.Context.pop()
            # pycuda puts back the context that it knows of, which another library may have changed.
            if current_context() != before:
                set_current_context(before)

    def allocate(self, nbytes: int) -> int:
        """Return the address of new device memory."""
        with self.activate():
            memory = self._driver.mem_alloc(max(1, nbytes))
        return self._hold("memory", int(memory), memory)

    def free(self, address: int) -> None:
        """Free device memory."""
        memory = self._let_go("memory", address)
        with self.activate():
            memory.free()

    def allocate_host(self, nbytes: int, *, mapped: bool = False) -> HostBuffer:
        """Return new page-locked host memory."""
        flags = self._driver.host_alloc_flags.DEVICEMAP if mapped else 0
        with self.activate():
            array = self._driver.pagelocked_empty(max(1, nbytes), "uint8", mem_flags=flags)
            address = int(array.base.get_device_pointer()) if mapped else None
        self._hold("host memory", int(array.ctypes.data), array.base)
        return HostBuffer(array=array[:nbytes], device_address=address)

    def free_host(self, buffer: HostBuffer) -> None:
        """Free page-locked memory."""
        memory = self._let_go("host memory", int(buffer.array.ctypes.data))
        with self.activate():
            memory.free()

    def memory(self) -> tuple[int, int]:
        """Return the device's free and total memory, in bytes."""
        with self.activate():
            free, total = self._driver.mem_get_info()
        return int(free), int(total)

    def create_stream(self) -> int:
        """Return a new stream that does not wait for the default stream."""
        with self.activate():
            stream = self._driver.Stream(_NON_BLOCKING)
        return self._hold("stream", int(stream.handle), stream)

    def destroy_stream(self, stream: int) -> None:
        """Destroy a stream."""
        held = self._let_go("stream", stream)
        with self.activate():
            del held  # pycuda destroys it now, in the context that is current

    def synchronize(self, stream: int) -> None:
        """Wait until all work on a stream is done."""
        self._call("cuStreamSynchronize", _ptr(stream))

    def copy_to_device(self, address: int, host: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy from host memory."""
        self._call("cuMemcpyHtoDAsync_v2", _u64(address), _ptr(host), _size(nbytes), _ptr(stream))

    def copy_to_host(self, host: int, address: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy to host memory."""
        self._call("cuMemcpyDtoHAsync_v2", _ptr(host), _u64(address), _size(nbytes), _ptr(stream))

    def copy_on_device(self, to: int, source: int, nbytes: int, stream: int) -> None:
        """Enqueue a copy from device memory to device memory."""
        self._call("cuMemcpyDtoDAsync_v2", _u64(to), _u64(source), _size(nbytes), _ptr(stream))

    def set_zero(self, address: int, nbytes: int, stream: int) -> None:
        """Enqueue that device memory becomes zero."""
        self._call("cuMemsetD8Async", _u64(address), ctypes.c_uint8(0), _size(nbytes), _ptr(stream))

    def create_event(self, *, timing: bool = False) -> int:
        """Return a new event."""
        event = _ptr()
        self._call("cuEventCreate", ctypes.byref(event), 0 if timing else _NO_TIMING)
        return int(event.value or 0)

    def destroy_event(self, event: int) -> None:
        """Destroy an event."""
        self._call("cuEventDestroy_v2", _ptr(event))

    def record(self, event: int, stream: int) -> None:
        """Enqueue that the event happens."""
        self._call("cuEventRecord", _ptr(event), _ptr(stream))

    def wait(self, stream: int, event: int) -> None:
        """Enqueue that later work on the stream waits for the event."""
        self._call("cuStreamWaitEvent", _ptr(stream), _ptr(event), 0)

    def elapsed_ms(self, start: int, end: int) -> float:
        """Return the time between two events, waiting for the second."""
        elapsed = ctypes.c_float()
        self._call("cuEventSynchronize", _ptr(end))
        self._call("cuEventElapsedTime", ctypes.byref(elapsed), _ptr(start), _ptr(end))
        return elapsed.value

    def begin_capture(self, stream: int) -> None:
        """Refuse: see `has_graphs`."""
        raise DeviceError(
            "pycuda: has no CUDA graphs; `pip install 'cuda-bindings>=12.9.1'` for them"
        )

    def end_capture(self, stream: int) -> int:
        """Refuse: see `has_graphs`."""
        raise DeviceError(
            "pycuda: has no CUDA graphs; `pip install 'cuda-bindings>=12.9.1'` for them"
        )

    def launch(self, graph: int, stream: int) -> None:
        """Refuse: see `has_graphs`."""
        raise DeviceError(
            "pycuda: has no CUDA graphs; `pip install 'cuda-bindings>=12.9.1'` for them"
        )

    def destroy_graph(self, graph: int) -> None:
        """Refuse: see `has_graphs`."""
        raise DeviceError(
            "pycuda: has no CUDA graphs; `pip install 'cuda-bindings>=12.9.1'` for them"
        )

    def close(self) -> None:
        """Give the primary context back."""
        self._release()

    def _call(self, name: str, *arguments: object) -> None:
        with self.activate():
            call(name, *arguments)

    def _hold(self, kind: str, handle: int, thing: object) -> int:
        self._held[kind, handle] = thing
        return handle

    def _let_go(self, kind: str, handle: int) -> Any:  # Any: an object of pycuda
        try:
            return self._held.pop((kind, handle))
        except KeyError as error:
            raise DeviceError(
                f"cuda:{self.device}: 0x{handle:x}: is no {kind} of this driver, or was given back before"
            ) from error

    def _raise(self, error: Exception) -> NoReturn:
        """Raise what pycuda says as one of our errors."""
        what = f"cuda:{self.device}: {error}"
        if not isinstance(error, self._driver.MemoryError):
            raise DeviceError(what) from error
        free, total = self._driver.mem_get_info()
        raise OutOfMemoryError(
            f"{what}; {free} of {total} bytes are free; use smaller frames or end other processes on the GPU"
        ) from error


def _detach(context: Any) -> None:  # Any: an object of pycuda
    """Release a primary context, from any thread, and leave the thread's current context as it was."""
    # pycuda detaches in another thread than the context's first only where it is current, and leaves it current.
    context.push()
    call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
    context.detach()
