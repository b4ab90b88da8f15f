"""Decoded video frames of an open container, with damage noticed on the way."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from edgevae.errors import MediaError
from edgevae.video.container import MAX_PIXELS, limit_pixels, reason
from edgevae.video.damage import Damage


def video_stream(container: InputContainer, *, path: Path) -> VideoStream:
    """Return the video track to read, ready to decode on all cores.

    Raises:
        MediaError: no video track (a cover picture of a song is none), an unknown codec, or a frame above `MAX_PIXELS`.
    """
    tracks = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not tracks:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise MediaError(
            f"{path}: has no video track (it has {kinds}), expected a video or image file"
        )
    stream = tracks[0]
    if stream.codec_context is None:
        raise MediaError(
            f"{path}: its video has a codec that this FFmpeg cannot decode; convert it to H.264 first"
        )
    if stream.width * stream.height > MAX_PIXELS:
        raise MediaError(
            f"{path}: {stream.width}x{stream.height} is more than the {MAX_PIXELS} pixels a frame may have"
        )
    limit_pixels(stream)
    stream.thread_type = "AUTO"
    return stream


def decode(
    container: InputContainer, stream: VideoStream, damage: Damage, *, path: Path
) -> Generator[av.VideoFrame, None, None]:
    """Yield the frames in the order they are shown.

    All tracks are read, though only video is decoded: the end of the sound tells whether a file was cut.

    Raises:
        MediaError: a sign of damage, unless it is allowed.
    """
    packets = container.demux()
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError) as error:
            damage.report(f"reading stops early ({reason(error)})")
            break
        if packet is None:
            break
        damage.see_packet(packet)
        if packet.stream_index == stream.index:
            for frame in _decode_packet(stream, packet, damage, path=path):
                damage.see_frame(frame)
                yield frame
    damage.see_end()


def _decode_packet(
    stream: VideoStream, packet: Packet[Stream], damage: Damage, *, path: Path
) -> list[av.VideoFrame]:
    try:
        return stream.decode(packet)
    except av.error.EOFError:
        return []
    except av.error.ArgumentError as error:
        if not stream.codec_context.is_open:
            raise MediaError(
                f"{path}: its {stream.codec.name} decoder does not start ({reason(error)})"
            ) from error
        damage.report(f"a video packet cannot be decoded ({reason(error)})")
    except av.FFmpegError as error:
        damage.report(f"a video packet cannot be decoded ({reason(error)})")
    return []
