"""Arrays in device memory, taken from and given to PyTorch, CuPy and others without a copy.

    torch, CuPy, JAX ... --__dlpack__--------------------\\
    Numba, pycuda ... -----__cuda_array_interface__-------+--> DeviceArray --__cuda_array_interface__--> torch, CuPy ...

Both ways keep the owner alive as long as the array, and order the owner's work on the memory before later work on the
stream that is named.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgevae.cuda import dlpack
from edgevae.cuda.libcuda import call
from edgevae.errors import DeviceError, InputError

DTYPES = ("uint8", "float16", "float32")
"""What the graphs take and give."""

ALIGNMENT_BYTES = 256
"""What TensorRT asks of tensor addresses (NvInferRuntime.h, `setTensorAddress`)."""

_ORDINAL = 9  # CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
_NO_TIMING = 2  # CU_EVENT_DISABLE_TIMING


@dataclass(frozen=True)
class DeviceArray:
    """A C-contiguous array in device memory."""

    address: int
    """Of its first element."""
    shape: tuple[int, ...]
    """Its axes."""
    dtype: np.dtype[Any]
    """Of its elements."""
    device: int
    """Index of the GPU."""
    owner: object = field(repr=False, compare=False)
    """What keeps the memory alive; held as long as the array is."""
    stream: int | None = None
    """Handle of the stream whose work makes its content; None where that is done."""

    @property
    def nbytes(self) -> int:
        """Its size."""
        return math.prod(self.shape) * self.dtype.itemsize

    def reshape(self, shape: tuple[int, ...]) -> DeviceArray:
        """Return the same memory with other axes, of as many elements."""
        assert math.prod(shape) == math.prod(self.shape), (
            f"{self.shape} has not the elements of {shape}"
        )
        return replace(self, shape=shape)

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        """Version 3; with the stream that later work has to come after."""
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": None,
            "stream": None if self.stream is None else self.stream or 1,  # 0 is not allowed there
            "version": 3,
        }


def as_device_array(value: object, *, stream: int, writable: bool = False) -> DeviceArray | None:
    """Return an object's device memory as an array, without a copy; None where it has no device memory.

    Args:
        value: A `DeviceArray`, or anything with `__dlpack__` or `__cuda_array_interface__`.
        stream: Handle of the stream that will use it; work of the owner so far comes before later work there.
        writable: It will be written to.

    Raises:
        InputError: it is not C-contiguous, of another dtype than `DTYPES`, not aligned to `ALIGNMENT_BYTES`, read-only
            though it must be writable, or its owner refuses.
        DeviceError: the driver refuses to order the streams.
    """
    if isinstance(value, DeviceArray):
        if value.stream is not None and value.stream != stream:
            _order(value.stream, stream, device=value.device)
        return value
    if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
        return _from_dlpack(value, stream=stream, writable=writable)
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is None:
        return None
    return _from_interface(value, interface, stream=stream, writable=writable)


def stream_handle(stream: object) -> int:
    """Return the handle of a stream: an integer, or a stream of PyTorch, CuPy, cuda-python or pycuda.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(stream, (int, np.integer)) and not isinstance(stream, bool) and stream >= 0:
        return int(stream)
    protocol = getattr(stream, "__cuda_stream__", None)
    if protocol is not None:
        version, handle = protocol() if callable(protocol) else protocol
        if version != 0:
            raise InputError(f"stream: got __cuda_stream__ version {version}, expected 0")
        return int(handle)
    for name in ("cuda_stream", "ptr", "handle"):  # PyTorch, CuPy, pycuda
        handle = getattr(stream, name, None)
        if handle is not None:
            return int(handle)
    if type(stream).__name__ == "CUstream":  # cuda-python
        return int(stream)  # type: ignore[call-overload, no-any-return]  # the bindings give it __int__
    raise InputError(
        f"stream: got {type(stream).__name__}, expected a handle, or a stream of PyTorch, CuPy, cuda-python or pycuda"
    )


def _from_dlpack(value: object, *, stream: int, writable: bool) -> DeviceArray | None:
    tensor = dlpack.take(value, stream=stream)
    if tensor is None:
        return None
    _require_writable(value, writable and (tensor.is_readonly or tensor.is_copy))
    dtype = _require_dtype(value, tensor.dtype)
    _require_layout(value, tensor.address, tensor.shape, tensor.strides)
    return DeviceArray(tensor.address, tensor.shape, dtype, tensor.device, owner=(value, tensor))


def _from_interface(
    value: object,
    interface: Mapping[str, Any],  # Any: what other libraries put there
    *,
    stream: int,
    writable: bool,
) -> DeviceArray:
    """Return the array that a `__cuda_array_interface__` describes; versions 2 and 3."""
    if interface.get("mask") is not None:
        raise InputError(f"{_name(value)}: has a mask, expected a plain array")
    address, is_readonly = interface["data"]
    _require_writable(value, writable and is_readonly)
    dtype, shape = _require_dtype(value, interface["typestr"]), tuple(map(int, interface["shape"]))
    strides = interface.get("strides")
    steps = None if strides is None else tuple(s / dtype.itemsize for s in strides)
    _require_layout(value, address, shape, steps)
    device = _device_of(value, address)
    theirs = interface.get("stream")
    if theirs is not None and int(theirs) != (stream or 1):  # both 0 and 1 are the default stream
        _order(int(theirs), stream, device=device)
    return DeviceArray(int(address), shape, dtype, device, owner=value)


def _require_writable(value: object, is_refused: bool) -> None:
    if is_refused:
        raise InputError(f"{_name(value)}: is read-only, expected an array that can be written to")


def _require_dtype(value: object, name: str) -> np.dtype[Any]:
    """Return a dtype by the name of DLPack or numpy, where it is one of ours."""
    try:
        dtype = np.dtype(name)
    except TypeError:  # numpy has no bfloat16
        dtype = None
    if dtype is None or dtype.name not in DTYPES or not dtype.isnative:
        raise InputError(f"{_name(value)}: got {name}, expected {', '.join(DTYPES)}")
    return dtype


def _require_layout(
    value: object, address: int, shape: tuple[int, ...], strides: Sequence[float] | None
) -> None:
    """Refuse memory that TensorRT cannot use as it is; strides are in elements."""
    expected = 1
    for axis in reversed(range(len(shape)) if strides is not None else ()):
        if shape[axis] > 1 and strides[axis] != expected:  # type: ignore[index]  # not None, see the range
            raise InputError(
                f"{_name(value)}: of shape {list(shape)} is not C-contiguous; pass a contiguous copy"
            )
        expected *= shape[axis]
    if address % ALIGNMENT_BYTES:
        raise InputError(
            f"{_name(value)}: begins at 0x{address:x}, expected a multiple of {ALIGNMENT_BYTES} bytes; pass a copy"
        )


def _device_of(value: object, address: int) -> int:
    """Return the index of the GPU that memory belongs to."""
    device = ctypes.c_int()
    try:
        call("cuPointerGetAttribute", ctypes.byref(device), _ORDINAL, ctypes.c_uint64(address))
    except DeviceError as error:
        raise InputError(
            f"{_name(value)}: 0x{address:x} is no memory of a GPU ({error})"
        ) from error
    return device.value


def _order(before: int, after: int, *, device: int) -> None:
    """Have later work on the stream `after` wait for the work on the stream `before` so far."""
    context, event = ctypes.c_void_p(), ctypes.c_void_p()
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    try:
        call("cuCtxPushCurrent_v2", context)
        try:
            call("cuEventCreate", ctypes.byref(event), _NO_TIMING)
            try:
                call("cuEventRecord", event, ctypes.c_void_p(before))
                call("cuStreamWaitEvent", ctypes.c_void_p(after), event, 0)
            finally:
                call("cuEventDestroy_v2", event)
        finally:
            call("cuCtxPopCurrent_v2", ctypes.byref(context))
    finally:
        call("cuDevicePrimaryCtxRelease_v2", device)


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
