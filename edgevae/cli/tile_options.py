"""Options of the commands that cut frames into tiles."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgevae.errors import InputError

if TYPE_CHECKING:
    from edgevae.runtime.tiling import Tiling
    from edgevae.spec import Role

ROLES: dict[str, tuple[Role, ...]] = {
    "encode": ("encoder",),
    "decode": ("decoder",),
    "reconstruct": ("encoder", "decoder"),
}
"""The graphs that a command runs: an encoder's frames are read from a file, a decoder's are written to one."""

F = TypeVar("F", bound=Callable[..., Any])  # Any: click commands take whatever their options are

UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

MOST_BYTES = 2**63 - 1
"""No machine has more; a longer number is a slip."""

READ, WRITE = (5, 3), (3, 27)
"""Chunks and single frames that reading and writing a file hold, each frame counted as RGB.

Chunks: two that wait in a queue (`edgevae.video.stages`), the one in use, and the one that is read, once picture by
picture and once whole. Frames: of FFmpeg 8's H.264, as seen on 2 cores at 4096x2160: 3 to read, 29 to write, since it
looks ahead."""

READ_PER_CORE, WRITE_PER_CORE = 1, 2
"""Frames more for each core: FFmpeg works on several at once."""


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

    roles = ROLES[command]
    chunks = frames = 0
    for role, held, per_core in (
        ("encoder", READ, READ_PER_CORE),
        ("decoder", WRITE, WRITE_PER_CORE),
    ):
        if role in roles:
            chunks += held[0]
            frames += held[1] + per_core * (os.cpu_count() or 1)
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
    if not 1 <= size <= MOST_BYTES:
        raise InputError(
            f"max memory: got {text[:40]!r}, expected a number with kB, MB, GB, KiB, MiB or GiB, such as 2GB"
        )
    return int(size)
