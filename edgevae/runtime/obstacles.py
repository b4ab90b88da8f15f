"""What stands in the way of a backend on this machine: each reason with the command that mends it.

    driver and GPU  ->  Python module  ->  built for this driver  ->  CUDA from Python, or the provider's libraries

The order is a safe one. Libraries of TensorRT crash where there is no driver, so the driver is asked first, and what
comes after a first obstacle is looked at only by who asks for more than one (`edgevae doctor`, in a child process).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import distributions as installed_distributions
from typing import TYPE_CHECKING

from edgevae.engine.flavour import FLAVOURS, Flavour, open_flavour
from edgevae.errors import EdgeVaeError, UnavailableError
from edgevae.runtime import providers
from edgevae.runtime.jetson import hidden_tensorrt, jetson
from edgevae.runtime.onnxruntime import import_onnxruntime

if TYPE_CHECKING:
    from edgevae.cuda.probe import Gpu

OLDEST_GPU = (7, 5)
"""Compute capability from which on TensorRT-RTX, and TensorRT from 10.5 on, run."""


def obstacles(backend: str, device: str) -> Iterator[str]:
    """Yield what stands in the way of a backend on a device, the first thing to mend first; lazily.

    Args:
        backend: One of `backends.BACKENDS`.
        device: `cpu` or `cuda:N`.
    """
    if device == "cpu":
        try:
            import_onnxruntime()
        except UnavailableError as error:
            yield str(error)
        return
    gpu: Gpu | None = None
    try:
        gpu = find_gpu(device)
    except UnavailableError as error:
        yield str(error)
    yield from _tensorrt(backend, gpu) if backend in FLAVOURS else _onnxruntime(backend, gpu)


def find_gpu(device: str) -> Gpu:
    """Return the GPU that `cuda:N` names.

    Raises:
        UnavailableError: there is no driver, no GPU, or none of this number.
    """
    from edgevae.cuda.probe import gpus

    found = gpus()
    for gpu in found:
        if device == f"cuda:{gpu.index}":
            return gpu
    have = ", ".join(f"cuda:{gpu.index} ({gpu.name})" for gpu in found)
    raise UnavailableError(f"{device}: there is no such GPU, this machine has {have}")


def _tensorrt(backend: str, gpu: Gpu | None) -> Iterator[str]:
    try:
        flavour = open_flavour(backend)
    except UnavailableError as error:
        hint = hidden_tensorrt() if backend == "tensorrt" and jetson() is not None else None
        yield f"{backend}: {hint}" if hint else f"{error}{_numpy_hint(backend)}"
        return
    built_for = _cuda_of(backend)
    if gpu is None:
        return
    yield from _too_old(gpu, built_for, what=backend)
    yield from _unsupported(gpu, flavour)
    from edgevae.cuda.opening import open_driver

    try:
        open_driver(gpu.index).close()
    except EdgeVaeError as error:
        yield str(error)


def _onnxruntime(backend: str, gpu: Gpu | None) -> Iterator[str]:
    provider = providers.PROVIDERS[backend]
    try:
        ort = import_onnxruntime("gpu")
    except UnavailableError as error:
        yield str(error)
        return
    if provider not in ort.get_available_providers():
        yield _no_provider(provider, ort.__version__)
        return
    if gpu is not None:
        yield from _too_old(
            gpu, providers.cuda_version(), what=f"onnxruntime-gpu {ort.__version__}"
        )
    reason = providers.failure(provider, gpu.index if gpu else 0)
    if reason is not None:
        yield reason


def _no_provider(provider: str, version: str) -> str:
    if len(providers.distributions()) > 1:
        return f"onnxruntime and onnxruntime-gpu are both installed and overwrite each other; {providers.REPLACE}"
    if jetson() is not None:
        return (
            f"onnxruntime {version} has no {provider}, and pip has none for a Jetson; use --backend tensorrt, "
            "which JetPack brings"
        )
    return f"onnxruntime {version} has no {provider}, it is the one for CPUs; {providers.REPLACE}"


def _too_old(gpu: Gpu, wanted: tuple[int, ...] | None, *, what: str) -> Iterator[str]:
    """Yield that the driver is older than what a package was built for; within one major version any driver will do."""
    if wanted is not None and gpu.cuda_version[0] < wanted[0]:
        newest = ".".join(map(str, gpu.cuda_version))
        yield (
            f"{what} is built for CUDA {wanted[0]}, the NVIDIA driver {gpu.driver} supports up to {newest}; "
            f"update the driver, or install a release for CUDA {gpu.cuda_version[0]}"
        )


def _unsupported(gpu: Gpu, flavour: Flavour) -> Iterator[str]:
    """Yield that a GPU is one that NVIDIA has given up; of GPUs between those of the tables nothing is known.

    Support matrix of TensorRT-RTX: 7.5 and from 8.0 on; release notes of TensorRT 10.5: nothing below 7.5 any more.
    """
    if not flavour.is_rtx and flavour.numbers < (10, 5):
        return
    if gpu.compute_capability < OLDEST_GPU:
        has, least = (".".join(map(str, c)) for c in (gpu.compute_capability, OLDEST_GPU))
        yield (
            f"{flavour}: {gpu.name} has compute capability {has}, expected {least} (Turing) or later; use --backend "
            "onnxruntime, or another GPU"
        )


def _cuda_of(flavour: str) -> tuple[int] | None:
    """Return the CUDA that an installed TensorRT is for, as the names of its wheels say: `tensorrt_cu13_bindings`."""
    pattern = re.compile(rf"{flavour}_cu(\d+)_bindings")
    for distribution in installed_distributions():
        match = pattern.fullmatch((distribution.metadata["Name"] or "").replace("-", "_"))
        if match:
            return (int(match[1]),)
    return None


def _numpy_hint(backend: str) -> str:
    version = providers.installed_version("numpy") or ""
    if backend == "tensorrt" and jetson() is not None and not version.startswith("1."):
        return (
            f"; JetPack's older bindings want numpy 1, this is {version}: `pip install 'numpy<2'`"
        )
    return ""
