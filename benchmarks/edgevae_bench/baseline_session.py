"""One exported module in PyTorch behind the runtime's `Session` protocol, on the CPU or a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgevae.runtime.session import Array, SessionState
from edgevae.spec import GraphSpec

COMPILE: dict[str, dict[str, Any]] = {  # Any: arguments of torch.compile
    "compile": {"fullgraph": True, "dynamic": False},
    "compile_graphs": {"fullgraph": True, "dynamic": False, "mode": "reduce-overhead"},
}
"""Variants whose modules are compiled, and how; `reduce-overhead` replays CUDA graphs."""

Run = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class TorchState:
    """Caches in the order of the graph's state inputs. Never written to."""

    tensors: tuple[Tensor, ...]


class TorchSession:
    """An exported module behind the runtime's `Session` protocol.

    Args:
        module: `EncoderGraph` or `DecoderGraph`, on its device.
        graph: Its description.
        compiled: One of `COMPILE`; None runs the module as it is.
    """

    backend = "pytorch"

    def __init__(self, module: nn.Module, graph: GraphSpec, *, compiled: str | None = None) -> None:
        self.module, self.graph = module, graph
        weight = next(module.parameters())
        self._device, self._dtype = weight.device, weight.dtype
        self._run: Run = module if compiled is None else torch.compile(module, **COMPILE[compiled])
        self._is_compiled = compiled is not None
        # What a CUDA graph gives is written over by its next run; the state must outlive that.
        self._copies = compiled == "compile_graphs"
        self._pinned: dict[str, Tensor] = {}

    @property
    def device(self) -> str:
        """Where the module is."""
        return str(self._device)

    def initial_state(self, *, batch: int, height_px: int, width_px: int) -> TorchState:
        """Return zeros of the caches' shapes."""
        sizes = {"batch": batch, "height": height_px, "width": width_px}
        shapes = (spec.resolve(sizes) for spec in self.graph.state)
        # A tensor made outside of inference mode is of another kind: torch.compile would compile once more for it.
        with torch.inference_mode():
            zeros = tuple(torch.zeros(s, dtype=self._dtype, device=self._device) for s in shapes)
            return TorchState(self._as_left(zeros, sizes) if self._is_compiled else zeros)

    def _as_left(self, zeros: tuple[Tensor, ...], sizes: Mapping[str, int]) -> tuple[Tensor, ...]:
        """Return zeros with the strides that the module leaves: with others it would be compiled once more."""
        spec = self.graph.data
        data = torch.from_numpy(np.zeros(spec.resolve(sizes), spec.dtype)).to(self._device)
        following = self._caches(self.module(data, *zeros)[1:])
        return tuple(
            torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device=t.device).zero_()
            for t in following
        )

    def _caches(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the module's caches as the next call takes them."""
        kept = tuple(tensor.clone() for tensor in tensors) if self._copies else tensors
        # The stride of a batch of one means nothing, but torch.compile guards it, and its own results have another.
        is_one = self._is_compiled and bool(kept) and kept[0].shape[0] == 1
        return tuple(map(_with_plain_batch, kept)) if is_one else kept

    def is_ready(self, *, batch: int, height_px: int, width_px: int) -> bool:
        """Return True: the module takes every size."""
        return True

    def run(
        self,
        data: Array,
        state: SessionState,
        *,
        out: Array | None = None,
        stream: object = None,
    ) -> tuple[Array, TorchState]:
        """Return the data output and the next state; see `Session.run`.

        A tensor gives a tensor, on the current stream and without waiting for it. A numpy array gives a C-contiguous
        numpy array, as a runtime does.
        """
        assert isinstance(state, TorchState), "a state comes from this backend"
        assert stream is None, "PyTorch has a current stream of its own"
        on_host = isinstance(data, np.ndarray)
        with torch.inference_mode():
            if self._copies:
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # untyped in torch
            # On a device nobody has folded the clips of a batch into one axis.
            tensor = self._take(data) if on_host else data.reshape(-1, *data.shape[-3:])
            result, *following = self._run(tensor, *state.tensors)
            caches = self._caches(tuple(following))
            result = result.clone() if self._copies else result
            given = self._give(result) if on_host else result
        if out is not None:
            np.copyto(out, given, casting="no")
            given = out
        return given, TorchState(caches)

    def prepared(self, data: np.ndarray, state: SessionState) -> Callable[[], object]:
        """Return what runs the module by itself on one input that is in place, without waiting for it."""
        assert isinstance(state, TorchState), "a state comes from this backend"
        with torch.inference_mode():  # as `run` has it
            tensor = torch.tensor(data, device=self._device)
            # The caches as the module leaves them: in its memory format, which zeros are not.
            tensors = self._caches(self._run(tensor, *state.tensors)[1:])

        def run() -> object:
            with torch.inference_mode():
                if self._copies:
                    torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # untyped in torch
                return self._run(tensor, *tensors)

        return run

    def close(self) -> None:
        """Nothing to free: the module goes with its last reference."""

    def __enter__(self) -> TorchSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self, array: np.ndarray) -> Tensor:
        """Return a numpy array on the device, through page-locked memory as the runtime does it."""
        # torch.from_numpy takes writable memory only; frames of a reader are, others are copied.
        tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
        if self._device.type == "cpu":
            return tensor
        pinned = self._staging("in", tensor)
        return pinned.copy_(tensor).to(self._device, non_blocking=True)

    def _give(self, tensor: Tensor) -> np.ndarray:
        """Return a result as a numpy array of the caller's own, once it is there."""
        array: np.ndarray
        if self._device.type == "cpu":
            array = tensor.contiguous().numpy()
            return array
        pinned = self._staging("out", tensor)
        pinned.copy_(tensor, non_blocking=True)
        torch.cuda.synchronize(self._device)
        array = pinned.numpy().copy()
        return array

    def _staging(self, name: str, like: Tensor) -> Tensor:
        kept = self._pinned.get(name)
        if kept is None or kept.shape != like.shape:
            kept = self._pinned[name] = torch.empty(like.shape, dtype=like.dtype, pin_memory=True)
        return kept


def _with_plain_batch(tensor: Tensor) -> Tensor:
    """Return a view of a batch of one whose first stride is what a dense tensor has."""
    return tensor.as_strided(tensor.shape, (tensor.numel(), *tensor.stride()[1:]))
