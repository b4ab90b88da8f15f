"""How the blocks of a picture move along their edges, from frame to frame: normal flow, without a weight to learn.

over the pixels of a block:   flow = - sum [Ix It, Iy It] / sum (Ix Ix + Iy Iy + 2 edge)

Horn and Schunck 1981 call it the component of motion along the gradient. It is a product of differences in space and
time, which a few convolutions and ReLU do not learn from some thousand windows. Where the picture has edges of all
directions it is half the motion; the network makes of it what it can. Plain arithmetic, in float32 in every graph.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgevae.motion_tracks import EDGE

MOST_PX = 4.0
"""A frame, to each side: at a cut between scenes it would be anything."""


def normal_flow(pixels: Tensor, frames: int, *, block_px: int) -> Tensor:
    """Return the flow between neighbouring frames, `[B, 2*(T-1), H/block, W/block]`: x of all pairs, then y, in pixels.

    Args:
        pixels: `[B, 3*T, H, W]` in -1..1.
        frames: T, two at least.
        block_px: Side of a block, which divides H and W.
    """
    height, width = pixels.shape[2:]
    colours = pixels.reshape(-1, 3, height, width)
    grey = 0.1495 * colours[:, :1] + 0.2935 * colours[:, 1:2] + 0.057 * colours[:, 2:]
    grey = grey.reshape(-1, frames, height, width)
    before, after = grey[:, :-1], grey[:, 1:]
    between, dt = 0.5 * (before + after), after - before
    dx = 0.5 * (_next(between, 3) - _last(between, 3))
    dy = 0.5 * (_next(between, 2) - _last(between, 2))
    edges = F.avg_pool2d(dx * dx + dy * dy, block_px) + 2.0 * EDGE
    flow = torch.cat([F.avg_pool2d(d * dt, block_px) / edges for d in (dx, dy)], 1)
    return torch.clamp(-flow, -MOST_PX, MOST_PX)


def _next(x: Tensor, axis: int) -> Tensor:
    """Return each pixel's neighbour to the right or below; the last one is its own."""
    size = x.shape[axis]
    return torch.cat([x.narrow(axis, 1, size - 1), x.narrow(axis, size - 1, 1)], axis)


def _last(x: Tensor, axis: int) -> Tensor:
    """Return each pixel's neighbour to the left or above; the first one is its own."""
    return torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, x.shape[axis] - 1)], axis)
