"""One graph of a bundle in OpenVINO, on the CPU: a peer in the benchmark, not a backend of the runtime.

It reads the very fp32 ONNX file that ONNX Runtime runs. The arithmetic is a property of OpenVINO's, not of the file:
`f32`, or `bf16` where the CPU has instructions for it, which is then OpenVINO's own default.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np

from edgevae.bundle import Bundle
from edgevae.errors import InputError, UnavailableError
from edgevae.runtime.onnxruntime import HostState, wanted_outputs
from edgevae.runtime.session import Array, SessionState
from edgevae.spec import GraphSpec, Role, next_name
from edgevae_bench.session_codec import SessionCodec
from edgevae_bench.work import Arithmetic

HINTS = {"fp32": "f32", "bf16": "bf16"}
"""OpenVINO's names of what it can compute in on a CPU."""

INSTALL = "install it with `pip install 'edgevae[openvino]'`"


def open_openvino_codec(
    bundle: Bundle, *, precision: Arithmetic, threads: int, sizes: dict[str, int]
) -> SessionCodec:
    """Return a bundle's fp32 graphs in OpenVINO.

    Args:
        bundle: The model.
        precision: Of the arithmetic: fp32 or bf16.
        threads: CPU threads of one call.
        sizes: batch, height and width, whole latent cells; the graphs are compiled for this size, where they are
        fastest.

    Raises:
        UnavailableError: OpenVINO is not installed, or this CPU has no such arithmetic.
        InputError: another precision.
    """
    roles: tuple[Role, ...] = ("encoder", "decoder")
    encoder, decoder = (
        OpenVinoSession(
            bundle, bundle.graph(role, "fp32"), precision=precision, threads=threads, sizes=sizes
        )
        for role in roles
    )
    manifest = bundle.manifest
    return SessionCodec(
        encoder,
        decoder,
        spec=manifest.spec,
        name=manifest.name,
        model_digest=manifest.model_digest,
    )


class OpenVinoSession:
    """A graph in OpenVINO behind the runtime's `Session` protocol; arguments as `open_openvino_codec`."""

    backend, device = "openvino", "cpu"

    def __init__(
        self,
        bundle: Bundle,
        graph: GraphSpec,
        *,
        precision: Arithmetic,
        threads: int,
        sizes: dict[str, int],
    ) -> None:
        if precision not in HINTS:
            raise InputError(f"openvino: got {precision}, expected one of {', '.join(HINTS)}")
        core = _import_openvino().Core()
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision.upper() not in able:
            raise UnavailableError(
                f"openvino: this CPU has no {precision}, it has {', '.join(able)}; leave {precision} out"
            )
        model = core.read_model(bundle.read(graph.file))
        model.reshape({s.name: list(s.resolve(sizes)) for s in graph.inputs})
        options = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.graph = graph
        self._outputs = wanted_outputs(graph)
        self._request: Any = core.compile_model(model, "CPU", options).create_infer_request()

    def initial_state(self, *, batch: int, height_px: int, width_px: int) -> HostState:
        """Return zeros of the caches' shapes."""
        sizes = {"batch": batch, "height": height_px, "width": width_px}
        return HostState(
            {s.name: np.zeros(s.resolve(sizes), np.dtype(s.dtype)) for s in self.graph.state}
        )

    def is_ready(self, *, batch: int, height_px: int, width_px: int) -> bool:
        """Return True; another size than it was compiled for is an error of OpenVINO's."""
        return True

    def run(
        self, data: Array, state: SessionState, *, out: Array | None = None, stream: object = None
    ) -> tuple[Array, HostState]:
        """Return the data output and the next state; see `Session.run`."""
        assert isinstance(state, HostState), "a state comes from this backend"
        assert stream is None, "OpenVINO on the CPU has no stream"
        found = self._request.infer(
            {self.graph.data.name: data, **state.tensors}, share_inputs=True
        )
        result: np.ndarray = found[self._outputs[0]]
        following = HostState({s.name: found[next_name(s.name)] for s in self.graph.state})
        if out is not None:
            np.copyto(out, result, casting="no")
            result = out
        return result, following

    def prepared(self, data: np.ndarray, state: SessionState) -> Callable[[], object]:
        """Return what runs the graph by itself on one input that is in place."""
        assert isinstance(state, HostState), "a state comes from this backend"
        request, feeds = self._request, {self.graph.data.name: data, **state.tensors}
        return lambda: request.infer(feeds, share_inputs=True, share_outputs=True)

    def close(self) -> None:
        """Free the graph."""
        self._request = None

    def __enter__(self) -> OpenVinoSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _import_openvino() -> Any:  # Any: its types are not worth the dependency
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise UnavailableError(f"openvino: cannot be imported ({error}); {INSTALL}") from error
