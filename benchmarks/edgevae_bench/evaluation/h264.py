"""The same frames through x264 at no more than a number of bytes: what a video codec makes of a model's bits.

    libx264, preset medium, no tune                  its defaults, psychovisual optimisation included, which costs PSNR
    one thread                                       so that a stream does not depend on the cores. Even so x264 (core
                                                     165) repeats itself only to some tenths of a percent, a
                                                     hundredth of a dB (not so with mbtree=0)
    CRF searched in steps of 1/16                    the best quality whose bytes fit
    4:2:0, BT.709 limited range                      as nearly all video is; 4:4:4 where a side is odd

Every byte of the stream counts, its headers included; no container is made. Frames are 8-bit RGB on both sides, so the
way to 4:2:0 and back is part of the loss: `colour_mse` says how much of it.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter

from edgevae.frames import Frames
from edgevae.video import colour

PRESET = "medium"
"""x264's own default."""

STEPS_PER_CRF = 16
"""CRF is searched in steps of one sixteenth: a step changes the size by less than 1 %."""

FIRST_CRF, HALVING_CRF, GUESSES = 23, 6.0, 8
"""Where the search begins (x264's default), what CRF halves a stream, and how often it guesses before it bisects."""

WORST_CRF = 51
"""The largest that x264 knows; 0 is the best, and lossless."""

RATE = Fraction(25)
"""Frames a second that x264 is told; CRF's look-ahead hardly depends on it."""

FrameSource = Callable[[], Iterable[Frames]]
"""Gives the clip from its start, as arrays `[n, H, W, 3]`; called once for every encoding."""


@dataclass(frozen=True)
class Encoded:
    """A clip as an H.264 stream."""

    crf: float
    """Quality that was asked for, 0 (best) to 51."""
    packets: tuple[bytes, ...]
    """The stream, packet by packet, in the order of decoding."""

    @property
    def size_bytes(self) -> int:
        """All of it, headers included."""
        return sum(map(len, self.packets))

    @property
    def x264(self) -> str | None:
        """The version that x264 writes into its streams."""
        match = re.search(rb"x264 - (core \d+[^-\0]*)", b"".join(self.packets[:1]))
        return match[1].decode(errors="replace").strip() if match else None


def encode_within(source: FrameSource, budget_bytes: int) -> Encoded | None:
    """Return the clip at the best CRF whose stream is at most `budget_bytes` long; None where even the worst is longer.

    About six encodings: the logarithm of the length falls nearly in a line with CRF, so the next try is where the line
    through the last two meets the budget, but always between what was too long and what fitted.
    """
    low, high = -1, WORST_CRF * STEPS_PER_CRF + 1  # too long; fits: neither has been tried
    step, best, before, slope = FIRST_CRF * STEPS_PER_CRF, None, None, HALVING_CRF * STEPS_PER_CRF
    for attempt in itertools.count(1):
        tried = encode(source, step / STEPS_PER_CRF)
        halvings = math.log2(tried.size_bytes / budget_bytes)
        if halvings <= 0:
            best, high = tried, step
        else:
            low = step
        if high - low == 1:
            return best
        if before is not None and before[1] != halvings:
            slope = min(max((step - before[0]) / (before[1] - halvings), slope / 3), slope * 3)
        before, guess = (step, halvings), step + math.ceil(halvings * slope)
        step = min(max(guess, low + 1), high - 1) if attempt < GUESSES else (low + high) // 2
    raise AssertionError("the search ends when no step is left")


def encode(source: FrameSource, crf: float) -> Encoded:
    """Return the clip as x264 encodes it at one CRF."""
    context: VideoCodecContext | None = None
    reformatter, packets = VideoReformatter(), list[bytes]()
    for count, picture in enumerate(_pictures(source)):
        if context is None:
            context = _open_encoder(*picture.shape[:2], crf=crf)
        assert context.pix_fmt is not None, "set when it was opened"
        frame = colour.from_rgb(picture, reformatter, pixel_format=context.pix_fmt)
        frame.pts, frame.time_base = count, 1 / RATE
        packets += [bytes(packet) for packet in context.encode(frame)]
    assert context is not None, "a clip has at least one frame"
    packets += [bytes(packet) for packet in context.encode(None)]
    return Encoded(crf, tuple(packet for packet in packets if packet))


def decode(encoded: Encoded) -> Iterator[Frames]:
    """Yield the frames `[1, H, W, 3]` of a stream, in the order in which they are shown."""
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, VideoCodecContext), "h264 is video"
    context.thread_count = 1
    reformatter = VideoReformatter()
    for packet in (*map(av.Packet, encoded.packets), None):
        for frame in context.decode(packet):
            yield colour.to_rgb(frame, reformatter)[None].copy()


def colour_mse(source: FrameSource) -> float:
    """Return the mean squared error, in levels squared, of the way to the encoder's pixels and back without x264."""
    there, back, errors = VideoReformatter(), VideoReformatter(), list[float]()
    for picture in _pictures(source):
        frame = colour.from_rgb(picture, there, pixel_format=_pixel_format(*picture.shape[:2]))
        again = colour.to_rgb(frame, back).astype(np.int32)
        errors.append(float(np.square(again - picture).mean()))
    return float(np.mean(errors))


def _pictures(source: FrameSource) -> Iterator[Frames]:
    for chunk in source():
        yield from chunk


def _pixel_format(height: int, width: int) -> str:
    return "yuv444p" if height % 2 or width % 2 else "yuv420p"


def _open_encoder(height: int, width: int, *, crf: float) -> VideoCodecContext:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext), "libx264 is video"
    context.width, context.height = width, height
    context.pix_fmt = _pixel_format(height, width)
    context.framerate, context.time_base = RATE, 1 / RATE
    context.thread_count = 1  # with more, the stream depends on how many
    sited = f"chromaloc={colour.CENTRED_CHROMA}"
    options = {"preset": PRESET, "crf": f"{crf:g}", "x264-params": sited}
    context.options = options
    colour.tag(context, rgb=False)
    return context
