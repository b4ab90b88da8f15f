"""Write uint8 RGB frames with their timestamps as H.264 in MP4, MOV or MKV, or one frame as PNG; whole file or none.

    .mp4 .mov .mkv    H.264, BT.709, limited range, tagged so; 4:2:0 for even sizes
                      4:4:4 for odd sizes, because 4:2:0 would cut a row or column (some players do not show 4:4:4)
                      lossless: H.264 in RGB, every bit kept (few players show it; FFmpeg, mpv and VLC do)
    .png              one frame, always lossless

Timestamps are kept exactly in MP4 and MOV; MKV keeps them to 1 ms.
"""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol

import av
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from edgevae.errors import InputError
from edgevae.files import atomic_file
from edgevae.frames import Frames, check_frames
from edgevae.video import colour
from edgevae.video.clip import ClipFormat, Timestamps
from edgevae.video.container import writing
from edgevae.video.sound import SoundCopy, SoundTrack
from edgevae.video.still import PngWriter

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""The video files that can be written, with FFmpeg's name of their format."""

_SUFFIXES = ".mp4, .mov, .mkv, or .png for one frame"

DEFAULT_CRF = 18
"""Quality of H.264, 0 (best) to 51: at 18 the loss is hard to see and well below that of a VAE."""


class FrameSink(Protocol):
    """An open output: write groups of frames inside its `with`; the file is there when that ends without an error."""

    def __enter__(self) -> FrameSink: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def write(self, frames: Frames, pts: Timestamps) -> None:
        """Append frames `[n, H, W, 3]` with timestamps `[n]`, which increase strictly over the whole clip."""


def open_writer(
    path: str | Path,
    clip: ClipFormat,
    *,
    crf: int | None = None,
    lossless: bool = False,
    sound: SoundTrack | None = None,
) -> FrameSink:
    """Return a writer for the file, chosen by its suffix; `VideoWriter` says what the arguments are.

    Raises:
        InputError: an unknown suffix, or an option or sound that the file cannot have.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        return VideoWriter(path, clip, crf=crf, lossless=lossless, sound=sound)
    if crf is not None:
        raise InputError(
            f"{path}: a PNG is lossless and has no quality; leave --crf out or write a .mp4 or .mkv"
        )
    if sound is not None:
        raise InputError(
            f"{path}: a PNG is silent; leave the sound out (--no-sound) or write a .mp4 or .mkv"
        )
    return PngWriter(path)


class VideoWriter:
    """An H.264 file in the making, under a hidden name until it is whole.

    Args:
        path: Where it goes, ending in .mp4, .mov or .mkv.
        clip: Size, time base, rate and pixel aspect of the clip.
        crf: Quality, 0 (best) to 51; `DEFAULT_CRF` if None.
        lossless: Keep every bit of the RGB frames.
        sound: A track to copy; its source stays open until this writer is done.

    Raises:
        InputError: an unknown suffix, both `crf` and `lossless`, or a quality out of range.
    """

    def __init__(
        self,
        path: Path,
        clip: ClipFormat,
        *,
        crf: int | None = None,
        lossless: bool = False,
        sound: SoundTrack | None = None,
    ) -> None:
        if path.suffix.lower() not in FORMATS:
            raise InputError(
                f"{path}: cannot write {path.suffix or 'a file without suffix'}, expected {_SUFFIXES}"
            )
        if crf is not None and lossless:
            raise InputError("crf and lossless exclude each other; give one of them")
        if crf is not None and not 0 <= crf <= 51:
            raise InputError(f"crf: got {crf}, expected 0 (best) to 51")
        self._path = path
        self._clip = clip
        self._crf = DEFAULT_CRF if crf is None else crf
        self._lossless = lossless
        self._track = sound
        self._reformatter = VideoReformatter()
        self._last: int | None = None

    def __enter__(self) -> VideoWriter:
        with writing(self._path), contextlib.ExitStack() as stack:
            partial = stack.enter_context(atomic_file(self._path))
            # A Python file, so that it is closed whatever FFmpeg does: a muxer that fails to begin leaves its own open.
            file = stack.enter_context(partial.open("wb"))
            self._container = av.open(
                file,
                "w",
                format=FORMATS[self._path.suffix.lower()],
                container_options=self._container_options(),
            )
            stack.push(self._finish)
            self._stream = self._add_stream()
            self._sound = (
                SoundCopy(self._container, self._track, target=self._path) if self._track else None
            )
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.__exit__(kind, error, trace)

    def write(self, frames: Frames, pts: Timestamps) -> None:
        """Append frames `[n, H, W, 3]` with timestamps `[n]`, which increase strictly over the whole clip.

        Raises:
            InputError: another size than the clip's, another number of timestamps, or one that does not increase.
            EdgeVaeError: the disk is full, or the encoder fails.
        """
        height, width = check_frames(frames).shape[1:3]
        if (width, height) != (self._clip.width_px, self._clip.height_px) or len(frames) != len(
            pts
        ):
            raise InputError(
                f"{self._path}: got {len(frames)} frames of {width}x{height} and {len(pts)} timestamps, "
                f"expected {self._clip.width_px}x{self._clip.height_px} and a timestamp each"
            )
        for picture, stamp in zip(frames, pts.tolist(), strict=True):
            if self._last is not None and stamp <= self._last:
                raise InputError(
                    f"{self._path}: timestamp {stamp} after {self._last}, expected a larger one"
                )
            self._last = stamp
            with writing(self._path):
                frame = colour.from_rgb(picture, self._reformatter, pixel_format=self._pixel_format)
                frame.pts, frame.time_base = stamp, self._clip.time_base
                self._mux(frame)

    @property
    def _pixel_format(self) -> str:
        if self._lossless:
            return "rgb24"
        return "yuv444p" if self._clip.width_px % 2 or self._clip.height_px % 2 else "yuv420p"

    def _container_options(self) -> dict[str, str]:
        """Return the muxer's options: in MP4 a unit in which clip and sound can begin at their exact times.

        Where a track begins is counted in units of the whole movie, by default 1 ms.
        """
        if self._path.suffix.lower() == ".mkv":
            return {}
        sound = self._track.template.time_base if self._track else None
        units = math.lcm(self._clip.time_base.denominator, sound.denominator if sound else 1000)
        return {"movie_timescale": str(units)} if units < 1 << 31 else {}

    def _add_stream(self) -> VideoStream:
        clip = self._clip
        codec, crf = ("libx264rgb", 0) if self._lossless else ("libx264", self._crf)
        # Against the default "medium": 2.4 times as fast, 5 % larger (360p, crf 18).
        options = {"crf": str(crf), "preset": "veryfast"}
        if not self._lossless:
            options["x264-params"] = f"chromaloc={colour.CENTRED_CHROMA}"
        stream = self._container.add_stream(codec, rate=clip.rate or Fraction(25), options=options)
        assert isinstance(stream, VideoStream), "both codecs are video"
        stream.width, stream.height = clip.width_px, clip.height_px
        stream.pix_fmt = self._pixel_format
        context = stream.codec_context
        context.time_base = clip.time_base
        context.sample_aspect_ratio = clip.pixel_aspect
        colour.tag(context, rgb=self._lossless)
        return stream

    def _mux(self, frame: av.VideoFrame | None) -> None:
        """Encode a frame, or with None what the encoder still holds; copy the sound up to there before it."""
        for packet in self._stream.encode(frame):
            if self._sound is not None and packet.dts is not None:
                self._sound.advance(float(packet.dts * packet.time_base))
            self._container.mux(packet)

    def _finish(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the container; where the `with` ended well, with all that belongs into it."""
        if kind is not None:
            with contextlib.suppress(
                av.FFmpegError, OSError, ValueError
            ):  # the error on its way says more
                self._container.close()
            return
        if self._last is None:
            raise InputError(f"{self._path}: no frame was given, expected at least one")
        with writing(self._path):
            self._mux(None)
            if self._sound is not None:
                self._sound.advance(float("inf"))
            self._container.close()
