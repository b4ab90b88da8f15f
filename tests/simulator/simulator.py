"""The simulated driver as seen from inside a process that uses it: its memory, its streams, and what is left over.

A simulated kernel is `enqueue_host(stream, f)` with an `f` that reads and writes `view(address, nbytes)`.
"""

from __future__ import annotations

import ctypes
import itertools
import traceback
from collections.abc import Callable

import numpy as np

KINDS = ("device blocks", "host blocks", "streams", "events", "graphs", "executable graphs")

_cuda = ctypes.CDLL("libcuda.so.1")
_cuda.sim_map.restype = ctypes.c_void_p
_cuda.sim_map.argtypes = [ctypes.c_uint64, ctypes.c_size_t]
_cuda.sim_count.restype = ctypes.c_long
_cuda.sim_violation.restype = ctypes.c_char_p

_callbacks: dict[int, tuple[Callable[[], None], bool]] = {}
_numbers = itertools.count(1)
errors: list[str] = []
"""Tracebacks of callbacks that raised; a driver has nowhere to raise them to."""


def view(address: int, nbytes: int) -> np.ndarray:
    """Return device memory as a uint8 array, `[nbytes]`; for callbacks of `enqueue_host`.

    Raises:
        RuntimeError: the memory is not alive.
    """
    memory = _cuda.sim_map(address, nbytes)
    if not memory:
        raise RuntimeError(f"0x{address:x}: no {nbytes} bytes of device memory that are alive")
    return np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(memory))


def enqueue_host(stream: int, callback: Callable[[], None]) -> None:
    """Have the stream call a function when it comes to it, in its own thread; noted where the stream captures."""
    number, is_noted = next(_numbers), is_capturing(stream)
    _callbacks[number] = (callback, is_noted)  # a graph may call it for ever
    _check(_cuda.cuLaunchHostFunc(ctypes.c_void_p(stream), _call, ctypes.c_void_p(number)))


def is_capturing(stream: int) -> bool:
    """Return whether the stream's work is noted for a graph instead of done."""
    status = ctypes.c_int()
    _check(_cuda.cuStreamIsCapturing(ctypes.c_void_p(stream), ctypes.byref(status)))
    return status.value != 0


def has_context() -> bool:
    """Return whether the calling thread has a current context."""
    return current_context() != 0


def current_context() -> int:
    """Return the handle of the calling thread's current context, 0 for none."""
    context = ctypes.c_void_p()
    return 0 if _cuda.cuCtxGetCurrent(ctypes.byref(context)) else context.value or 0


def alive() -> dict[str, int]:
    """Return how many objects of each kind, and retained primary contexts, were not given back; empty where none."""
    counts = {kind: _cuda.sim_count(i) for i, kind in enumerate(KINDS)}
    counts["contexts"] = sum(_cuda.sim_retained(gpu) for gpu in range(8))
    return {kind: count for kind, count in counts.items() if count}


def violation() -> str:
    """Return the last touch of memory that was not alive, empty where there was none."""
    return _cuda.sim_violation().decode()


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _call(number: int) -> None:
    callback, is_noted = _callbacks.get(number, (None, False))
    if not is_noted:
        _callbacks.pop(number, None)
    try:
        assert callback is not None, "called once more than enqueued"
        callback()
    except BaseException:  # noqa: BLE001  # it is kept for the test to see
        errors.append(traceback.format_exc())


def _check(result: int) -> None:
    if result:
        raise RuntimeError(f"simulated CUDA: error {result}")
