"""Read a video file or a still image as small groups of uint8 RGB frames with their timestamps, in constant memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from edgevae.errors import MediaError
from edgevae.frames import Frames
from edgevae.video import colour
from edgevae.video.clip import FrameGroup, FrameSource, VideoInfo
from edgevae.video.container import open_media, reason
from edgevae.video.damage import Damage, declared_packets
from edgevae.video.decoder import decode, video_stream
from edgevae.video.orientation import orientation_of
from edgevae.video.still import StillReader, is_still


def open_video(
    path: str | Path, *, group_frames: int = 4, lead_frames: int = 0, allow_damaged: bool = False
) -> FrameSource:
    """Return an open video or still image, to be used in a `with`.

    Args:
        path: A video, or a PNG, JPEG, WebP, BMP or TIFF image, which is a clip of one frame.
        group_frames: How many frames come at a time; memory grows with it, and with nothing else.
        lead_frames: How many fewer come the first time, as models that code the first frame alone take them.
        allow_damaged: Give what can be read of a damaged or truncated video, and put the damage into `notes`.

    Raises:
        MediaError: missing, not a video or image, without video or without a frame, too large, or turned by an angle
            that is no quarter turn.
    """
    path = Path(path)
    if is_still(path):
        return StillReader(path)
    return VideoReader(
        path, group_frames=group_frames, lead_frames=lead_frames, allow_damaged=allow_damaged
    )


class VideoReader:
    """A video file. Not for two threads at a time, because FFmpeg's decoding is not thread-safe.

    Iterating raises MediaError at the first damage it meets, and at the end where frames are missing, unless
    `allow_damaged`.
    """

    info: VideoInfo
    """What the file says of itself."""
    notes: list[str]
    """What was assumed or lost, one line each; complete when the iteration has ended."""

    def __init__(
        self,
        path: Path,
        *,
        group_frames: int = 4,
        lead_frames: int = 0,
        allow_damaged: bool = False,
    ) -> None:
        self.notes = []
        self._path = path
        self._group_frames, self._lead_frames = group_frames, lead_frames
        self._reformatter = VideoReformatter()
        with contextlib.ExitStack() as stack:
            self._container = stack.enter_context(open_media(path))
            self._stream = video_stream(self._container, path=path)
            self._damage = Damage(path, self._container, self._stream, allowed=allow_damaged)
            self._decoded = decode(self._container, self._stream, self._damage, path=path)
            stack.enter_context(contextlib.closing(self._decoded))
            self._first = next(self._decoded, None)
            if self._first is None:
                raise MediaError(f"{path}: has no frame that can be decoded, expected at least one")
            self.info = self._read_info(self._first)
            self._closing = stack.pop_all()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    def __iter__(self) -> Iterator[FrameGroup]:
        pictures: list[Frames] = []
        stamps: list[int] = []
        wanted = self._group_frames - self._lead_frames
        for picture, stamp in self._pictures():
            pictures.append(picture)
            stamps.append(stamp)
            if len(pictures) == wanted:
                yield FrameGroup(np.stack(pictures), np.array(stamps, np.int64))
                pictures, stamps, wanted = [], [], self._group_frames
        if pictures:
            yield FrameGroup(np.stack(pictures), np.array(stamps, np.int64))
        if self._damage.note:
            self.notes.append(self._damage.note)

    def _pictures(self) -> Iterator[tuple[Frames, int]]:
        """Yield upright RGB pictures `[H, W, 3]`, views of decoded frames, with strictly increasing timestamps."""
        info, last, number = self.info, None, 0
        # AVI has no timestamps: frames in shown order come with the times of packets in coded order.
        timeless = self._container.format.name == "avi"
        frame, self._first = self._first, None
        while frame is not None:
            self._check_size(frame, number)
            stamp = frame.pts
            if last is None:
                stamp = 0 if timeless else stamp or 0
            elif timeless:
                stamp = last + info.frame_ticks
            elif stamp is None or stamp <= last:
                self._damage.report(f"frame {number} has timestamp {stamp} after {last}")
                stamp = last + info.frame_ticks
            yield info.orientation.apply(self._rgb(frame)), stamp
            last, number = stamp, number + 1
            frame = next(self._decoded, None)

    def _rgb(self, frame: av.VideoFrame) -> Frames:
        try:
            return colour.to_rgb(frame, self._reformatter)
        except (MediaError, av.FFmpegError) as error:
            raise MediaError(f"{self._path}: {reason(error)}") from error

    def _check_size(self, frame: av.VideoFrame, number: int) -> None:
        info = self.info
        width, height = (
            (frame.height, frame.width)
            if info.orientation.swaps_sides
            else (frame.width, frame.height)
        )
        if (width, height) != (info.width_px, info.height_px):
            raise MediaError(
                f"{self._path}: frame {number} is {width}x{height}, the clip began as "
                f"{info.width_px}x{info.height_px}; cut the file where the size changes"
            )

    def _read_info(self, first: av.VideoFrame) -> VideoInfo:
        container, stream = self._container, self._stream
        self.notes += [f"{self._path}: {line}" for line in colour.losses(first)]
        if len(container.streams.video) > 1:
            self.notes.append(
                f"{self._path}: has {len(container.streams.video)} video tracks; only one is read"
            )
        orientation = orientation_of(first, path=self._path)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        duration_s = container.duration / av.time_base if container.duration else None
        assert stream.time_base is not None, "set by FFmpeg for every stream that it opened"
        return VideoInfo(
            width_px=first.height if orientation.swaps_sides else first.width,
            height_px=first.width if orientation.swaps_sides else first.height,
            rate=stream.average_rate or stream.guessed_rate or None,
            time_base=stream.time_base,
            frames=declared_packets(container, stream) or stream.frames or None,
            duration_s=float(stream.duration * stream.time_base) if stream.duration else duration_s,
            has_sound=bool(container.streams.audio),
            orientation=orientation,
            pixel_aspect=1 / aspect if orientation.swaps_sides else aspect,
            pixel_format=first.format.name,
            bit_depth=first.format.components[0].bits,
        )
