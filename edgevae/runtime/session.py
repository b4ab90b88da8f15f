"""A session: one graph, loaded on one device, behind the same small protocol for every backend.

    Vae  ->  Session.run(data, state)  ->  data, state
                 ^
                 | onnxruntime.py         arrays in host memory
                 | onnxruntime_cuda.py    state on the device, in values of ONNX Runtime's
                 | tensorrt.py            state on the device, swapped by address

The state never passes through numpy on its way from one call to the next: it is an opaque object of the backend that
made it, so a GPU backend keeps it on the device. Data may be anything that the backend can read without a copy.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol, TypeAlias

from edgevae.spec import GraphSpec

Array: TypeAlias = Any
"""A numpy array, or on a GPU backend also an object with `__dlpack__` or `__cuda_array_interface__`."""


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

    def is_ready(self, *, batch: int, height_px: int, width_px: int) -> bool:
        """Return whether a call of this size runs at once, without an engine to be built for it."""

    def run(
        self,
        data: Array,
        state: SessionState,
        *,
        out: Array | None = None,
        stream: object = None,
    ) -> tuple[Array, SessionState]:
        """Return the graph's data output and the next state.

        Args:
            data: Frames uint8 `[B*T, H, W, 3]` or latents float32 `[B*t, C, h, w]`, C-contiguous.
            state: What `initial_state` or the call before returned; not to be used again.
            out: Where to write the data output, of its exact shape and dtype; without it a new array, the caller's own.
            stream: A CUDA stream to work on, for arrays on the device; backends on the CPU have none.
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
