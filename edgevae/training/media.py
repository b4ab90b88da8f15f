"""Video and image files as uint8 frames, for training: find them, plan their segments, decode those that are wanted."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from tqdm import tqdm

from edgevae.errors import InputError, MediaError
from edgevae.frames import Frames
from edgevae.video.colour import to_rgb
from edgevae.video.container import limit_pixels, open_media
from edgevae.video.still import StillReader, is_still

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True, kw_only=True)
class MediaFile:
    """One video or image of the training data."""

    path: Path
    """Where it is."""
    name: str
    """Its path below the data folder; what random choices depend on."""
    frames: int
    """Frames as counted from its packets; 1 for an image."""
    height_px: int
    """Rows of a frame."""
    width_px: int
    """Columns of a frame."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        return self.height_px * self.width_px * 3


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Some successive frames of a file."""

    file: MediaFile
    """Which file."""
    start: int
    """First frame."""
    stop: int
    """Frame after the last one."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the decoded segment."""
        return (self.stop - self.start) * self.file.frame_bytes


def find_media(folder: Path) -> list[MediaFile]:
    """Return the videos and images below a folder, in the order of their names.

    Raises:
        InputError: no such folder, or nothing in it that looks like a video or image.
        MediaError: a file cannot be opened or holds no frame.
    """
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {found}; expected a folder of videos or images")
    suffixes = (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
    if not paths:
        raise InputError(
            f"{folder}: no video or image in it; expected files like {', '.join(suffixes[:5])}"
        )
    return [_probe(path, path.relative_to(folder).as_posix()) for path in paths]


def split_segments(file: MediaFile, *, segment_frames: int) -> list[Segment]:
    """Return the file in segments of `segment_frames` or a little more; never a short one behind a long one."""
    count = max(1, file.frames // segment_frames)
    edges = [file.frames * i // count for i in range(count + 1)]
    return [Segment(file=file, start=a, stop=b) for a, b in itertools.pairwise(edges)]


def decode_segments(segments: list[Segment]) -> list[Frames]:
    """Return the frames `[n, H, W, 3]` of segments of one file, in their order; the file is decoded once.

    Raises:
        MediaError: the file cannot be decoded, or holds no frame of a segment.
    """
    file = segments[0].file
    if is_still(file.path):
        with StillReader(file.path) as reader:
            return [next(iter(reader)).frames]
    groups: list[list[Frames]] = [[] for _ in segments]
    last = max(s.stop for s in segments)
    reformatter = VideoReformatter()
    with _open(file.path) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index >= last:
                break
            wanted = [g for g, s in zip(groups, segments, strict=True) if s.start <= index < s.stop]
            if wanted:
                for group in wanted:
                    group.append(_pixels(frame, file, reformatter))
    if not all(groups):
        raise MediaError(
            f"{file.path}: ends before the frames that it announces; remove it or write it again"
        )
    return [np.stack(group) for group in groups]


def _probe(path: Path, name: str) -> MediaFile:
    if is_still(path):
        with StillReader(path) as reader:
            info = reader.info
        return MediaFile(
            path=path, name=name, frames=1, height_px=info.height_px, width_px=info.width_px
        )
    with _open(path) as container:
        stream = container.streams.video[0]
        frames = sum(packet.size > 0 for packet in container.demux(stream))
        if frames < stream.frames:
            said = f"holds {frames} of the {stream.frames} frames that it announces; trained on what is there"
            tqdm.write(f"{path}: {said}", file=sys.stderr)
        height, width = stream.codec_context.height, stream.codec_context.width
    if frames < 1 or height < 1 or width < 1:
        raise MediaError(f"{path}: holds no frame; remove it from the training data")
    return MediaFile(path=path, name=name, frames=frames, height_px=height, width_px=width)


def _pixels(frame: av.VideoFrame, file: MediaFile, reformatter: VideoReformatter) -> Frames:
    """Return a frame as uint8 RGB `[H, W, 3]`, in the colours that the runtime will see."""
    if (frame.width, frame.height) != (file.width_px, file.height_px):
        # A change of size within a file would break the stack: keep the size that was announced.
        frame = reformatter.reformat(frame, width=file.width_px, height=file.height_px)
    return np.array(to_rgb(frame, reformatter))


@contextlib.contextmanager
def _open(path: Path) -> Iterator[InputContainer]:
    """Open a file for reading; PyAV's errors become ours, here and while it is read."""
    try:
        with open_media(path) as container:
            if not container.streams.video:
                raise MediaError(f"{path}: has no video stream; remove it from the training data")
            container.streams.video[0].thread_type = "AUTO"
            limit_pixels(container.streams.video[0])
            yield container
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"{path}: cannot be read as video or image ({error}); remove it or write it again"
        ) from error
