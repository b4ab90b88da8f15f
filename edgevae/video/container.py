"""Media files opened with care: regular files only, known formats only, no sibling file, no network."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream

from edgevae.errors import EdgeVaeError, MediaError
from edgevae.video.extent import missing_bytes

FORMATS = (
    "mov", "matroska", "avi", "mpegts", "mpeg", "ogg", "flv", "asf", "ivf", "gif", "apng", "yuv4mpegpipe"
)  # fmt: skip
"""Demuxers that may run. None of them opens other files, as concat, image2, hls and dash do."""

MAX_PIXELS = 1 << 26
"""The largest frame that is decoded, in pixels (8192 x 8192): 200 MB of RGB, so that a bomb cannot take the machine."""

CLOSED = "none that is read; expected mp4, mov, mkv, webm, avi, ts, mpg, ogg, flv, gif, y4m or a still image"


def open_media(path: Path) -> InputContainer:
    """Return an open media file; the caller closes it.

    FFmpeg sees an absolute path, so a name such as `12:30.mp4` or `concat:a.mp4` is a file and never a protocol.

    Raises:
        MediaError: no such file, not a regular file, empty, or no known media format.
    """
    check_regular_file(path)
    guards = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file"}
    try:
        return av.open(
            str(path.absolute()), "r", container_options=guards, metadata_errors="replace"
        )
    except av.error.ArgumentError as error:  # what FFmpeg says of a format outside the whitelist
        raise MediaError(f"{path}: its format is {CLOSED}") from error
    except (av.FFmpegError, OSError) as error:
        missing = missing_bytes(path)
        if missing:
            raise MediaError(
                f"{path}: truncated beyond reading, {missing} bytes are missing at its end; get the whole file"
            ) from error
        raise MediaError(
            f"{path}: not a video that can be read ({reason(error)}); give a whole video or image file"
        ) from error


def check_regular_file(path: Path) -> None:
    """Refuse what is no readable, regular, non-empty file.

    Raises:
        MediaError: missing, a folder, a pipe or device, not readable, or without a byte.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise MediaError(f"{path}: cannot be opened ({reason(error)}); check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(f"{path}: is a folder, expected a video or image file")
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(
            f"{path}: is a pipe or device, expected a regular file; save the stream to a file first"
        )
    if status.st_size == 0:
        raise MediaError(f"{path}: is empty (0 bytes), expected a video or image file")


def limit_pixels(stream: Stream) -> None:
    """Have the decoder of a stream refuse frames above `MAX_PIXELS`.

    FFmpeg 8 takes this as an option of the decoder only; given to the container it is ignored.
    """
    stream.codec_context.options = {**stream.codec_context.options, "max_pixels": str(MAX_PIXELS)}


def reason(error: Exception) -> str:
    """Return why FFmpeg or the system failed, in a few words and one line."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what FFmpeg or the system says while a file is written into one of our errors.

    Raises:
        EdgeVaeError: the disk is full, the folder is missing or not writable, or the encoder fails.
    """
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise EdgeVaeError(
            f"{path}: cannot be written ({reason(error)}); check the folder and the free space"
        ) from error
