"""ONNX Runtime: the package, a graph opened in it, and its CPU provider as a session."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from edgevae.errors import IncompatibleError, InputError, UnavailableError
from edgevae.runtime.session import Array, SessionState
from edgevae.spec import GraphSpec, TensorSpec, next_name

CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class HostState:
    """Caches in host memory, by the name of the state input. Never written to: it may be used more than once."""

    tensors: dict[str, np.ndarray]


class OnnxRuntimeSession:
    """A graph in ONNX Runtime's CPU provider. Safe to run from several threads at once.

    Args:
        model: The ONNX file, its digest already checked.
        graph: Its description; the file must agree.
        threads: Threads for one call; None leaves it to ONNX Runtime (one per physical core).

    Raises:
        UnavailableError: onnxruntime is not installed.
        IncompatibleError: ONNX Runtime cannot load the graph, or its tensors are not those of the description.
    """

    backend = "onnxruntime"
    device = "cpu"

    def __init__(self, model: bytes, graph: GraphSpec, *, threads: int | None = None) -> None:
        ort = import_onnxruntime()
        try:
            session = open_graph(ort, model, graph, providers=[CPU], threads=threads)
        except IncompatibleError:
            raise
        except Exception as error:  # onnxruntime's exceptions share no base class but this
            raise IncompatibleError(
                f"{graph.file}: onnxruntime {ort.__version__} cannot load it: {error}"
            ) from error
        self.graph = graph
        self._outputs = wanted_outputs(graph)
        self._session: Any = session  # Any: onnxruntime has no stubs

    def initial_state(self, *, batch: int, height_px: int, width_px: int) -> HostState:
        """Return zeros of the caches' shapes."""
        sizes = {"batch": batch, "height": height_px, "width": width_px}
        return HostState(
            {s.name: np.zeros(s.resolve(sizes), np.dtype(s.dtype)) for s in self.graph.state}
        )

    def is_ready(self, *, batch: int, height_px: int, width_px: int) -> bool:
        """Return True: one graph takes every size."""
        return True

    def run(
        self,
        data: Array,
        state: SessionState,
        *,
        out: Array | None = None,
        stream: object = None,
    ) -> tuple[np.ndarray, HostState]:
        """Return the data output and the next state; see `Session.run`.

        Raises:
            InputError: the data has not the dtype or number of axes of the graph's input, a CUDA stream was given, or
                the session is closed.
        """
        if self._session is None:
            raise InputError(f"{self.graph.file}: the session is closed; load the model again")
        if stream is not None:
            raise InputError("stream: got one, but onnxruntime on the cpu has none; leave it out")
        state = self._own(state)
        _check(data, self.graph.data)
        outputs = self._session.run(self._outputs, {self.graph.data.name: data, **state.tensors})
        following = HostState(
            dict(zip((s.name for s in self.graph.state), outputs[1:], strict=True))
        )
        if out is None:
            return outputs[0], following
        np.copyto(out, outputs[0], casting="no")
        return out, following

    def _own(self, state: SessionState) -> HostState:
        wanted = [(s.name, np.dtype(s.dtype)) for s in self.graph.state]
        if isinstance(state, HostState) and wanted == [
            (n, t.dtype) for n, t in state.tensors.items()
        ]:
            return state
        raise InputError(
            f"{self.graph.file}: got the state of another model, precision or backend; start with `Vae.stream`"
        )

    def close(self) -> None:
        """Free the graph."""
        self._session = None

    def __enter__(self) -> OnnxRuntimeSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def import_onnxruntime(extra: str = "cpu") -> Any:  # Any: onnxruntime has no stubs
    """Return the module.

    Args:
        extra: Of edgevae, which installs what is wanted: `cpu` or `gpu`.

    Raises:
        UnavailableError: it is not installed or does not load.
    """
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "onnxruntime"
        what = "not installed" if missing else f"installed, but does not load ({error})"
        raise UnavailableError(
            f"onnxruntime: {what}; install it with `pip install 'edgevae[{extra}]'`"
        ) from error


def open_graph(
    ort: Any,  # Any: the module
    model: bytes,
    graph: GraphSpec,
    *,
    providers: Sequence[str | tuple[str, dict[str, str]]],
    threads: int | None = None,
    note_placement: bool = False,
) -> Any:  # Any: an onnxruntime.InferenceSession
    """Return ONNX Runtime's own session of a graph, whose tensors are those of its description.

    Args:
        ort: The module.
        model: The ONNX file.
        graph: Its description.
        providers: What may run it, the first choice first, each alone or with its options.
        threads: Threads of the CPU provider for one call.
        note_placement: Have ONNX Runtime note which provider each node went to.

    Raises:
        IncompatibleError: the tensors are others.
        Exception: what ONNX Runtime raises where it cannot load the graph; its exceptions share no other base class.
    """
    options = ort.SessionOptions()
    # Errors only: warnings on these graphs speak of our own float16 casts.
    options.log_severity_level = 3
    # Idle threads of one graph would spin on the cores that the other graph needs: 1.7x slower decoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if note_placement:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    # Without this a provider that fails is replaced by another one, with a line on stdout.
    session = ort.InferenceSession(model, options, providers=list(providers), enable_fallback=0)
    session.disable_fallback()
    for theirs, ours in (
        (session.get_inputs(), graph.inputs),
        (session.get_outputs(), graph.outputs),
    ):
        names = [tensor.name for tensor in theirs]
        if names != [tensor.name for tensor in ours]:
            raise IncompatibleError(
                f"{graph.file}: has tensors {names}, which are not those in the manifest"
            )
    return session


def wanted_outputs(graph: GraphSpec) -> list[str]:
    """Return the outputs to ask for: the data, then the state; a log-variance stays in the graph."""
    return [graph.outputs[0].name, *(next_name(s.name) for s in graph.state)]


def _check(data: Array, spec: TensorSpec) -> None:
    if (
        not isinstance(data, np.ndarray)
        or data.dtype != np.dtype(spec.dtype)
        or data.ndim != len(spec.shape)
    ):
        got = (
            f"{data.dtype} {list(data.shape)}"
            if isinstance(data, np.ndarray)
            else type(data).__name__
        )
        raise InputError(
            f"{spec.name}: got {got}, expected a numpy array {spec.dtype} of {len(spec.shape)} axes"
        )
