"""Streaming of causal video networks that code the first frame alone: what a call remembers, and where a clip begins.

A call takes T frames a clip, always. The first call of a clip has one frame only; before it stand `lead` frames of
filler, which are set to zero in front of every convolution that sees the past, as the network's own padding would be:

    first call     0   0   0   f0   |  next call   f1  f2  f3  f4        4 frames, lead 3
    in half time       0       f0   |              .       .             2 frames, lead 1
    in a quarter               f0   |              .                     1 latent step, lead 0

Whether a clip has begun is a state like any other: `started` `[B, 1, 1, 1]`, 0 before the first call, 1 after it. So
one graph does for all calls, and a runtime knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from edgevae.spec import TensorSpec


class Call:
    """One call of a streaming network: caches that come in, in the order of the layers, and those that go out.

    Args:
        state: `started` and the caches; without it a clip begins here, and every cache is zero.
        batch: B; only read where there is no state.
        like: A tensor of the dtype and device of the caches, likewise.
    """

    def __init__(self, state: tuple[Tensor, ...], *, like: Tensor, batch: int = 1) -> None:
        self.started = state[0] if state else like.new_zeros(batch, 1, 1, 1)
        self.following: list[Tensor] = [torch.ones_like(self.started)]
        self._coming: Iterator[Tensor] | None = iter(state[1:]) if state else None

    def past(self, frames: list[Tensor], *, count: int) -> list[Tensor]:
        """Return the `count` frames before those of this call, and keep the last ones for the next call."""
        if self._coming is None:
            past = [torch.zeros_like(frames[0])] * count
        else:
            past = list(next(self._coming).chunk(count, dim=1))
        self.following.append(torch.cat((past + frames)[-count:], dim=1))
        return past

    def blank(self, frames: list[Tensor], *, lead: int) -> list[Tensor]:
        """Return frames whose first `lead` are zero at the start of a clip."""
        begun = self.started.to(frames[0].dtype)
        return [f * begun if i < lead else f for i, f in enumerate(frames)]

    def choose(self, running: Tensor, at_start: Tensor) -> Tensor:
        """Return the first, or at the start of a clip the second."""
        return torch.where(self.started > 0.5, running, at_start)


class CausalConv(nn.Module):
    """A convolution over each frame and the two before it: one in two dimensions over their channels.

    Args:
        conv: A three-dimensional one with a kernel of 3 in time, whose padding it applies itself.
        padding: Of height and width.
    """

    def __init__(self, conv: nn.Conv3d, *, padding: int) -> None:
        super().__init__()
        out, channels, times, height, width = conv.weight.shape
        assert times == 3, "a kernel of 3 in time"
        self.conv = nn.Conv2d(times * channels, out, (height, width), padding=padding)
        weight = conv.weight.detach().transpose(1, 2).reshape(out, times * channels, height, width)
        self.conv.weight = nn.Parameter(weight)
        self.conv.bias = conv.bias

    def forward(self, x: Tensor, call: Call, *, times: int, lead: int) -> Tensor:
        frames = call.blank(split(x, times), lead=lead)
        seen = call.past(frames, count=2) + frames
        result: Tensor = self.conv(join([torch.cat(seen[i : i + 3], dim=1) for i in range(times)]))
        return result


def flat_conv(conv: nn.Conv3d) -> nn.Conv2d:
    """Return a convolution that sees one position in time as one in two dimensions."""
    out, channels, times, height, width = conv.weight.shape
    assert times == 1, "a kernel of 1 in time"
    flat = nn.Conv2d(channels, out, (height, width))
    flat.weight = nn.Parameter(conv.weight.detach()[:, :, 0])
    flat.bias = conv.bias
    return flat


def split(x: Tensor, times: int) -> list[Tensor]:
    """Return `[B*T, C, H, W]` as T tensors `[B, C, H, W]`, in the order of time."""
    if times == 1:
        return [x]
    _, channels, height, width = x.shape
    return list(x.reshape(-1, times * channels, height, width).chunk(times, dim=1))


def join(frames: list[Tensor]) -> Tensor:
    """Return T tensors `[B, C, H, W]` as `[B*T, C, H, W]`, clip by clip."""
    if len(frames) == 1:
        return frames[0]
    _, channels, height, width = frames[0].shape
    return torch.cat(frames, dim=1).reshape(-1, channels, height, width)


def state_specs(following: list[Tensor], *, prefix: str, height_px: int) -> tuple[TensorSpec, ...]:
    """Return the description of a state, from that of one call without a state.

    Args:
        following: `started` and the caches after a call.
        prefix: encoder or decoder.
        height_px: Height of the frames in that call.
    """
    started, *caches = following
    assert started.shape[1:] == (1, 1, 1), "the flag comes first"
    specs = [TensorSpec(name=f"{prefix}_started", dtype="float32", shape=("batch", 1, 1, 1))]
    for i, cache in enumerate(caches):
        scale = height_px // cache.shape[2]
        size = ("height", "width") if scale == 1 else (f"height/{scale}", f"width/{scale}")
        specs.append(
            TensorSpec(
                name=f"{prefix}_past_{i}", dtype="float32", shape=("batch", cache.shape[1], *size)
            )
        )
    return tuple(specs)
