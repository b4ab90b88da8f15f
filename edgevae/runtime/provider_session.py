"""A graph opened on the provider that was asked for, or an error: never on another one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from edgevae.errors import (
    DeviceError,
    EdgeVaeError,
    IncompatibleError,
    OutOfMemoryError,
    UnavailableError,
)
from edgevae.runtime import providers
from edgevae.runtime.onnxruntime import CPU, open_graph
from edgevae.spec import GraphSpec

HEAVY = ("Conv", "FusedConv", "ConvTranspose")
"""Operators that are the graph's work; shapes are computed on the CPU by every provider."""

_OF_THE_GPU = re.compile(r"cuda|cudnn|cublas|tensorrt|nvinfer|ExecutionProvider", re.IGNORECASE)
_NO_MEMORY = re.compile(r"out of memory|failed to allocate|ALLOC_FAILED", re.IGNORECASE)


def open_on_provider(
    ort: Any,  # Any: onnxruntime has no stubs
    model: bytes,
    graph: GraphSpec,
    *,
    provider: str,
    device: int | None,
    threads: int | None = None,
) -> Any:  # Any: an onnxruntime.InferenceSession
    """Return ONNX Runtime's session of a graph, after reading back that the provider took it.

    Args:
        ort: The module.
        model: The ONNX file.
        graph: Its description.
        provider: ONNX Runtime's name of the provider.
        device: Index of the GPU; None for the CPU provider.
        threads: CPU threads for what is left to the CPU.

    Raises:
        UnavailableError: the provider is not in this ONNX Runtime, does not come up, or leaves convolutions to the CPU.
        OutOfMemoryError: the device has not enough memory for the graph.
        IncompatibleError: ONNX Runtime cannot load the graph.
    """
    if provider not in ort.get_available_providers():
        have = ", ".join(ort.get_available_providers())
        raise UnavailableError(
            f"{graph.file}: onnxruntime {ort.__version__} has {have}, expected {provider}; {providers.REPLACE}"
        )
    asked: list[tuple[str, dict[str, str]]] = [(provider, {})]
    if device is not None:
        providers.preload(ort)
        asked = providers.with_options(
            provider,
            device=device,
            precision=graph.precision,
            model=model,
            version=ort.__version__,
        )
    can_note = hasattr(ort.InferenceSession, "get_provider_graph_assignment_info")  # 1.24 on
    try:
        session = open_graph(
            ort,
            model,
            graph,
            providers=asked,
            threads=threads,
            note_placement=can_note,
        )
    except EdgeVaeError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no base class but this
        raise _load_error(error, graph, provider, ort.__version__) from error
    taken = session.get_providers()[0]
    if taken != provider:
        why = (
            providers.failure(provider, device or 0) or f"it fell back to {taken} without a reason"
        )
        raise UnavailableError(f"{graph.file}: {why}")
    if can_note:
        require_placement(session.get_provider_graph_assignment_info(), graph, provider)
    return session


def require_placement(assigned: Iterable[Any], graph: GraphSpec, provider: str) -> None:
    """Check that no convolution runs elsewhere than in a provider.

    Args:
        assigned: What ONNX Runtime says of its subgraphs: `ep_name`, and `get_nodes()` with an `op_type` each.
        graph: The graph, for the message.
        provider: Where its convolutions belong; TensorRT's may leave some to CUDA's.

    Raises:
        UnavailableError: some do.
    """
    gpu = {provider, providers.CUDA} if provider == providers.TENSORRT else {provider}
    elsewhere = Counter(
        part.ep_name
        for part in assigned
        for node in part.get_nodes()
        if node.op_type in HEAVY and part.ep_name not in gpu
    )
    if elsewhere:
        where = ", ".join(f"{count} in {name}" for name, count in elsewhere.items())
        raise UnavailableError(
            f"{graph.file}: {provider} leaves convolutions to others ({where}), expected none; "
            "update onnxruntime-gpu, or use another backend"
        )


def run_error(error: Exception, file: str, device: str) -> EdgeVaeError:
    """Return an error of ONNX Runtime's as one of ours, in one line."""
    text = providers.one_line(error)
    if _NO_MEMORY.search(text):
        return OutOfMemoryError(
            f"{file}: not enough memory on {device}; use smaller frames or fewer streams ({text[-160:]})"
        )
    return DeviceError(f"{file}: onnxruntime failed on {device}: {text}")


def _load_error(error: Exception, graph: GraphSpec, provider: str, version: str) -> EdgeVaeError:
    text = providers.one_line(error)
    if provider != CPU and _NO_MEMORY.search(text):
        return run_error(error, graph.file, provider)
    if provider != CPU and _OF_THE_GPU.search(text):
        return UnavailableError(
            f"{graph.file}: {provider} of onnxruntime {version} does not come up: {text}; see `edgevae doctor`"
        )
    return IncompatibleError(f"{graph.file}: onnxruntime {version} cannot load it: {text}")
