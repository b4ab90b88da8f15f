"""The CUDA driver library through ctypes: found, initialised and asked without any package, and never a crash."""

from __future__ import annotations

import contextlib
import ctypes
import functools

from edgevae.errors import DeviceError, OutOfMemoryError, UnavailableError

LIBRARY = "libcuda.so.1"

_SUCCESS, _OUT_OF_MEMORY = 0, 2

_REASONS = {
    100: "the driver sees no GPU; in a container, start it with `--gpus all` or the NVIDIA runtime",
    802: "the GPUs are not ready yet; wait, or start nvidia-fabricmanager",
    803: "the kernel driver and libcuda differ in version; reboot after the driver's update, or remove one",
    804: "this GPU cannot use a newer CUDA than its driver; remove the forward compatibility package",
    999: "look at `dmesg` and `nvidia-smi`; in a container, give it access to /dev/nvidia*",
}
"""What to do about an error of `cuInit`."""


@functools.cache
def open_library() -> ctypes.CDLL:
    """Return the driver library, initialised.

    Raises:
        UnavailableError: it is not there, is not a driver, or does not initialise; with the reason.
    """
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise UnavailableError(
            f"{LIBRARY}: cannot be loaded, so no NVIDIA driver: install it, or in a container start it with "
            f"`--gpus all` ({error})"
        ) from error
    try:
        result = library.cuInit(0)
    except AttributeError as error:
        raise UnavailableError(
            f"{LIBRARY}: is no CUDA driver ({error}); install the NVIDIA driver again"
        ) from error
    if result != _SUCCESS:
        what_to_do = _REASONS.get(result, "look at `nvidia-smi`")
        raise UnavailableError(f"cuInit: {error_name(library, result)} ({result}): {what_to_do}")
    return library


def call(name: str, *arguments: object) -> None:
    """Call a function of the driver.

    Raises:
        UnavailableError: there is no driver, or it does not have the function.
        OutOfMemoryError: memory is short.
        DeviceError: the driver refuses for another reason.
    """
    library = open_library()
    try:
        function = getattr(library, name)
    except AttributeError as error:
        raise UnavailableError(
            f"{LIBRARY}: has no {name} ({error}); install a newer NVIDIA driver"
        ) from error
    result = function(*arguments)
    if result != _SUCCESS:
        what = f"{name}: {error_name(library, result)}, expected CUDA_SUCCESS"
        if result == _OUT_OF_MEMORY:
            raise OutOfMemoryError(f"{what}; end other programs on the GPU")
        raise DeviceError(f"{what}; look at `nvidia-smi` and `dmesg`, and start the process again")


def current_context() -> int:
    """Return the handle of the calling thread's current context, 0 where it has none."""
    context = ctypes.c_void_p()
    call("cuCtxGetCurrent", ctypes.byref(context))
    return context.value or 0


def set_current_context(context: int) -> None:
    """Replace the calling thread's current context, by none where it is 0."""
    call("cuCtxSetCurrent", ctypes.c_void_p(context))


def error_name(library: ctypes.CDLL, result: int) -> str:
    """Return an error's name, such as `CUDA_ERROR_NO_DEVICE`."""
    name = ctypes.c_char_p()
    with contextlib.suppress(AttributeError):
        library.cuGetErrorName(result, ctypes.byref(name))
    return name.value.decode() if name.value else f"CUDA error {result}"
