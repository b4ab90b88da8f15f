"""Latents as 8-bit codes, how many bytes those take, and latents with fewer channels; pure functions.

    code   = round((x - low) / (high - low) * 255)        per channel, low and high over the whole clip
    value  = low + code * (high - low) / 255

Two sizes are given. *Raw* is one byte a latent value. *Entropy-coded* is what an adaptive arithmetic coder makes of the
codes, channel by channel, knowing nothing beforehand and nothing of a value's neighbours: with n(i) codes of value i
among N, coded one after the other at the estimate (n + 1/2) / (N + 128) of Krichevsky and Trofimov (1981), it is

    bits = log2[ Gamma(N + 128) / Gamma(128) ] - sum over i of log2[ Gamma(n(i) + 1/2) / Gamma(1/2) ]

to within two bits; worked out, not coded. A decoder needs nothing else, so no table is forgotten.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from edgevae.errors import InputError
from edgevae.frames import Latents

LEVELS = 256
"""Values of a code."""

RANGE_BYTES = 8
"""Of a channel: its low and its high as float32, which the decoder needs."""

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Ranges:
    """The range of every channel over a clip."""

    low: npt.NDArray[np.float32]
    """`[C]`, the smallest value of each channel."""
    high: npt.NDArray[np.float32]
    """`[C]`, the largest."""


@dataclass(frozen=True, kw_only=True)
class CodedSize:
    """Bytes of a clip's latents as 8-bit codes, the ranges of the channels included."""

    raw_bytes: int
    """One byte a value."""
    entropy_bytes: int
    """By the adaptive arithmetic coder of the module's docstring."""
    zlib_bytes: int
    """By zlib at its best level, channel after channel: what everybody has at hand."""


def measure_ranges(latents: Latents) -> Ranges:
    """Return the range of each channel of latents `[t, C, h, w]`."""
    axes = (0, 2, 3)
    return Ranges(
        latents.min(axis=axes).astype(np.float32), latents.max(axis=axes).astype(np.float32)
    )


def quantise(latents: Latents, ranges: Ranges) -> Codes:
    """Return the codes uint8 `[t, C, h, w]`; values outside of the ranges take the nearest code."""
    low, step = _steps(ranges)
    scaled = (latents.astype(np.float64) - low) / np.where(step > 0, step, 1.0)
    codes: Codes = np.clip(np.rint(scaled), 0, LEVELS - 1).astype(np.uint8)
    return codes


def dequantise(codes: Codes, ranges: Ranges) -> Latents:
    """Return the latents float32 `[t, C, h, w]` that the codes stand for."""
    low, step = _steps(ranges)
    latents: Latents = (low + codes * step).astype(np.float32)
    return latents


def keep_channels(latents: Latents, channels: int) -> Latents:
    """Return latents `[t, C, h, w]` with all channels from number `channels` on at 0, which is the mean in unit scale.

    Raises:
        InputError: there are fewer channels, or none is to be kept.
    """
    if not 1 <= channels <= latents.shape[1]:
        raise InputError(
            f"channels: got {channels}, expected 1 to {latents.shape[1]}, the model's latent channels"
        )
    kept: Latents = latents.copy()
    kept[:, channels:] = 0
    return kept


def coded_size(codes: Codes) -> CodedSize:
    """Return how many bytes codes uint8 `[t, C, h, w]` take."""
    channels = codes.shape[1]
    side_bytes = channels * RANGE_BYTES
    planes = np.ascontiguousarray(
        codes.swapaxes(0, 1)
    )  # [C, t, h, w]: one channel's values together
    bits = sum(_adaptive_bits(plane) for plane in planes)
    return CodedSize(
        raw_bytes=codes.size + side_bytes,
        entropy_bytes=math.ceil(bits / 8) + side_bytes,
        zlib_bytes=len(zlib.compress(planes.tobytes(), 9)) + side_bytes,
    )


def _adaptive_bits(codes: Codes) -> float:
    """Return the length of one channel's adaptive arithmetic code, in bits."""
    counts = np.bincount(codes.ravel(), minlength=LEVELS)
    nats = (
        gammaln(codes.size + LEVELS / 2)
        - gammaln(LEVELS / 2)
        - float((gammaln(counts + 0.5) - gammaln(0.5)).sum())
    )
    return float(nats) / math.log(2)


def _steps(ranges: Ranges) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return low and the step from code to code, to be broadcast over `[t, C, h, w]`; 0 for a channel of one value."""
    low = ranges.low.astype(np.float64)[:, None, None]
    return low, (ranges.high.astype(np.float64)[:, None, None] - low) / (LEVELS - 1)
