"""The parity gate: PyTorch in fp32 against the exported graphs, on the same frames, chunk by chunk with state.

                     PyTorch fp32 (reference)
                    /            |           \\
    ONNX Runtime fp32    PyTorch float16    ONNX Runtime fp16
    the fp32 file        true half          the fp16 file; its CPU provider
                         arithmetic         computes in fp32 between casts

Each decoder gets the reference's latents, so that an error of the encoder does not hide one of the decoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from edgevae.errors import ParityError
from edgevae.frames import Frames, Latents, fill_channels, psnr_dB
from edgevae.nn import Vae
from edgevae.nn.vae import initial_state
from edgevae.runtime.onnxruntime import OnnxRuntimeSession
from edgevae.spec import GraphSpec, Precision, Role
from edgevae_export.precision import watch_peaks
from edgevae_export.to_onnx import graph_module

Run = Callable[[np.ndarray], np.ndarray]
"""Runs a whole clip through one graph: `[N, ...]` in, `[N', ...]` out, state carried from chunk to chunk."""


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What an exported graph must keep to."""

    fp32_latents: float = 3e-4
    """Largest difference of latents (unit scale), fp32."""
    fp32_frames_levels: float = 1.0
    """Largest difference of frames, in levels of 255, fp32."""
    fp16_latents: float = 3e-2
    """Largest difference of latents (unit scale), fp16."""
    fp16_frames_levels: float = 8.0
    """Largest difference of frames, in levels of 255, fp16; the runtime asks the same of the golden frames."""
    fp16_psnr_dB: float = 55.0
    """Least PSNR between the fp32 and fp16 frames."""
    fp16_psnr_change_dB: float = 0.05
    """Largest change of the PSNR of the real frames' reconstruction."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One runner against the reference on one clip."""

    runner: str
    """pytorch or onnxruntime."""
    precision: Precision
    """Of the graphs."""
    sample: str
    """real, noise, black or white."""
    latents_max_difference: float
    """Of unit-scale latents; NaN where a value is not finite."""
    frames_max_levels: float
    """Of decoded frames, in levels of 255."""
    frames_psnr_dB: float
    """Between the decoded frames; infinite where they are equal, written as null."""
    reconstruction_psnr_change_dB: float
    """PSNR to the source, less the reference's: of the whole round trip on real frames, of the decoder on others."""
    channels: int | None = None
    """How many latent channels both decoders got, the others being 0; None for all."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was measured; goes into the bundle."""

    gates: Gates
    """What had to be kept."""
    comparisons: tuple[Comparison, ...]
    """Everything that was compared."""
    fp16_peak_activation: float | None
    """Largest absolute value in the half-precision network over all clips; float16 ends at 65504."""
    fp16_peak_layer: str | None
    """The layer that it is in."""
    builds: dict[str, str] = field(default_factory=dict)
    """What TensorRT-RTX made of each graph file."""


@dataclass(frozen=True)
class Reference:
    """What PyTorch gives in fp32 on one clip."""

    clip: Frames
    """uint8 `[T, H, W, 3]`."""
    latents: Latents
    """float32 `[t, C, h, w]`."""
    frames: Frames
    """uint8 `[T, H, W, 3]`, decoded from the latents."""
    channels: int | None = None
    """How many channels of the latents were kept, the others being 0; None for all."""


def references(vae: Vae, clips: dict[str, Frames], *, chunk_frames: int) -> dict[str, Reference]:
    """Return PyTorch's fp32 results on each clip."""
    runs = torch_runs(vae, precision="fp32", chunk_frames=chunk_frames)
    encoded = {name: runs["encoder"](clip) for name, clip in clips.items()}
    return {
        name: Reference(clips[name], latents, runs["decoder"](latents))
        for name, latents in encoded.items()
    }


def torch_runs(
    vae: Vae, *, precision: Precision, chunk_frames: int, peaks: dict[str, float] | None = None
) -> dict[Role, Run]:
    """Return PyTorch's encoder and decoder in a precision; their layers' peaks go into `peaks` while they run."""
    runs: dict[Role, Run] = {}
    roles: tuple[Role, ...] = ("encoder", "decoder")
    for role in roles:
        module = graph_module(vae, role, precision=precision, chunk_frames=chunk_frames)
        if peaks is not None:
            watch_peaks(module, peaks)
        runs[role] = partial(_stream, module, vae, role, chunk_frames)
    return runs


def onnx_runs(models: Sequence[tuple[bytes, GraphSpec]]) -> dict[Role, Run]:
    """Return the exported encoder and decoder in ONNX Runtime."""
    return {graph.role: _onnx_run(model, graph) for model, graph in models}


def compare(
    reference: Reference,
    candidate: dict[Role, Run],
    *,
    runner: str,
    precision: Precision,
    sample: str,
) -> Comparison:
    """Return how a pair of graphs differs from the reference on its clip."""
    latents, frames = candidate["encoder"](reference.clip), candidate["decoder"](reference.latents)
    if reference.channels is not None:
        latents = first_channels(latents, reference.channels)
    # A latent that is not finite must be seen as such, not turned into frames.
    finite = bool(np.isfinite(latents).all())
    round_trip = candidate["decoder"](latents) if finite and sample == "real" else frames
    before, after = psnr_dB(reference.frames, reference.clip), psnr_dB(round_trip, reference.clip)
    return Comparison(
        runner=runner,
        precision=precision,
        sample=sample,
        latents_max_difference=_max_difference(latents, reference.latents) if finite else math.nan,
        frames_max_levels=_max_difference(frames, reference.frames),
        frames_psnr_dB=psnr_dB(frames, reference.frames),
        reconstruction_psnr_change_dB=0.0 if before == after else after - before,
        channels=reference.channels,
    )


def first_channels(latents: Latents, channels: int) -> Latents:
    """Return latents `[t, C, h, w]` as the decoder gets them where only the first channels were kept: else 0."""
    return fill_channels(latents[:, :channels], channels=latents.shape[1])


def check(comparison: Comparison, gates: Gates) -> None:
    """Raise where a comparison is off a gate.

    Raises:
        ParityError: it is, saying which figure and by how much.
    """
    c = comparison
    if c.precision == "fp32":
        _require("latents differ by", c.latents_max_difference, most=gates.fp32_latents, of=c)
        _require(
            "frames differ, in levels, by", c.frames_max_levels, most=gates.fp32_frames_levels, of=c
        )
        return
    _require("latents differ by", c.latents_max_difference, most=gates.fp16_latents, of=c)
    _require(
        "frames differ, in levels, by", c.frames_max_levels, most=gates.fp16_frames_levels, of=c
    )
    _require("frames are apart, in -dB, by", -c.frames_psnr_dB, most=-gates.fp16_psnr_dB, of=c)
    if c.sample == "real":
        change = abs(c.reconstruction_psnr_change_dB)
        _require(
            "reconstruction PSNR changes, in dB, by", change, most=gates.fp16_psnr_change_dB, of=c
        )


@torch.inference_mode()
def _stream(
    module: torch.nn.Module, vae: Vae, role: Role, chunk_frames: int, data: np.ndarray
) -> np.ndarray:
    chunk = chunk_frames if role == "encoder" else chunk_frames // vae.spec.temporal_factor
    h, w = (
        data.shape[1:3]
        if role == "encoder"
        else (n * vae.spec.spatial_factor for n in data.shape[2:])
    )
    like = torch.zeros(1, dtype=next(module.parameters()).dtype)
    state = initial_state(vae.spec.state(role), like, size_px=(h, w))
    parts = []
    for first in range(0, len(data), chunk):
        output, *state = module(torch.from_numpy(data[first : first + chunk]), *state)
        parts.append(output.numpy())
    # PyTorch may give channels-last memory, which safetensors 0.8 writes as if it were not.
    return np.ascontiguousarray(np.concatenate(parts))


def _onnx_run(model: bytes, graph: GraphSpec) -> Run:
    session = OnnxRuntimeSession(model, graph)

    def run(data: np.ndarray) -> Latents:
        cell = 1 if graph.role == "encoder" else 8
        axes = (1, 2) if graph.role == "encoder" else (2, 3)
        chunk = graph.chunk_length
        h, w = (data.shape[axis] * cell for axis in axes)
        state = session.initial_state(batch=1, height_px=h, width_px=w)
        parts = []
        for first in range(0, len(data), chunk):
            output, state = session.run(np.ascontiguousarray(data[first : first + chunk]), state)
            parts.append(output)
        return np.concatenate(parts)

    return run


def _max_difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max())


def _require(what: str, got: float, *, most: float, of: Comparison) -> None:
    if not got <= most:  # so that NaN fails
        part = "" if of.channels is None else f" with {of.channels} channels"
        raise ParityError(
            f"{of.runner} {of.precision} on {of.sample} frames{part}: {what} {got:.4g}, expected at most {most:g}; "
            "nothing was written: keep this precision out with --precision, or train the network to smaller activations"
        )
