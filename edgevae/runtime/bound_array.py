"""Arrays as ONNX Runtime binds them: by address, wherever they are. Nothing is copied, so all is checked before."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevae.cuda.arrays import DeviceArray, as_device_array, stream_handle
from edgevae.cuda.driver import Driver
from edgevae.cuda.opening import open_driver
from edgevae.errors import InputError
from edgevae.runtime.session import Array
from edgevae.spec import TensorSpec


@dataclass(frozen=True, eq=False)
class Bound:
    """Memory of a tensor, C-contiguous and of its exact shape and dtype."""

    kind: str
    """`cpu` or `cuda`."""
    index: int
    """Of the device."""
    dtype: np.dtype
    """Of the values."""
    shape: tuple[int, ...]
    """As the graph has it."""
    address: int
    """Of the first value."""
    owner: object
    """Keeps the memory alive for as long as this object lives."""

    @property
    def arguments(self) -> tuple[object, ...]:
        """What `bind_input` and `bind_output` take after the name."""
        return (self.kind, self.index, self.dtype.type, self.shape, self.address)


def bind_numpy(
    array: np.ndarray, spec: TensorSpec, shape: tuple[int, ...], *, writable: bool
) -> Bound:
    """Return a numpy array as it is bound; one that is only read and not contiguous is copied.

    Raises:
        InputError: it has another dtype or shape, or is to be written and cannot be.
    """
    dtype = np.dtype(spec.dtype)
    if array.dtype != dtype or array.shape != shape:
        raise _unlike(spec, array, dtype, shape)
    if writable and not (array.flags.writeable and array.flags.c_contiguous):
        raise InputError(f"{spec.name}: expected a writable C-contiguous array to write to")
    whole = array if writable else np.ascontiguousarray(array)
    return Bound("cpu", 0, dtype, shape, whole.ctypes.data, whole)


class GpuArrays:
    """Arrays on one GPU. CUDA from Python is needed for their order only, so it is opened by the first of them.

    Args:
        device: Index of the GPU.
    """

    def __init__(self, device: int) -> None:
        self._device = device
        self._driver: Driver | None = None
        self._stream = 0
        self._opening = threading.Lock()

    def bind(
        self,
        array: Array,
        spec: TensorSpec,
        shape: tuple[int, ...],
        *,
        stream: object,
        writable: bool,
    ) -> Bound:
        """Return an array as it is bound, once the work that fills or reads it is done.

        Args:
            array: Anything with `__dlpack__` or `__cuda_array_interface__`.
            spec: The graph's tensor.
            shape: The tensor's shape; axes before its last three may be folded otherwise in the array.
            stream: The caller's CUDA stream, which is waited for.
            writable: Whether it is to be written.

        Raises:
            InputError: it is no array on this GPU, or not as the graph takes it.
            UnavailableError: no CUDA layer for Python is installed.
        """
        driver = self._open()
        handle = self._stream if stream is None else stream_handle(stream)
        taken = as_device_array(array, stream=handle, writable=writable)
        if taken is None:
            raise InputError(
                f"{spec.name}: got {type(array).__name__}, expected a numpy array or an array on the GPU"
            )
        dtype = np.dtype(spec.dtype)
        same_values = np.prod(taken.shape) == np.prod(shape) and taken.shape[-3:] == shape[-3:]
        if taken.dtype != dtype or not same_values:
            raise _unlike(spec, taken, dtype, shape)
        if taken.device != self._device:
            raise InputError(
                f"{spec.name}: is on cuda:{taken.device}, expected cuda:{self._device}, where the graph is"
            )
        # ONNX Runtime works on a stream of its own, which knows nothing of this one.
        driver.synchronize(handle)
        return Bound("cuda", self._device, dtype, shape, taken.address, taken)

    def wrap(
        self,
        value: Any,  # Any: an onnxruntime.OrtValue
        shape: tuple[int, ...],
        dtype: np.dtype,
    ) -> tuple[DeviceArray, Bound]:
        """Return memory of ONNX Runtime's as an array for the caller, and as it is bound."""
        array = DeviceArray(value.data_ptr(), shape, dtype, self._device, owner=value)
        return array, Bound("cuda", self._device, dtype, shape, array.address, array)

    def close(self) -> None:
        """Give CUDA back; arrays stay as they are."""
        with self._opening:
            if self._driver is not None:
                self._driver.destroy_stream(self._stream)
                self._driver.close()
                self._driver = None

    def _open(self) -> Driver:
        with self._opening:
            if self._driver is None:
                self._driver = open_driver(self._device)
                self._stream = self._driver.create_stream()
            return self._driver


def _unlike(
    spec: TensorSpec, got: np.ndarray | DeviceArray, dtype: np.dtype, shape: tuple[int, ...]
) -> InputError:
    return InputError(
        f"{spec.name}: got {got.dtype} {list(got.shape)}, expected {dtype} {list(shape)}"
    )
