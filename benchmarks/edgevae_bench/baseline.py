"""The PyTorch side: the modules that were exported, run chunk by chunk as the runtime runs its graphs.

Only this module and its parts, `baseline_session` and `baseline_place`, import PyTorch. Everything around the graph
(checks, padding, folding, cropping) is the runtime's own `edgevae.runtime.stream`, so that both sides do the same work
on the same arrays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgevae.errors import InputError
from edgevae.nn.checkpoint import load_checkpoint
from edgevae.nn.graph import DecoderGraph, EncoderGraph
from edgevae.runtime import stream as streams
from edgevae.runtime.session import Array
from edgevae.runtime.stream import StreamState
from edgevae.spec import GraphSpec, Precision, Role, TensorSpec, VaeSpec
from edgevae_bench.baseline_place import require_gpu
from edgevae_bench.baseline_session import COMPILE, TorchSession

VARIANTS = {
    "eager": torch.contiguous_format,
    "channels_last": torch.channels_last,
    "compile": torch.channels_last,
    "compile_graphs": torch.channels_last,
}
"""Ways to run the network, with the memory format of its weights and of what enters its first layer."""


class TorchCodec:
    """A checkpoint in PyTorch, inference mode; an `edgevae_bench.subjects.Codec`, for tensors on its device too.

    Args:
        checkpoint: The folder.
        variant: One of `VARIANTS`.
        chunk_frames: T of one call, a multiple of the temporal factor.
        threads: CPU threads of one call. PyTorch has one number for the whole process: the last one set counts.
        device: `cpu` or `cuda:N`.
        precision: Of the network; frames are uint8 and latents float32 all the same.

    Raises:
        InputError: no such variant, or `chunk_frames` is no multiple of the temporal factor.
        UnavailableError: a GPU was asked for and this PyTorch has none.
        EdgeVaeError: as `edgevae.nn.load_checkpoint`.
    """

    def __init__(
        self,
        checkpoint: Path,
        *,
        variant: str,
        chunk_frames: int,
        threads: int,
        device: str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        if variant not in VARIANTS:
            raise InputError(
                f"PyTorch baseline: got {variant!r}, expected one of {', '.join(VARIANTS)}"
            )
        _set_up(device, threads)
        memory_format = VARIANTS[variant]
        vae = load_checkpoint(checkpoint)
        vae.to(  # type: ignore[call-overload]  # torch's overloads leave the format out
            device=device,
            dtype=torch.float16 if precision == "fp16" else torch.float32,
            memory_format=memory_format,
        )
        self.spec: VaeSpec = vae.spec
        self.chunk_frames = chunk_frames
        if chunk_frames % self.spec.temporal_factor:
            raise InputError(
                f"{checkpoint}: chunks of {chunk_frames} frames, expected a multiple of {self.spec.temporal_factor}"
            )
        for network in (vae.encoder, vae.decoder):
            _pin_format(network, memory_format)
        graphs = [
            _graph(role, self.spec, chunk_frames, precision) for role in ("encoder", "decoder")
        ]
        compiled = variant if variant in COMPILE else None
        encoder = EncoderGraph(vae, chunk_frames=chunk_frames).eval()
        decoder = DecoderGraph(vae, chunk_frames=chunk_frames).eval()
        self._encoder = TorchSession(encoder, graphs[0], compiled=compiled)
        self._decoder = TorchSession(decoder, graphs[1], compiled=compiled)

    def stream(self, *, height: int, width: int, batch: int = 1) -> StreamState:
        """Return the state of a stream at its first frame."""
        cell_px = self.spec.spatial_factor
        return streams.start(
            self._encoder, self._decoder, batch=batch, height=height, width=width, cell_px=cell_px
        )

    def encode_chunk(
        self, frames: Array, state: StreamState, *, out: Array | None = None, stream: object = None
    ) -> tuple[Array, StreamState]:
        """Return the latents of one chunk and the next state; see `stream.encode_chunk`."""
        cell_px = self.spec.spatial_factor
        return streams.encode_chunk(
            self._encoder, frames, state, cell_px=cell_px, out=out, stream=stream
        )

    def decode_chunk(
        self, latents: Array, state: StreamState, *, out: Array | None = None, stream: object = None
    ) -> tuple[Array, StreamState]:
        """Return the frames of one chunk and the next state; see `stream.decode_chunk`."""
        spec = self.spec
        return streams.decode_chunk(
            self._decoder,
            latents,
            state,
            cell_px=spec.spatial_factor,
            channels=spec.latent_channels,
            out=out,
            stream=stream,
        )


def _set_up(device: str, threads: int) -> None:
    """Make PyTorch as fast as it is asked to be on a device, in arithmetic that is what its name says."""
    torch.set_num_threads(threads)
    if device == "cpu":
        return
    require_gpu(device)
    torch.cuda.set_device(device)
    torch.backends.cudnn.benchmark = True
    # On by default, TF32 keeps 10 bits of a float32.
    torch.backends.cudnn.allow_tf32 = False


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


def _graph(role: Role, spec: VaeSpec, chunk_frames: int, precision: Precision) -> GraphSpec:
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
        precision=precision,
        file="",
        chunk_frames=chunk_frames,
        inputs=inputs,
        outputs=(result,),
    )
