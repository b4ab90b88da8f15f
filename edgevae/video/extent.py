"""How long a media file says it is, from the sizes in its outermost structure: a shorter file was cut off.

MP4, MOV   size32 type [size64] ...      boxes one after another    ISO/IEC 14496-12, 4.2
Matroska   EBML header, Segment size     one segment                RFC 8794, 4; RFC 9559, 5.1
AVI        "RIFF" size32 "AVI "          one or more chunks         the first is looked at
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_SEGMENT = b"\x18\x53\x80\x67"
_EBML = b"\x1a\x45\xdf\xa3"


def missing_bytes(path: Path) -> int:
    """Return how many bytes a file lacks of what it says it has; 0 where it is whole or does not say."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
            declared = _boxes_end(file, size)
        elif head[:4] == _EBML:
            declared = _segment_end(file)
        elif head[:4] == b"RIFF":
            declared = 8 + int.from_bytes(head[4:8], "little")
        else:
            declared = 0
    return max(0, declared - size)


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Return where the last box begun in an MP4 ends."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length = int.from_bytes(file.read(4), "big")
        kind = file.read(4)
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if length < 8 or not kind.isalnum():  # 0: to the end of the file; anything else is no box
            break
        position += length
    return position


def _segment_end(file: BinaryIO) -> int:
    """Return where the segment of a Matroska file ends, or 0 where it does not say, as of a live recording."""
    file.seek(4)
    header = _read_size(file)
    if header is None:
        return 0
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    length = _read_size(file)
    return 0 if length is None else file.tell() + length


def _read_size(file: BinaryIO) -> int | None:
    """Return a variable-length EBML size, or None where it is unknown (all ones) or absent.

    The leading zeros of the first byte count the bytes that follow: 1xxxxxxx, 01xxxxxx xxxxxxxx, ...
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> more)]) + file.read(more), "big")
    return None if value == (1 << (7 * (more + 1))) - 1 else value
