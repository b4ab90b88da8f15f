"""Models that come with the package, found by name."""

from __future__ import annotations

import os
from pathlib import Path

from edgevae.errors import InputError

MODELS = Path(__file__).parent.parent / "models"
"""One folder a model: `bundle/` (graphs), `checkpoint/` (weights) and its card."""


def names() -> tuple[str, ...]:
    """Return the names of the shipped models."""
    return (
        tuple(sorted(p.name for p in MODELS.iterdir() if (p / "bundle").is_dir()))
        if MODELS.is_dir()
        else ()
    )


def locate(model: str | os.PathLike[str], *, part: str = "bundle") -> Path:
    """Return the folder of a model given by path or by shipped name; a path that exists comes first.

    Args:
        model: A path or a name.
        part: `bundle` or `checkpoint`: which folder of a shipped model.

    Raises:
        InputError: it is neither.
    """
    path = Path(model)
    if path.exists():
        return path
    if os.fspath(model) in names():
        return MODELS / os.fspath(model) / part
    known = ", ".join(names()) or "none"
    raise InputError(
        f"{os.fspath(model)}: no such path and no shipped model; expected a {part} folder or one of: {known}"
    )
