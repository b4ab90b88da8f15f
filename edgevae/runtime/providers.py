"""ONNX Runtime's GPU providers: whether they come up, and how they are set up.

A provider that does not load is replaced by the CPU, with a line on stderr at most. So it is tried in a child process
first, with a graph of one node, and read back from the session of every graph afterwards.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import io
import logging
import os
import re
import sys
from typing import Any

from edgevae.files import cache_folder, sha256
from edgevae.runtime.trial import Trial, is_possible, try_in_child
from edgevae.spec import Precision

CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

PROVIDERS = {"onnxruntime": CUDA, "onnxruntime_tensorrt": TENSORRT}
"""Which provider a backend of ours is on a GPU."""

TF32_SWITCH = "NVIDIA_TF32_OVERRIDE"
"""Environment variable of NVIDIA's libraries, which they read once. The provider for TensorRT has no option for TF32 of
its own: https://github.com/microsoft/onnxruntime/issues/26029."""

_logger = logging.getLogger("edgevae")

REPLACE = "`pip uninstall -y onnxruntime onnxruntime-gpu`, then `pip install 'edgevae[gpu]'`"

# y = Identity(x), one float; opset 13.
_ONE_NODE = (
    b'\x08\x08:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)

_CHILD = (
    "from edgevae.runtime.providers import open_one_node; open_one_node({provider!r}, {device})"
)


@functools.cache
def failure(provider: str, device: int) -> str | None:
    """Return why a provider does not come up on a GPU and what mends it, or None; takes a second or two, once.

    Args:
        provider: ONNX Runtime's name of it, one that it says is available.
        device: Index of the GPU.
    """
    if not is_possible():
        return None  # the session is asked for its provider anyway
    trial = try_in_child(_CHILD.format(provider=provider, device=device))
    if trial.failure is None and trial.lines and trial.lines[-1] == provider:
        return None
    why = reason(trial)
    return f"{provider} does not come up ({why}); {_remedy(provider, why)}"


def open_one_node(provider: str, device: int) -> None:
    """Open a graph of one node on a provider and print which provider took it; for a child process."""
    ort = importlib.import_module("onnxruntime")
    preload(ort)
    options = ort.SessionOptions()
    asked = [(provider, {"device_id": str(device)})]
    try:
        session = ort.InferenceSession(_ONE_NODE, options, providers=asked, enable_fallback=0)
    except Exception as error:  # noqa: BLE001  # onnxruntime's exceptions share no base class but this
        sys.exit(one_line(error))  # on stderr, to the parent
    print(session.get_providers()[0])  # noqa: T201  # to the parent


def reason(trial: Trial) -> str:
    """Return what ONNX Runtime said was wrong in a child process, in one line."""
    said = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in trial.errors]
    for line in said:
        library = re.search(r"with error: (.+)$", line)
        if library:
            return library[1].strip()
    if trial.failure and not trial.failure.startswith("left"):
        return trial.failure
    return said[-1][:300] if said else "no reason given"


def one_line(error: Exception) -> str:
    """Return what ONNX Runtime raised as one line, without the places in its code.

    Its forms are `/onnxruntime_src/x.cc:728 void onnxruntime::f(int) What went wrong` and
    `... CUDA failure 35: What went wrong ; GPU=0 ; hostname=... ; file=... ; line=69 ; expr=...`.
    """
    text = " ".join(str(error).split())
    failed = re.search(r"(CU\w+ failure \d+: .+?) ; ?GPU=", text)
    return failed[1] if failed else re.sub(r"^/\S+:\d+ .*?\) ", "", text)


def preload(ort: Any) -> None:  # Any: the module
    """Load CUDA's and cuDNN's libraries where pip put them, which ONNX Runtime (1.21 on) does only when asked."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
        getattr(ort, "preload_dlls", lambda: None)()


def cuda_version() -> tuple[int, int] | None:
    """Return the CUDA that the installed ONNX Runtime was built for; None where it was built for the CPU alone."""
    try:
        info = importlib.import_module("onnxruntime.capi.build_and_package_info")
    except ImportError:
        return None
    numbers = re.findall(r"\d+", str(getattr(info, "cuda_version", "")))
    return (int(numbers[0]), int(numbers[1])) if len(numbers) > 1 else None


def distributions() -> tuple[str, ...]:
    """Return which distributions of ONNX Runtime are installed; they hold the same files, so there must be one."""
    return tuple(
        name for name in ("onnxruntime", "onnxruntime-gpu") if installed_version(name) is not None
    )


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def with_options(
    provider: str, *, device: int, precision: Precision, model: bytes, version: str
) -> list[tuple[str, dict[str, str]]]:
    """Return what to ask ONNX Runtime for: a provider with its options, and CUDA's behind TensorRT's.

    Args:
        provider: ONNX Runtime's name of it.
        device: Index of the GPU.
        precision: Of the graph.
        model: The ONNX graph, which TensorRT's engines are kept for.
        version: Of ONNX Runtime, as its engines are good for one release.
    """
    # On by default, TF32 keeps 10 bits of a float32 that was asked for as float32.
    cuda = (CUDA, {"device_id": str(device), "use_tf32": "0"})
    if provider != TENSORRT:
        return [cuda]
    if precision == "fp32" and os.environ.get(TF32_SWITCH) != "0":
        _logger.warning(
            "%s computes fp32 graphs in TF32, with 10 bits of a float32, on GPUs from Ampere on, and has no option for "
            "it; start the process with %s=0, or use --backend tensorrt",
            *(provider, TF32_SWITCH),
        )
    # ONNX Runtime does not see that an engine is stale, so each graph and release has a folder of its own.
    folder = cache_folder() / "ort-tensorrt" / f"{sha256(model)[:16]}-{version}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = {
        "device_id": str(device),
        "trt_fp16_enable": str(precision == "fp16"),
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder),
    }
    return [(TENSORRT, options), cuda]


def _remedy(provider: str, why: str) -> str:
    if "libnvinfer" in why or "TensorRT libraries" in why:
        wanted = re.search(r"libnvinfer\w*\.so\.(\d+)", why)
        which = f"TensorRT {wanted[1]}" if wanted else "the TensorRT it was built for"
        return f"it wants the libraries of {which}; install these, or use --backend tensorrt, which takes any from 10.3"
    if "libcuda.so" in why:
        return "install the NVIDIA driver, or in a container start it with `--gpus all`"
    if "driver version is insufficient" in why:
        return "update the NVIDIA driver, or install an older onnxruntime-gpu"
    if re.search(r"lib(cu|nv)\w*\.so", why):
        return "install CUDA's libraries with `pip install 'onnxruntime-gpu[cuda,cudnn]'`"
    return (
        f"look at the requirements of {provider} at https://onnxruntime.ai/docs/execution-providers"
    )
