"""Options of the commands that cut frames into tiles."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgevae.errors import InputError

if TYPE_CHECKING:
    from edgevae.runtime.tiling import Tiling
    from edgevae.spec import Role

F = TypeVar("F", bound=Callable[..., Any])  # Any: click commands take whatever their options are

UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

READ, WRITE = (5, 12), (4, 90)
"""Chunks and single frames that reading and writing a file hold, each frame counted as RGB.

Chunks: those that wait in a queue, the one being made, and the one in use (`edgevae.video.stages`). Frames: what the
process was seen to take beside them with FFmpeg 8 on 2 cores; H.264's encoder looks 40 frames ahead."""


def tile_options(function: F) -> F:
    """Add --tile and --max-memory."""
    options = (
        click.option(
            "--tile",
            "tile_px",
            type=click.IntRange(min=1),
            metavar="PX",
            help="Cut frames into tiles with sides of PX pixels, margins included; see docs/tiling.md.",
        ),
        click.option(
            "--max-memory",
            metavar="SIZE",
            help="Cut frames into the largest tiles that fit into SIZE by estimate, such as 2GB or 900MiB; on the CPU.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def tiling_of(command: str, *, tile_px: int | None, max_memory: str | None) -> Tiling:
    """Return what the options of `encode`, `decode` or `reconstruct` come to.

    Raises:
        InputError: the size is none, or both options were given.
    """
    from edgevae.runtime.tiling import Tiling

    work: dict[str, tuple[tuple[Role, ...], tuple[int, int]]] = {
        "encode": (("encoder",), READ),
        "decode": (("decoder",), WRITE),
        "reconstruct": (("encoder", "decoder"), (READ[0] + WRITE[0], READ[1] + WRITE[1])),
    }
    roles, (chunks, frames) = work[command]
    return Tiling(
        tile_px=tile_px,
        max_memory_bytes=None if max_memory is None else parse_bytes(max_memory),
        roles=roles,
        held_chunks=chunks,
        held_frames=frames,
        report=lambda text: click.echo(f"edgevae: {text}", err=True),
    )


def parse_bytes(text: str) -> int:
    """Return the bytes of a size such as `2GB` or `1.5 GiB`.

    Raises:
        InputError: it is no positive number with a unit.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kKMG]i?B)", text)
    size = float(match[1]) * UNITS.get(match[2], 0) if match else 0
    if size < 1:
        raise InputError(
            f"max memory: got {text!r}, expected a number with kB, MB, GB, KiB, MiB or GiB"
        )
    return int(size)
