"""What a caller gives a TensorRT session as a tensor: a numpy array, or an array on the device, used in place."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from edgevae.cuda.arrays import DeviceArray, as_device_array
from edgevae.engine.profile import Size
from edgevae.errors import InputError
from edgevae.runtime.session import Array
from edgevae.spec import TensorSpec

Data: TypeAlias = "np.ndarray | DeviceArray"
"""A tensor in host or in device memory."""


def take(
    value: Array,
    spec: TensorSpec,
    size: Size,
    *,
    device: int,
    stream: int | None,
    writable: bool = False,
) -> Data:
    """Return a value as an array that is what the graph takes or gives, without a copy.

    Args:
        value: A numpy array, or anything with DLPack or `__cuda_array_interface__`; with or without a batch axis.
        spec: The tensor.
        size: The frame size.
        device: Index of the GPU that it must be on.
        stream: Handle of the stream that will use it; an array on the device needs one.
        writable: It will be written to.

    Raises:
        InputError: it is on another device, or of another shape or dtype, or `as_device_array` refuses it.
    """
    shape, dtype = spec.resolve(size.sizes()), np.dtype(spec.dtype)
    array = (
        value if isinstance(value, np.ndarray) else _on_device(value, spec, shape, stream, writable)
    )
    if array.dtype != dtype or tuple(array.shape) != shape:
        raise InputError(
            f"{spec.name}: got {array.dtype} {list(array.shape)}, expected {dtype} {list(shape)}"
        )
    if isinstance(array, DeviceArray) and array.device != device:
        raise InputError(
            f"{spec.name}: is on cuda:{array.device}, expected cuda:{device}, where the engine is; copy it there"
        )
    return array


def _on_device(
    value: Array, spec: TensorSpec, shape: tuple[int, ...], stream: int | None, writable: bool
) -> DeviceArray:
    """Return an array `[B, T, ...]` or `[T, ...]` on the device as `[B*T, ...]`: the same memory."""
    assert stream is not None, "who gives arrays on the device has a stream for them"
    array = as_device_array(value, stream=stream, writable=writable)
    if array is None:
        raise InputError(
            f"{spec.name}: got {type(value).__name__} in host memory, expected a numpy array or an array on the GPU"
        )
    if len(array.shape) == len(shape) + 1:
        return array.reshape((array.shape[0] * array.shape[1], *array.shape[2:]))
    return array
