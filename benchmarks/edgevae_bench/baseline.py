"""The PyTorch side: the modules that were exported, run chunk by chunk as the runtime runs its graphs.

The only module of the benchmark that imports PyTorch. Everything around the graph (checks, padding, folding,
cropping) is the runtime's own `edgevae.runtime.stream`, so that both sides do the same work on the same arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgevae.errors import InputError
from edgevae.frames import Frames, Latents
from edgevae.nn.checkpoint import load_checkpoint
from edgevae.nn.graph import DecoderGraph, EncoderGraph
from edgevae.runtime import stream
from edgevae.runtime.session import Array, SessionState
from edgevae.runtime.stream import StreamState
from edgevae.spec import GraphSpec, Role, TensorSpec, VaeSpec

VARIANTS = {"eager": torch.contiguous_format, "channels_last": torch.channels_last}
"""Ways to run the network, with the memory format of its weights and of what enters its first layer."""


@dataclass(frozen=True)
class TorchState:
    """Caches in the order of the graph's state inputs. Never written to."""

    tensors: tuple[Tensor, ...]


class TorchSession:
    """An exported module behind the runtime's `Session` protocol, on the CPU.

    Args:
        module: `EncoderGraph` or `DecoderGraph`.
        graph: Its description.
    """

    backend = "pytorch"
    device = "cpu"

    def __init__(self, module: nn.Module, graph: GraphSpec) -> None:
        self.module = module
        self.graph = graph

    def initial_state(self, *, batch: int, height_px: int, width_px: int) -> TorchState:
        """Return zeros of the caches' shapes."""
        sizes = {"batch": batch, "height": height_px, "width": width_px}
        return TorchState(tuple(torch.zeros(spec.resolve(sizes)) for spec in self.graph.state))

    def run(
        self, data: Array, state: SessionState, *, out: Array | None = None
    ) -> tuple[np.ndarray, TorchState]:
        """Return the data output, C-contiguous as a runtime gives it, and the next state; see `Session.run`."""
        assert isinstance(state, TorchState), "a state comes from this backend"
        # torch.from_numpy takes writable memory only; frames of a reader are, others are copied.
        tensor = torch.from_numpy(np.require(data, requirements=["C", "W"]))
        with torch.inference_mode():
            outputs = self.module(tensor, *state.tensors)
            array: np.ndarray = outputs[0].contiguous().numpy()
        following = TorchState(outputs[1:])
        if out is None:
            return array, following
        np.copyto(out, array, casting="no")
        return out, following

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


class TorchCodec:
    """A checkpoint in PyTorch, fp32, inference mode; an `edgevae_bench.subjects.Codec`.

    Args:
        checkpoint: The folder.
        variant: One of `VARIANTS`.
        chunk_frames: T of one call, a multiple of the temporal factor.
        threads: CPU threads of one call. PyTorch has one number for the whole process: the last one set counts.

    Raises:
        InputError: no such variant, or `chunk_frames` is no multiple of the temporal factor.
        EdgeVaeError: as `edgevae.nn.load_checkpoint`.
    """

    def __init__(self, checkpoint: Path, *, variant: str, chunk_frames: int, threads: int) -> None:
        if variant not in VARIANTS:
            raise InputError(
                f"PyTorch baseline: got {variant!r}, expected one of {', '.join(VARIANTS)}"
            )
        torch.set_num_threads(threads)
        memory_format = VARIANTS[variant]
        vae = load_checkpoint(checkpoint)
        vae.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's overloads leave it out
        self.spec: VaeSpec = vae.spec
        self.chunk_frames = chunk_frames
        if chunk_frames % self.spec.temporal_factor:
            raise InputError(
                f"{checkpoint}: chunks of {chunk_frames} frames, expected a multiple of {self.spec.temporal_factor}"
            )
        for network in (vae.encoder, vae.decoder):
            _pin_format(network, memory_format)
        # torch.compile goes here: a variant of its own that compiles both modules.
        encoder = EncoderGraph(vae, chunk_frames=chunk_frames)
        decoder = DecoderGraph(vae, chunk_frames=chunk_frames)
        self._encoder = TorchSession(encoder, _graph("encoder", self.spec, chunk_frames))
        self._decoder = TorchSession(decoder, _graph("decoder", self.spec, chunk_frames))

    def stream(self, *, height: int, width: int, batch: int = 1) -> StreamState:
        """Return the state of a stream at its first frame."""
        cell_px = self.spec.spatial_factor
        return stream.start(
            self._encoder, self._decoder, batch=batch, height=height, width=width, cell_px=cell_px
        )

    def encode_chunk(self, frames: Frames, state: StreamState) -> tuple[Latents, StreamState]:
        """Return the latents of one chunk and the next state; see `stream.encode_chunk`."""
        return stream.encode_chunk(self._encoder, frames, state, cell_px=self.spec.spatial_factor)

    def decode_chunk(self, latents: Latents, state: StreamState) -> tuple[Frames, StreamState]:
        """Return the frames of one chunk and the next state; see `stream.decode_chunk`."""
        spec = self.spec
        return stream.decode_chunk(
            self._decoder,
            latents,
            state,
            cell_px=spec.spatial_factor,
            channels=spec.latent_channels,
        )


def _pin_format(network: nn.Module, memory_format: torch.memory_format) -> None:
    """Have the network's input in one memory format.

    The frames arrive as NHWC and are permuted, which is a channels-last view: without this the eager NCHW baseline
    would run its first layers, and as many as keep the format, in channels-last.
    """

    def pin(
        _: nn.Module, inputs: tuple[Any, ...]
    ) -> tuple[Any, ...]:  # Any: pixels or latents, state, steps
        return (inputs[0].contiguous(memory_format=memory_format), *inputs[1:])

    network.register_forward_pre_hook(pin)


def _graph(role: Role, spec: VaeSpec, chunk_frames: int) -> GraphSpec:
    """Return the description of a graph with its tensors at the boundary; it is in no file."""
    steps, cell_px = chunk_frames // spec.temporal_factor, spec.spatial_factor
    frames = TensorSpec(
        name="frames", dtype="uint8", shape=(f"{chunk_frames}*batch", "height", "width", 3)
    )
    shape = (f"{steps}*batch", spec.latent_channels, f"height/{cell_px}", f"width/{cell_px}")
    latents = TensorSpec(name="latents", dtype="float32", shape=shape)
    data, result = (frames, latents) if role == "encoder" else (latents, frames)
    inputs = (data, *spec.state(role))
    return GraphSpec(
        role=role,
        precision="fp32",
        file="",
        chunk_frames=chunk_frames,
        inputs=inputs,
        outputs=(result,),
    )
