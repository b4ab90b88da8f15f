"""A session: one graph, loaded on one device, behind the same small protocol for every backend.

    Vae  ->  Session.run(data, state)  ->  data, state
                 ^
                 | onnxruntime.py    arrays in host memory
                 | tensorrt.py       device buffers, state swapped by address (to come)

The state never passes through numpy on its way from one call to the next: it is an opaque object of the backend that
made it, so a GPU backend keeps it on the device. Data may be anything that the backend can read without a copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeAlias

from edgevae.bundle import Bundle
from edgevae.errors import InputError, UnavailableError
from edgevae.spec import GraphSpec, Precision, Role

Array: TypeAlias = Any
"""A numpy array, or on a GPU backend also an object with `__dlpack__` or `__cuda_array_interface__`."""

BACKENDS = ("onnxruntime",)
"""Names that `backend=` takes, beside `auto`."""

DEVICES = ("cpu",)
"""Names that `device=` takes, beside `auto`."""


class SessionState(Protocol):
    """The causal caches of one stream, owned by the backend that made them.

    A state goes into one call: a backend that keeps it on the device writes the next state over its memory.
    """


class Session(Protocol):
    """One graph, ready to run."""

    @property
    def graph(self) -> GraphSpec:
        """The graph that is loaded."""

    @property
    def backend(self) -> str:
        """What runs it."""

    @property
    def device(self) -> str:
        """Where it runs, read back from the backend."""

    def initial_state(self, *, batch: int, height_px: int, width_px: int) -> SessionState:
        """Return the state at the first chunk of a stream: zeros, on the device."""

    def run(
        self, data: Array, state: SessionState, *, out: Array | None = None
    ) -> tuple[Array, SessionState]:
        """Return the graph's data output and the next state.

        Args:
            data: Frames uint8 `[B*T, H, W, 3]` or latents float32 `[B*t, C, h, w]`, C-contiguous.
            state: What `initial_state` or the call before returned; not to be used again.
            out: Where to write the data output, of its exact shape and dtype; without it a new array, the caller's own.
        """

    def close(self) -> None:
        """Free what the session holds; a closed session cannot run."""

    def __enter__(self) -> Session: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the caller asked for, checked."""

    backend: str
    device: str
    precision: Precision


def choose(bundle: Bundle, *, backend: str, device: str, precision: Precision | None) -> Choice:
    """Return which backend, device and precision will run.

    `auto` takes the first backend that is installed, its best device, and the precision that is fastest there: fp32 on
    a CPU, whose fp16 graphs run in fp32 arithmetic anyway. A name that was given is taken as given or is an error.

    Raises:
        InputError: the backend, device or precision has an unknown name, or the bundle lacks the precision.
        UnavailableError: the backend or device is known and not here yet.
    """
    if backend in ("tensorrt", "tensorrt_rtx") or device == "cuda":
        raise UnavailableError(
            f"backend={backend!r} device={device!r}: only onnxruntime on the CPU is here; use --backend onnxruntime"
        )
    for name, value, known in (("backend", backend, BACKENDS), ("device", device, DEVICES)):
        if value not in ("auto", *known):
            raise InputError(f"{name}: got {value!r}, expected one of auto, {', '.join(known)}")
    if precision not in (None, "fp32", "fp16"):
        raise InputError(f"precision: got {precision!r}, expected fp32 or fp16")
    if not bundle.precisions:
        raise InputError(
            f"{bundle.path}: has no encoder and decoder of one precision; export it again"
        )
    return Choice(backend="onnxruntime", device="cpu", precision=precision or bundle.precisions[0])


def open_session(bundle: Bundle, role: Role, *, choice: Choice, threads: int | None) -> Session:
    """Return a session for one graph of a bundle, after checking the graph's digest.

    Raises:
        IntegrityError: the graph is not the one that was exported.
        UnavailableError: the backend is not installed.
    """
    from edgevae.runtime.onnxruntime import OnnxRuntimeSession

    graph = bundle.graph(role, choice.precision)
    return OnnxRuntimeSession(bundle.read(graph.file), graph, threads=threads)
