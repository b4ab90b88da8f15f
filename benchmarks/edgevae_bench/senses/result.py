"""What an evaluation of a model of several senses found: the JSON document, and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevae_bench.versioned import document_bytes, read_document

SCHEMA, SCHEMA_VERSION = "edgevae-senses", 1
"""What the document is."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What some senses tell, by what they were to tell."""

    given: str
    """Which senses there were."""
    values: dict[str, float]
    """By sense or by factor; what has no value is left out."""


@dataclass(frozen=True, kw_only=True)
class SensesResult:
    """The document."""

    schema: str
    """`SCHEMA`."""
    schema_version: int
    """`SCHEMA_VERSION`."""
    model: str
    """Its name."""
    bundle_sha256: str
    """Digest of its bundle."""
    backend: str
    """What ran it."""
    precision: str
    """Of its graphs."""
    edgevae_version: str
    """Which edgevae measured."""
    data: str
    """What the windows are of."""
    windows: int
    """How many were measured; none was trained on."""
    training_windows: int
    """How many the means, and the readings of factors, are of."""
    deviations: dict[str, float]
    """Root of the squared error of each sense's mean training window: levels of 255, dB, or the unit of the tracks."""
    unexplained: tuple[Row, ...]
    """Squared error as a share of that of the mean training window; below 1 is better than the mean."""
    held_out: str = ""
    """What of a folder's clips the windows are, such as `35% in the middle of 3 s`."""
    factors: tuple[Row, ...] = ()
    """How well true factors are read from the latents by a linear map: R2; of the shape, the share that is right."""


def to_json(result: SensesResult) -> bytes:
    """Return the document's bytes."""
    return document_bytes(result)


def read(path: Path) -> SensesResult:
    """Return a document.

    Raises:
        IncompatibleError: it is none of this version.
    """
    return read_document(path, SensesResult, schema=SCHEMA, version=SCHEMA_VERSION)


def tables(result: SensesResult) -> str:
    """Return both tables as Markdown, with a mean over the factors in the second."""
    text = _table("unexplained share", result.unexplained)
    if result.factors:
        text += "\n" + _table("read from the latents of", result.factors, mean=True)
    return text


def _table(title: str, rows: tuple[Row, ...], *, mean: bool = False) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    lines = [f"| {' | '.join([title, *names, *(['mean'] if mean else [])])} |"]
    lines.append(f"|---|{'---:|' * (len(names) + mean)}")
    for row in rows:
        cells = [f"{row.values[name]:.2f}" if name in row.values else "" for name in names]
        if mean:
            cells.append(f"{sum(row.values.values()) / len(row.values):.2f}")
        lines.append(f"| {' | '.join([row.given, *cells])} |")
    return "\n".join(lines) + "\n"
