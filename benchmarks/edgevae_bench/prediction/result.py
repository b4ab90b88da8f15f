"""What an evaluation of a predictor found: the JSON document, and its table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevae_bench.versioned import document_bytes, read_document

SCHEMA, SCHEMA_VERSION = "edgevae-prediction", 1
"""What the document is."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One subject on all clips."""

    name: str
    """Who predicts."""
    mse: float
    """Squared error summed over the pixels of a frame in 0..1, mean over frames and clips."""
    ssim: float
    """Mean over frames and clips."""
    mse_by_frame: tuple[float, ...] = ()
    """The first, the second, ... predicted frame."""
    published: str | None = None
    """Where the figures are from; None where they were measured here."""


@dataclass(frozen=True, kw_only=True)
class PredictionResult:
    """The document."""

    schema: str
    """`SCHEMA`."""
    schema_version: int
    """`SCHEMA_VERSION`."""
    model: str
    """The predictor's name."""
    bundle_sha256: str
    """Digest of its bundle."""
    backend: str
    """What ran it."""
    precision: str
    """Of its graphs."""
    edgevae_version: str
    """Which edgevae measured."""
    digits_sha256: str
    """Of the test digits' pixels."""
    clips: int
    """How many clips."""
    seed: int
    """That they were made from."""
    seen_frames: int
    """Frames that are shown."""
    predicted_frames: int
    """Frames that are to be predicted."""
    rows: tuple[Row, ...]
    """Measured here, by the same code on the same clips."""


PUBLISHED = (
    Row(name="ConvLSTM", mse=103.3, ssim=0.707, published="PredRNN's table"),
    Row(name="PredRNN", mse=56.8, ssim=0.867, published="its authors"),
)
"""On the published 10,000 clips, which the same generator made of other digits and numbers.

Wang et al. 2017, "PredRNN: Recurrent Neural Networks for Predictive Learning using Spatiotemporal LSTMs".
"""


def to_json(result: PredictionResult) -> bytes:
    """Return the document's bytes."""
    return document_bytes(result)


def read(path: Path) -> PredictionResult:
    """Return a document.

    Raises:
        IncompatibleError: it is none of this version.
    """
    return read_document(path, PredictionResult, schema=SCHEMA, version=SCHEMA_VERSION)


def table(result: PredictionResult) -> str:
    """Return the measured rows, and the published ones marked as such, as Markdown."""
    lines = ["| | MSE per frame | SSIM | |", "|---|---:|---:|---|"]
    for row in (*result.rows, *PUBLISHED):
        whose = f"theirs ({row.published}), on the published clips" if row.published else "measured"
        lines.append(f"| {row.name} | {row.mse:.1f} | {row.ssim:.3f} | {whose} |")
    return "\n".join(lines) + "\n"
