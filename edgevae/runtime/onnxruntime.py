"""ONNX Runtime on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

import numpy as np

from edgevae.errors import IncompatibleError, InputError, UnavailableError
from edgevae.runtime.session import Array, SessionState
from edgevae.spec import GraphSpec, TensorSpec, next_name

INSTALL = "install it with `pip install 'edgevae[cpu]'`"
PROVIDER = "CPUExecutionProvider"


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
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise UnavailableError(f"onnxruntime: not installed ({error}); {INSTALL}") from error
        options = ort.SessionOptions()
        options.log_severity_level = (
            3  # errors only: warnings on these graphs speak of our own float16 casts
        )
        # Idle threads of one graph would spin on the cores that the other graph needs: 1.7x slower decoding.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            session = ort.InferenceSession(model, options, providers=[PROVIDER])
        except Exception as error:  # onnxruntime's exceptions share no base class but this
            raise IncompatibleError(
                f"{graph.file}: onnxruntime {ort.__version__} cannot load it: {error}"
            ) from error
        for theirs, ours in (
            (session.get_inputs(), graph.inputs),
            (session.get_outputs(), graph.outputs),
        ):
            names = [tensor.name for tensor in theirs]
            if names != [tensor.name for tensor in ours]:
                raise IncompatibleError(
                    f"{graph.file}: has tensors {names}, which are not those in the manifest"
                )
        self.graph = graph
        # Only what comes back is asked for: the data, then the state; a log-variance stays in the graph.
        self._outputs = [graph.outputs[0].name, *(next_name(s.name) for s in graph.state)]
        self._session: ort.InferenceSession | None = session

    def initial_state(self, *, batch: int, height_px: int, width_px: int) -> HostState:
        """Return zeros of the caches' shapes."""
        sizes = {"batch": batch, "height": height_px, "width": width_px}
        return HostState(
            {s.name: np.zeros(s.resolve(sizes), np.dtype(s.dtype)) for s in self.graph.state}
        )

    def run(
        self, data: Array, state: SessionState, *, out: Array | None = None
    ) -> tuple[np.ndarray, HostState]:
        """Return the data output and the next state; see `Session.run`.

        Raises:
            InputError: the data has not the dtype or number of axes of the graph's input, or the session is closed.
        """
        if self._session is None:
            raise InputError(f"{self.graph.file}: the session is closed; load the model again")
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
