"""The parity gate: PyTorch in fp32 against the exported graphs, on the same frames, chunk by chunk with state.

                   PyTorch fp32, chunk by chunk (reference)
                  /            |           \\          \\
    ONNX Runtime fp32    PyTorch float16    ONNX Runtime fp16    the network's own library
    the fp32 file        true half          the fp16 file; its CPU provider    the whole clip at once, fp32
                         arithmetic         computes in fp32 between casts

Each decoder gets the reference's latents, so that an error of the encoder does not hide one of the decoder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevae.errors import ParityError
from edgevae.frames import Frames, Latents, fill_channels, psnr_dB
from edgevae.roles import Kind
from edgevae.spec import Precision, Role
from edgevae.strict import to_dict
from edgevae_export.exportable import Exportable
from edgevae_export.precision import Peaks
from edgevae_export.runs import Run, remembered, torch_runs


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

    def most(self, kind: Kind, precision: Precision) -> float:
        """Return the largest difference of what a graph gives: latents, or of the same share of its own scale.

        Means and log-variances: twice that of latents. Sound: 10 dB stand for 1. Tracks: the half of a frame does.
        """
        fp32 = precision == "fp32"
        if kind == "frames":
            return self.fp32_frames_levels if fp32 else self.fp16_frames_levels
        scale = {"posterior": 2.0, "sound": 10.0}.get(kind, 1.0)
        return scale * (self.fp32_latents if fp32 else self.fp16_latents)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One runner against the reference on one clip."""

    runner: str
    """pytorch, onnxruntime, or the library that ran the whole clip."""
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
class PartComparison:
    """One runner of a part against the reference on one clip."""

    role: Role
    """Of the part."""
    runner: str
    """pytorch or onnxruntime."""
    precision: Precision
    """Of the graph."""
    sample: str
    """The clip whose latents it was given: real, noise, black or white; of a sense, or `parts` of the senses."""
    max_difference: float
    """Of unit-scale latents, or in the unit of what the graph gives; NaN where a value is not finite."""


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
    fp16_kept_layers: tuple[str, ...] = ()
    """Layers that compute in float32 in the fp16 graphs, by role and name."""
    fp16_widened_layers: tuple[str, ...] = ()
    """Layers whose result is float32 there, because it or a sum behind it would leave float16."""
    fp16_because: dict[str, str] = field(default_factory=dict)
    """Why, for each of these layers."""
    fp16_search_runs: int = 0
    """How often half precision was tried to find them; 1 where what was measured is enough."""
    builds: dict[str, str] = field(default_factory=dict)
    """What TensorRT-RTX made of each graph file."""
    reference: str = "PyTorch fp32"
    """What was compared with."""
    parts: tuple[PartComparison, ...] = ()
    """What was compared of the graphs that are no encoder and decoder."""

    def stored(self) -> dict[str, Any]:  # Any: JSON values
        """Return the dictionary that is stored; `parts` is a key only where there are any."""
        data: dict[str, Any] = to_dict(self)  # Any: JSON values
        if not self.parts:
            del data["parts"]
        return data


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


Expected = Mapping[str, Sequence[Reference]]
"""By clip, the references with all channels and with each nested number of them; see `nested.references`."""


def references(
    exportable: Exportable,
    clips: dict[str, Frames],
    *,
    chunk_frames: int,
    peaks: Mapping[Role, Peaks] | None = None,
) -> dict[str, Reference]:
    """Return PyTorch's fp32 results on each clip; the layers' peaks go into `peaks`, where given."""
    runs = torch_runs(exportable, precision="fp32", chunk_frames=chunk_frames, peaks=peaks)
    encoded = {name: runs["encoder"](clip) for name, clip in clips.items()}
    return {
        name: Reference(clips[name], latents, runs["decoder"](latents))
        for name, latents in encoded.items()
    }


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


def compare_all(
    expected: Expected,
    candidate: dict[Role, Run],
    runner: str,
    *,
    precision: Precision,
    gates: Gates,
) -> tuple[Comparison, ...]:
    """Return how a pair of graphs differs from the references on each clip, all within the gates.

    Raises:
        ParityError: one is off a gate.
    """
    found = list[Comparison]()
    # The encoder's work is the same for every number of channels.
    runs: dict[Role, Run] = {**candidate, "encoder": remembered(candidate["encoder"])}
    for sample, reference in [(s, r) for s, levels in expected.items() for r in levels]:
        found.append(compare(reference, runs, runner=runner, precision=precision, sample=sample))
        check(found[-1], gates)
    return tuple(found)


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


def _max_difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max())


def _require(what: str, got: float, *, most: float, of: Comparison) -> None:
    if not got <= most:  # so that NaN fails
        part = "" if of.channels is None else f" with {of.channels} channels"
        do = (
            "keep this precision out with --precision, or train the network to smaller activations"
            if of.precision == "fp16"
            else "look for values that are not finite, and for arithmetic that depends on the size or the batch"
        )
        raise ParityError(
            f"{of.runner} {of.precision} on {of.sample} frames{part}: {what} {got:.4g}, expected at most {most:g}; "
            f"nothing was written: {do}"
        )


def as_json(result: Verification) -> bytes:
    """Return what is stored of a verification; infinities are null."""
    return (json.dumps(_finite(result.stored()), indent=1) + "\n").encode()


def _finite(value: object) -> object:
    """Return a JSON-like value with infinities as null, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
