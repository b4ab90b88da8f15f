"""What a damaged or truncated file shows while it is read: counted packet by packet, judged at the end.

FFmpeg reads half a file without an error. What tells: a file shorter than it says it is, packets and frames marked
corrupt, decoding errors, fewer packets than the index of an MP4 or the header of an AVI has, an end before the duration
that a Matroska or fragmented MP4 declares, and fewer frames than packets in an MP4. A flipped bit that still decodes
shows nowhere: H.264 has no checksum.
"""

from __future__ import annotations

import re
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from edgevae.errors import MediaError
from edgevae.video.extent import missing_bytes

_TAG = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


class Damage:
    """The signs of damage in one reading of one video stream.

    Every method raises MediaError at a sign of damage, unless `allowed`: then it is counted and `note` tells of it.
    """

    def __init__(
        self, path: Path, container: InputContainer, stream: VideoStream, *, allowed: bool
    ) -> None:
        self._path = path
        self._allowed = allowed
        self._stream = stream
        self._is_mov = "mov" in container.format.name
        self._declared_packets = declared_packets(container, stream)
        self._declared_end_s = _declared_end_s(container, stream)
        self._packets = self._discarded = self._frames = 0
        self._interlaced = False
        self._end_s = 0.0
        self._signs = 0
        self._first_sign = ""
        missing = missing_bytes(path)
        if missing:
            self.report(f"truncated: {missing} bytes are missing at its end")

    @property
    def note(self) -> str | None:
        """What damage was read past, in one line, or None."""
        if not self._signs:
            return None
        more = f" (and {self._signs - 1} more signs of damage)" if self._signs > 1 else ""
        return f"{self._path}: {self._first_sign}{more}; read on because damage is allowed"

    def report(self, sign: str) -> None:
        """Count a sign of damage, or raise where damage is not allowed."""
        if not self._allowed:
            raise MediaError(
                f"{self._path}: {sign}; get the whole file, or allow damage (--allow-damaged)"
            )
        self._first_sign = self._first_sign or sign
        self._signs += 1

    def see_packet(self, packet: Packet[Stream]) -> None:
        """Count a packet of any stream and look at it."""
        if not packet.size:  # asks the decoder for what it still holds
            return
        if packet.pts is not None:
            self._end_s = max(
                self._end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base)
            )
        if packet.stream_index == self._stream.index:
            self._packets += 1
            self._discarded += packet.is_discard
            if packet.is_corrupt:
                self.report(f"video packet {self._packets} is damaged or cut off")

    def see_frame(self, frame: av.VideoFrame) -> None:
        """Count a decoded frame and look at it."""
        self._frames += 1
        self._interlaced |= frame.interlaced_frame
        if frame.is_corrupt:
            self.report(f"frame {self._frames - 1} comes from damaged data")

    def see_end(self) -> None:
        """Look for what is missing now that the file has been read to its end."""
        declared, end_s = self._declared_packets, self._declared_end_s
        expected = self._packets - self._discarded
        if declared is not None and self._packets < declared:
            self.report(f"truncated: {self._frames} frames read, {declared} declared")
        elif end_s is not None and self._end_s < end_s:
            self.report(
                f"truncated: {self._frames} frames read, to {self._end_s:.2f} s of at least {end_s:.2f} s declared"
            )
        elif self._is_mov and not self._interlaced and self._frames < expected:
            # An interlaced MP4 may have a packet a field, two for a frame.
            self.report(f"{expected - self._frames} of {expected} frames cannot be decoded")


def declared_packets(container: InputContainer, stream: VideoStream) -> int | None:
    """Return how many video packets the file says it has, or None where it does not say.

    The index of an MP4 counts what its edit list leaves; its `frames` also what that cuts away.
    """
    if "mov" in container.format.name and stream.frames:
        return len(stream.index_entries) or None
    if container.format.name == "avi":
        return stream.frames or None
    return None


def _declared_end_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Return before which second no whole file of this kind ends, or None where nothing reliable is declared."""
    matroska = "matroska" in container.format.name
    frame_s = 1 / float(stream.average_rate) if stream.average_rate else 0.1
    tag = _TAG.fullmatch(stream.metadata.get("DURATION", "")) if matroska else None
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) - 0.5 * frame_s
    fragmented = "mov" in container.format.name and not stream.frames
    if not (matroska or fragmented) or not container.duration:
        return None
    # No duration of the video alone: sound may end a little before or after it.
    return container.duration / av.time_base - 2 * frame_s - 0.1
