"""Choosing the CUDA layer for Python: cuda-python where it is installed, else pycuda."""

from __future__ import annotations

import importlib.util

from edgevae.cuda.driver import Driver
from edgevae.cuda.probe import gpus
from edgevae.errors import InputError, UnavailableError

DRIVERS = ("cuda-python", "pycuda")
"""Names that `open_driver` takes beside `auto`, in its order."""

_MODULES = {"cuda-python": "cuda.bindings", "pycuda": "pycuda"}
_INSTALL = {"cuda-python": "pip install 'cuda-bindings>=12.9.1'", "pycuda": "pip install pycuda"}


def open_driver(device: int = 0, *, name: str = "auto") -> Driver:
    """Return the driver of one GPU; the caller closes it.

    Args:
        device: Index of the GPU.
        name: `cuda-python`, `pycuda`, or `auto`: the first of them that is installed.

    Raises:
        UnavailableError: there is no NVIDIA driver, no GPU of this index, or the package is not installed; with what
            to do.
        InputError: another name.
    """
    if name not in ("auto", *DRIVERS):
        raise InputError(f"driver: got {name!r}, expected auto, {' or '.join(DRIVERS)}")
    found = gpus()
    if not 0 <= device < len(found):
        raise UnavailableError(
            f"cuda:{device}: there is no such GPU, expected cuda:0 to cuda:{len(found) - 1}"
        )
    wanted = DRIVERS if name == "auto" else (name,)
    installed = [one for one in wanted if _is_installed(_MODULES[one])]
    if not installed:
        raise UnavailableError(
            f"{' and '.join(wanted)}: not installed; {' or '.join(f'`{_INSTALL[one]}`' for one in wanted)}"
        )
    if installed[0] == "pycuda":
        from edgevae.cuda.pycuda_driver import PycudaDriver

        return PycudaDriver(device)
    from edgevae.cuda.cuda_python import CudaPythonDriver

    return CudaPythonDriver(device)


def _is_installed(module: str) -> bool:
    """Return whether a module is there, without importing it; its parent may be another package's namespace."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
