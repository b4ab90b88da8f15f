"""What an evaluation of generated clips found: the JSON document, and its table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevae_bench.versioned import document_bytes, read_document

SCHEMA, SCHEMA_VERSION = "edgevae-generation", 1
"""What the document is."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One subject."""

    name: str
    """What makes the clips."""
    sha256: str | None
    """Of a model's bundle; None for what the evaluation makes itself."""
    pairs: int
    """How many of the 55 pairs of digits occur."""
    digits: int
    """How many of the ten digits occur."""
    entropy_bits: float
    """Of the pairs; real clips have about 5.6."""
    frechet: float
    """Fréchet distance to the reference in the classifier's features of all frames."""
    precision: float
    """Share of clips that lie among the reference's."""
    recall: float
    """Share of the reference's clips that lie among these."""
    confidence: float
    """Probability that the classifier gives to the pair that a clip shows, mean."""
    kept_pair: float
    """Share of clips whose second half shows the same pair as their first."""
    change_levels: float
    """Absolute difference from frame to frame, in levels of 255."""
    speed_px: float
    """How far the centre of brightness moves in a frame."""
    turn_px: float
    """How much that movement changes from a frame to the next."""
    psnr_dB: float | None = None
    """Of the reconstruction of the reference's clips, by what can do that."""


@dataclass(frozen=True, kw_only=True)
class GenerationResult:
    """The document."""

    schema: str
    """`SCHEMA`."""
    schema_version: int
    """`SCHEMA_VERSION`."""
    edgevae_version: str
    """Which edgevae measured."""
    digits_sha256: str
    """Of the test digits' pixels."""
    classifier_sha256: str
    """Of the weights that told digits apart."""
    classifier_frame_accuracy: float
    """Share of the reference's frames whose pair it tells right."""
    classifier_clip_accuracy: float
    """Share of its clips, by the vote of their frames."""
    clips: int
    """How many of each subject."""
    frames: int
    """How many of each clip."""
    seed: int
    """That models were given."""
    rows: tuple[Row, ...]
    """Measured by the same code against the same reference."""


def to_json(result: GenerationResult) -> bytes:
    """Return the document's bytes."""
    return document_bytes(result)


def read(path: Path) -> GenerationResult:
    """Return a document.

    Raises:
        IncompatibleError: it is none of this version.
    """
    return read_document(path, GenerationResult, schema=SCHEMA, version=SCHEMA_VERSION)


_HEAD = (
    "| | pairs | digits | entropy | Fréchet | precision | recall | sure | same pair | change | speed | turn | PSNR |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
)


def table(result: GenerationResult) -> str:
    """Return the rows as Markdown."""
    lines = list(_HEAD)
    for row in result.rows:
        psnr = "" if row.psnr_dB is None else f"{row.psnr_dB:.1f}"
        shares = (row.precision, row.recall, row.confidence, row.kept_pair)
        figures = [str(row.pairs), str(row.digits), f"{row.entropy_bits:.2f}", f"{row.frechet:.2f}"]
        figures += [f"{share:.2f}" for share in shares]
        figures += [f"{row.change_levels:.1f}", f"{row.speed_px:.2f}", f"{row.turn_px:.2f}", psnr]
        lines.append(f"| {row.name} | {' | '.join(figures)} |")
    return "\n".join(lines) + "\n"
