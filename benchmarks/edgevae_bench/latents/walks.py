"""Ways through latent space, decoded on the way: from one clip to another, and along one channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgevae.errors import InputError
from edgevae.frames import Frames, Latents
from edgevae.runtime.vae import Vae


@dataclass(frozen=True)
class Way:
    """From one clip to another."""

    shares: tuple[float, ...]
    """Of the second clip, from 0 to 1."""
    spherical: tuple[Frames, ...]
    """What the decoder makes of the latents between, a clip each."""
    faded: tuple[Frames, ...]
    """The pixels of both clips mixed, for comparison."""


@dataclass(frozen=True)
class Traversal:
    """One latent channel moved, all others as they are."""

    channel: int
    """Which."""
    frames: Frames
    """The clip's middle frame at each offset, `[N, H, W, 3]`."""
    levels_per_unit: float
    """Mean change of a pixel, in levels of 255, when the channel moves by one unit: how much it says in the picture."""


def slerp(a: Latents, b: Latents, share: float) -> Latents:
    """Return latents on the great circle from `a` to `b`, with a length between theirs.

    Latents of unit scale lie near a sphere; the straight line between two of them leads through its inside, where there
    are none (White 2016, https://arxiv.org/abs/1609.04468). Where they point the same way, or nowhere, it is the line.
    """
    lengths = [float(np.linalg.norm(latents)) for latents in (a, b)]
    if min(lengths) == 0.0:
        return (1.0 - share) * a + share * b
    one, other = a / lengths[0], b / lengths[1]
    angle = float(np.arccos(np.clip(np.vdot(one, other), -1.0, 1.0)))
    length = (1.0 - share) * lengths[0] + share * lengths[1]
    if np.sin(angle) < 1e-4:
        direction = (1.0 - share) * one + share * other
    else:
        direction = (np.sin((1.0 - share) * angle) * one + np.sin(share * angle) * other) / np.sin(
            angle
        )
    between: Latents = (length * direction).astype(np.float32)
    return between


def way(vae: Vae, a: Frames, b: Frames, *, steps: int) -> Way:
    """Return the way from clip `a` to clip `b`, both `[T, H, W, 3]` of one shape, in so many steps, ends included.

    Raises:
        InputError: the clips differ in shape, or there are fewer steps than the two ends.
    """
    if a.shape != b.shape:
        raise InputError(
            f"clips: got shapes {list(a.shape)} and {list(b.shape)}, expected the same"
        )
    if steps < 2:
        raise InputError(f"steps: got {steps}, expected at least 2, the ends")
    first, second = vae.encode(a), vae.encode(b)
    shares = tuple(float(share) for share in np.linspace(0.0, 1.0, steps))
    made = tuple(_decoded(vae, slerp(first, second, share), like=a) for share in shares)
    faded = tuple(
        np.rint((1.0 - s) * a + s * b.astype(np.float32)).astype(np.uint8) for s in shares
    )
    return Way(shares, made, faded)


def traversals(
    vae: Vae, clip: Frames, *, channels: Sequence[int], offsets: Sequence[float]
) -> tuple[Traversal, ...]:
    """Return what moving each of some channels does to a clip `[T, H, W, 3]`.

    Args:
        vae: The model.
        clip: What is moved.
        channels: Which, below C.
        offsets: In units of the channel's deviation, in order; 0 is the reconstruction.

    Raises:
        InputError: a channel that the model has not.
    """
    latents, middle = vae.encode(clip), len(clip) // 2
    found = []
    for channel in channels:
        if not 0 <= channel < vae.spec.latent_channels:
            raise InputError(
                f"channel: got {channel}, expected 0 to {vae.spec.latent_channels - 1} of this model"
            )
        frames = [
            _decoded(vae, _moved(latents, channel, offset), like=clip)[middle] for offset in offsets
        ]
        unit = [_decoded(vae, _moved(latents, channel, o), like=clip) for o in (-0.5, 0.5)]
        change = np.abs(unit[1].astype(np.int16) - unit[0]).mean()
        found.append(Traversal(channel, np.stack(frames), float(change)))
    return tuple(found)


def _moved(latents: Latents, channel: int, offset: float) -> Latents:
    moved: Latents = latents.copy()
    moved[:, channel] += np.float32(offset)
    return moved


def _decoded(vae: Vae, latents: Latents, *, like: Frames) -> Frames:
    return vae.decode(latents, frames=len(like), size=(like.shape[1], like.shape[2]))
