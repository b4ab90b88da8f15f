"""Whether a halo is as small as somebody's specification says: what tiles rely on, and what nothing else would notice.

    strip      |. . . . . . . . . . . .|        noise, lying and standing
    tile           |h h h k k h h h|            a part of the same noise, by itself
    compared             |k k|                  h: the halo; here both must agree

A network that sees further than its specification says makes something else of the tile, since it pads where the frame
goes on. Tiles of such a model would be called exact and have seams.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgevae.errors import ConfigError
from edgevae.runtime.stitching import layouts
from edgevae.spec import Role, VaeSpec
from edgevae.tiles import Span
from edgevae_export.runs import Run
from edgevae_export.verify import Gates

INNER, AROUND, WIDE = 2, 2, 4
"""In cells: what is compared along the side that is cut, what the tile leaves out there, and the other side."""


def require_halos(
    runs: Mapping[Role, Run],
    spec: VaeSpec,
    *,
    chunk_frames: int,
    where: str,
    gates: Gates | None = None,
) -> None:
    """Compare tiles with whole frames where a halo is finite, over two chunks, in float32.

    Args:
        runs: Encoder and decoder.
        spec: What they are said to be.
        chunk_frames: Of one call.
        where: Who says so, for the message.
        gates: How much may differ, since a frame of another size may be rounded otherwise.

    Raises:
        ConfigError: what a graph gives depends on more than the halo.
    """
    gates = gates or Gates()
    for role, run in runs.items():
        halo = spec.halo_cells(role)
        if halo is None:
            continue
        seen = _difference(run, spec, role, halo=halo, chunk_frames=chunk_frames)
        most = gates.fp32_latents if role == "encoder" else gates.fp32_frames_levels
        if not seen <= most:  # so that NaN fails
            key = "encoder_halo_px" if role == "encoder" else "decoder_halo_cells"
            said = getattr(spec, key)
            what = "latents" if role == "encoder" else "frames, in levels,"
            raise ConfigError(
                f"{where}: {key} is {said}, but what is further away changes the {role}'s {what} by {seen:.2g}, "
                f"expected at most {most:g}; give the right number, or None (null) for the whole frame"
            )


def _difference(run: Run, spec: VaeSpec, role: Role, *, halo: int, chunk_frames: int) -> float:
    """Return the largest difference between the middle of a strip and the same of a tile, lying and standing."""
    source, target = layouts(role, cell_px=spec.spatial_factor)
    past = AROUND + 2 * halo + INNER
    tile, across = Span(AROUND, past, AROUND + halo, AROUND + halo + INNER), Span(0, WIDE, 0, WIDE)
    kept, inner, full = (tile.keep_first, tile.keep_past), (halo, halo + INNER), (0, WIDE)
    found = 0.0
    for is_standing in (False, True):
        lying = (WIDE, past + AROUND)
        cells = lying[::-1] if is_standing else lying
        data = _noise(spec, role, cells=cells, frames=2 * chunk_frames)
        part = source.cut(data, *((tile, across) if is_standing else (across, tile)))
        places = [(side, full) if is_standing else (full, side) for side in (kept, inner)]
        expected, got = run(data)[target.at(*places[0])], run(part)[target.at(*places[1])]
        difference = np.abs(expected.astype(np.float64) - got.astype(np.float64)).max()
        found = float(np.maximum(found, difference))  # NaN stays
    return found


def _noise(spec: VaeSpec, role: Role, *, cells: tuple[int, int], frames: int) -> np.ndarray:
    random, (height, width) = np.random.default_rng(0), cells
    if role == "decoder":
        shape = (frames // spec.temporal_factor, spec.latent_channels, height, width)
        return random.standard_normal(shape).astype(np.float32)
    cell = spec.spatial_factor
    shape = (frames - spec.lead_frames, height * cell, width * cell, 3)
    return random.integers(0, 256, shape, dtype=np.uint8)
