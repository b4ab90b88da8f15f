"""Sound that goes from file to file as it is: packets are copied, never decoded.

A latents file keeps sound as a Matroska file inside it. Matroska rounds every time to 1 ms, so the exact times of the
packets go beside it: a pair (pts, duration) a packet.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from edgevae.errors import InputError, IntegrityError, MediaError
from edgevae.video.clip import Timestamps
from edgevae.video.container import open_media, reason
from edgevae.video.window import Window


@dataclass(frozen=True, kw_only=True)
class SoundTrack:
    """One sound track: what its packets are, and the packets in the order of the file, once."""

    template: AudioStream
    """The stream that an output's stream is made like."""
    packets: Iterator[Packet[AudioStream]]
    """The packets with their times; each is read when it is asked for."""
    source: str
    """The file, for messages."""
    tracks: int = 1
    """How many sound tracks the file has; this is the first."""


@contextlib.contextmanager
def open_sound(path: Path) -> Iterator[SoundTrack | None]:
    """Yield the first sound track of a media file, or None where it has none.

    Raises:
        MediaError: the file cannot be opened.
    """
    with open_media(path) as container:
        tracks = container.streams.audio
        if not tracks:
            yield None
            return
        packets = _packets(container, tracks[0], source=str(path))
        yield SoundTrack(template=tracks[0], packets=packets, source=str(path), tracks=len(tracks))


def _packets(
    container: InputContainer, stream: AudioStream, *, source: str
) -> Iterator[Packet[AudioStream]]:
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(
            f"{source}: its sound cannot be read to the end ({reason(error)}); "
            "leave the sound out (--no-sound)"
        ) from error


class SoundCopy:
    """A sound track on its way into an output container, kept level with the video by `advance`."""

    def __init__(self, container: OutputContainer, track: SoundTrack, *, target: Path) -> None:
        """Add a stream like the track's to the container.

        Raises:
            InputError: the container's format cannot hold the track's codec.
        """
        self._container = container
        self._track = track
        self._target = target
        self._next: Packet[AudioStream] | None = next(track.packets, None)
        name = (
            track.template.codec_context.name
            if track.template.codec_context
            else "of an unknown codec"
        )
        try:
            self._stream = container.add_stream_from_template(track.template, opaque=True)
        except ValueError as error:
            raise InputError(
                f"{target}: a {target.suffix} file cannot hold the sound of {track.source} ({name}); "
                "write a .mkv, or leave the sound out (--no-sound)"
            ) from error

    def advance(self, seconds: float) -> None:
        """Copy the packets that begin before a time; give infinity to copy all that are left.

        Raises:
            MediaError: the source's sound is damaged so that the container refuses it.
        """
        while self._next is not None:
            begin = self._next.dts if self._next.dts is not None else self._next.pts
            if begin is not None and float(begin * self._next.time_base) >= seconds:
                return
            self._copy(self._next)
            self._next = next(self._track.packets, None)

    def _copy(self, packet: Packet[AudioStream]) -> None:
        packet.stream = self._stream
        try:
            self._container.mux(packet)
        except av.error.ArgumentError as error:  # times that go back, for example
            raise MediaError(
                f"{self._track.source}: its sound cannot be copied ({reason(error)}); leave the sound out (--no-sound)"
            ) from error


def store_sound(track: SoundTrack, file: Window, *, target: Path) -> tuple[Timestamps, Fraction]:
    """Write a track as Matroska to a seekable binary file.

    Returns:
        int64 `[packets, 2]`: the timestamp and duration of every packet, and the seconds of their unit.

    Raises:
        InputError: Matroska cannot hold the track's codec.
    """
    times: list[tuple[int, int]] = []
    time_base = track.template.time_base
    assert time_base is not None, "set by FFmpeg for every stream that it opened"

    def noted() -> Iterator[Packet[AudioStream]]:
        for packet in track.packets:
            if packet.pts is None:
                raise MediaError(
                    f"{track.source}: its sound has no timestamps; leave the sound out (--no-sound)"
                )
            times.append((packet.pts, packet.duration or 0))
            yield packet

    noting = SoundTrack(template=track.template, packets=noted(), source=track.source)
    with av.open(file, "w", format="matroska") as container:
        SoundCopy(container, noting, target=target.with_suffix(".mka")).advance(float("inf"))
    return np.array(times, np.int64).reshape(-1, 2), time_base


def can_store(track: SoundTrack, *, target: Path) -> None:
    """Refuse a track that `store_sound` could not write, before the work is done.

    Raises:
        InputError: Matroska cannot hold the track's codec.
    """
    nothing = SoundTrack(template=track.template, packets=iter(()), source=track.source)
    with av.open(io.BytesIO(), "w", format="matroska") as container:
        SoundCopy(container, nothing, target=target.with_suffix(".mka"))


@contextlib.contextmanager
def stored_sound(
    file: Window, times: Timestamps, time_base: Fraction, *, source: str
) -> Iterator[SoundTrack]:
    """Yield the track that `store_sound` wrote, with its exact times.

    Raises:
        IntegrityError: the bytes are no Matroska sound, or another number of packets than times.
    """
    guards = {"format_whitelist": "matroska", "protocol_whitelist": "file"}
    try:
        container = av.open(file, "r", format="matroska", container_options=guards)
    except (av.FFmpegError, OSError) as error:
        raise IntegrityError(
            f"{source}: its sound cannot be read ({reason(error)}); encode the clip again"
        ) from error
    with container:
        if not container.streams.audio:
            raise IntegrityError(f"{source}: its sound has no track; encode the clip again")
        template = container.streams.audio[0]
        packets = _packets(container, template, source=source)
        yield SoundTrack(
            template=template,
            packets=_retimed(packets, times, time_base, source=source),
            source=source,
        )


def _retimed(
    packets: Iterable[Packet[AudioStream]], times: Timestamps, time_base: Fraction, *, source: str
) -> Iterator[Packet[AudioStream]]:
    count = 0
    for count, packet in enumerate(packets, start=1):
        if count > len(times):
            break
        packet.time_base = time_base
        packet.pts = packet.dts = int(times[count - 1, 0])
        packet.duration = int(times[count - 1, 1])
        yield packet
    if count != len(times):
        raise IntegrityError(
            f"{source}: its sound has {count} packets, expected {len(times)}; encode the clip again"
        )
