"""What an evaluation found, as data: what the JSON document holds and the tables are made from."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevae.errors import ConfigError, IncompatibleError, InputError
from edgevae.files import write_atomically
from edgevae.spec import Precision
from edgevae.strict import from_dict, to_dict
from edgevae_bench.evaluation.coding import CodedSize
from edgevae_bench.quality import Quality

SCHEMA, SCHEMA_VERSION = "edgevae-evaluation", 1

DIGITS = 6
"""Significant digits of a number in the JSON document."""

MODEL, LATENTS_8BIT, FP16_GRAPHS, PYTORCH_HALF = (
    "model",
    "latents_8bit",
    "fp16_graphs",
    "pytorch_half",
)
X264_RAW, X264_ENTROPY = "x264_raw", "x264_entropy"
CHANNELS = "channels_"
"""What stands before the number of channels in the name of that variant."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """How near a reconstruction is to its source. A PSNR is None where all values are equal: it is infinite."""

    psnr_db: float | None
    """Of the mean squared error of the clip."""
    worst_frame: int
    """Index of the frame with the largest error."""
    worst_frame_psnr_db: float | None
    """Its PSNR."""
    ssim: float | None
    """Mean over the frames; None where they are too small."""
    ms_ssim: float | None
    """Mean over the frames; None where they are too small."""
    boundary_flicker_ratio: float | None
    """See `quality.Quality`; for x264, which has no such boundaries, at the same frames as for the model."""
    sharpness_db: tuple[float | None, ...] | None = None
    """Of the clip in each of `sharpness.BANDS`, finest first: its power against the source's; None in a band where one
    of both has none. None where the frames are too small, and in documents from before this was measured."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A clip as x264 encoded it."""

    crf: float
    """What the search ended at."""
    stream_bytes: int
    """The whole stream."""
    budget_bytes: int
    """What it was allowed."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant on one clip."""

    variant: str
    """`model`, `latents_8bit`, `channels_N`, `fp16_graphs`, `pytorch_half`, `x264_raw` or `x264_entropy`."""
    score: Score
    """Against the source."""
    stream: Stream | None = None
    """Of x264."""


@dataclass(frozen=True, kw_only=True)
class ClipFigures:
    """All variants on one clip under one protocol."""

    protocol: str
    """`native`, or the size as `256x256`."""
    clip: str
    """Name of the file without its suffix."""
    sha256: str
    """Of the file."""
    frames: int
    """How many were compared."""
    height_px: int
    """Of the frames that were compared."""
    width_px: int
    """Of the frames that were compared."""
    rows: tuple[Row, ...]
    """One per variant, `model` first."""
    size: CodedSize | None = None
    """Of the 8-bit latents, where they were made."""
    colour_mse: float | None = None
    """Of the way to x264's pixels and back, in levels squared; None without x264."""

    def score(self, variant: str) -> Score | None:
        """Return the score of a variant; None where it was not measured."""
        return next((row.score for row in self.rows if row.variant == variant), None)

    def bits_per_px(self, size_bytes: int) -> float:
        """Return bytes of this clip as bits per pixel of its frames."""
        return size_bytes * 8 / (self.frames * self.height_px * self.width_px)


@dataclass(frozen=True, kw_only=True)
class EvaluatedModel:
    """What was evaluated, and in what."""

    name: str
    """Of the model."""
    model_sha256: str
    """Of weights and specification: the same in whatever bundle the model comes."""
    temporal_factor: int
    """Frames per latent step."""
    spatial_factor: int
    """Pixels per latent cell, on each side."""
    latent_channels: int
    """C."""
    backend: str
    """What ran the graphs."""
    device: str
    """Where."""
    precision: Precision
    """Of the graphs."""

    def compression_ratio(self, channels: int | None = None) -> float:
        """Return values of the frames per value of the latents, of all channels or of so many."""
        return (
            3 * self.temporal_factor * self.spatial_factor**2 / (channels or self.latent_channels)
        )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything that a run found."""

    schema: str
    """`SCHEMA`."""
    schema_version: int
    """`SCHEMA_VERSION`; raised when a key changes its meaning or goes."""
    created_utc: str
    """ISO 8601."""
    command: tuple[str, ...]
    """The command line; of paths only the names."""
    versions: dict[str, str]
    """Of what the figures depend on, by name."""
    model: EvaluatedModel
    """The model."""
    max_frames: int | None
    """Frames from the start of each clip; None for all."""
    clips: tuple[ClipFigures, ...]
    """One per protocol and clip."""
    notes: tuple[str, ...]
    """What a reader must know before believing the figures."""

    @property
    def protocols(self) -> tuple[str, ...]:
        """Return their names, in the order in which they were measured."""
        return tuple(dict.fromkeys(clip.protocol for clip in self.clips))

    def under(self, protocol: str) -> tuple[ClipFigures, ...]:
        """Return the clips measured under a protocol."""
        return tuple(clip for clip in self.clips if clip.protocol == protocol)


def score_of(quality: Quality, *, sharpness_db: tuple[float | None, ...] | None) -> Score:
    """Return the score of a clip that was compared with its source; an infinite figure becomes None."""
    return Score(
        psnr_db=finite(quality.psnr_db),
        worst_frame=quality.worst_frame,
        worst_frame_psnr_db=finite(quality.worst_frame_psnr_db),
        ssim=quality.ssim,
        ms_ssim=quality.ms_ssim,
        boundary_flicker_ratio=finite(quality.boundary_flicker_ratio),
        sharpness_db=None if sharpness_db is None else tuple(map(finite, sharpness_db)),
    )


def finite(value: float | None) -> float | None:
    """Return the value, or None where it is infinite."""
    return None if value is None or not math.isfinite(value) else value


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Write the JSON document, six significant digits a number; the file is whole or absent."""
    document = _rounded(to_dict(evaluation))
    write_atomically(path, (json.dumps(document, allow_nan=False, indent=1) + "\n").encode())


def _rounded(value: Any) -> Any:  # Any: JSON-like
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def read_json(path: Path) -> Evaluation:
    """Return the evaluation of a JSON document.

    Raises:
        InputError: the file cannot be read, or is no such document.
        IncompatibleError: it is of another schema version.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise InputError(f"{path}: is not written by `edgevae evaluate --json`")
    if document.get("schema_version") != SCHEMA_VERSION:
        raise IncompatibleError(
            f"{path}: is of schema version {document.get('schema_version')}, this edgevae reads {SCHEMA_VERSION}; "
            "run the evaluation again"
        )
    try:
        return from_dict(Evaluation, document, where=str(path))
    except ConfigError as error:
        raise InputError(f"{error}; run the evaluation again") from error
