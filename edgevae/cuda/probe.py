"""Which GPUs are here, asked of the driver itself: no package is needed, and nothing crashes where there is none."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path

from edgevae.cuda.libcuda import call
from edgevae.errors import UnavailableError

_MULTIPROCESSORS, _INTEGRATED = 16, 18
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
"""Numbers of `CUdevice_attribute` in cuda.h."""

_KERNEL_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU, as the driver describes it."""

    index: int
    """What `cuda:<index>` names."""
    name: str
    """Such as `NVIDIA H200` or `Orin`."""
    compute_capability: tuple[int, int]
    """Major and minor; 8.7 is Orin."""
    multiprocessors: int
    """How many are switched on. Jetson Orin Nano, NX and AGX share name and capability and differ in it, and a power
    mode may switch some off."""
    memory_bytes: int
    """Total; on a Jetson it is the memory of the whole machine."""
    integrated: bool
    """Whether it shares its memory with the CPU, as a Jetson's does."""
    cuda_version: tuple[int, int]
    """The newest CUDA that the driver supports."""
    driver: str
    """Version of the kernel driver, such as `580.65.06`; empty where unknown."""


def gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that this process may use, in the driver's order.

    Raises:
        UnavailableError: there is no driver, it does not initialise, or it sees no GPU; with the reason.
    """
    count = ctypes.c_int()
    call("cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        raise UnavailableError(
            "cuDeviceGetCount: 0 GPUs, expected one; look at CUDA_VISIBLE_DEVICES"
        )
    return tuple(_describe(index) for index in range(count.value))


def _describe(index: int) -> Gpu:
    device, cuda = ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    call("cuDeviceGet", ctypes.byref(device), index)
    call("cuDeviceGetName", name, len(name), device)
    call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    call("cuDriverGetVersion", ctypes.byref(cuda))
    return Gpu(
        index=index,
        name=name.value.decode(errors="replace"),
        compute_capability=(
            _attribute(_CAPABILITY_MAJOR, device),
            _attribute(_CAPABILITY_MINOR, device),
        ),
        multiprocessors=_attribute(_MULTIPROCESSORS, device),
        memory_bytes=memory.value,
        integrated=bool(_attribute(_INTEGRATED, device)),
        cuda_version=(cuda.value // 1000, cuda.value % 1000 // 10),
        driver=_kernel_driver(),
    )


def _attribute(number: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    call("cuDeviceGetAttribute", ctypes.byref(value), number, device)
    return value.value


def _kernel_driver(path: Path = _KERNEL_DRIVER) -> str:
    """Return the version in a line like `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun ...`."""
    try:
        text = path.read_text()
    except OSError:
        return ""
    match = re.search(r"NVRM version:.*?\s(\d+(?:\.\d+)+)\s", text)
    return match[1] if match else ""
