"""Device memory out of a DLPack capsule, read with ctypes; both layouts (https://dmlc.github.io/dlpack/latest/c_api.html).

The capsule is kept, not consumed: when it goes, its own destructor tells the producer that the memory is free.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from edgevae.errors import InputError

_ON_DEVICE = (2, 13)
"""kDLCUDA and kDLCUDAManaged of `DLDeviceType`."""
_NEWEST = 1
"""The major version whose layout we know."""
_READ_ONLY, _IS_COPY = 1, 2
"""Bits of `flags`."""
_KINDS = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}
"""`DLDataTypeCode`, in numpy's words."""


@dataclass(frozen=True)
class Tensor:
    """What a capsule describes."""

    address: int
    """Of the first element, with the byte offset."""
    shape: tuple[int, ...]
    """Its axes."""
    strides: tuple[int, ...] | None
    """In elements; None where the tensor is C-contiguous."""
    dtype: str
    """Such as `float16`."""
    device: int
    """Index of the GPU."""
    is_readonly: bool
    """The producer forbids writing; only the versioned layout can say so."""
    is_copy: bool
    """The memory is a copy that the producer made for this."""
    capsule: object
    """Keeps the memory alive."""


class _DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _DLManagedTensor(ctypes.Structure):
    _fields_ = (
        ("dl_tensor", _DLTensor),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


class _DLManagedTensorVersioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("dl_tensor", _DLTensor),
    )


_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.argtypes, _is_valid.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_int
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.argtypes, _pointer.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p


def take(value: Any, *, stream: int) -> Tensor | None:  # Any: whatever has the protocol's methods
    """Return the device memory of an object with `__dlpack__`, ready to use on a stream; None where it is on the host.

    Args:
        value: The producer.
        stream: Handle of the consumer's stream, which the producer orders its own work before.

    Raises:
        InputError: the producer refuses, or speaks a newer DLPack.
    """
    if int(value.__dlpack_device__()[0]) not in _ON_DEVICE:
        return None
    where = stream or 1  # in DLPack 1 is the default stream, and 0 is not allowed
    try:
        try:
            capsule = value.__dlpack__(stream=where, max_version=(_NEWEST, 0))
        except TypeError:  # a producer of the time before versions
            capsule = value.__dlpack__(stream=where)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"{type(value).__name__}: its owner gives no device memory: {error}"
        ) from error
    return read(capsule)


def read(capsule: object) -> Tensor:
    """Return what a capsule describes.

    Raises:
        InputError: it is no unused DLPack capsule, or of a newer major version.
    """
    flags = 0
    if _is_valid(capsule, b"dltensor_versioned"):
        versioned = _DLManagedTensorVersioned.from_address(_pointer(capsule, b"dltensor_versioned"))
        if versioned.major > _NEWEST:
            raise InputError(f"DLPack: got version {versioned.major}, expected {_NEWEST} or older")
        tensor, flags = versioned.dl_tensor, versioned.flags
    elif _is_valid(capsule, b"dltensor"):
        tensor = _DLManagedTensor.from_address(_pointer(capsule, b"dltensor")).dl_tensor
    else:
        raise InputError(f"DLPack: got {capsule!r}, expected a capsule that nobody used before")
    lanes = "" if tensor.lanes == 1 else f"x{tensor.lanes}"
    return Tensor(
        address=(tensor.data or 0) + tensor.byte_offset,
        shape=tuple(tensor.shape[: tensor.ndim]),
        strides=tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None,
        dtype=f"{_KINDS.get(tensor.code, f'type {tensor.code} of ')}{tensor.bits}{lanes}",
        device=tensor.device_id,
        is_readonly=bool(flags & _READ_ONLY),
        is_copy=bool(flags & _IS_COPY),
        capsule=capsule,
    )
