"""A part of an open file, seen as a file of its own."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO

_READ_BYTES = 1 << 20


class Window:
    """The bytes of a file from `start` on: what FFmpeg needs to read or write a file inside a file.

    The file's own position moves with it, so nobody else uses the file meanwhile.
    """

    def __init__(self, file: BinaryIO, start: int, *, size_bytes: int | None = None) -> None:
        """View a seekable file from byte `start`, for `size_bytes` or to its growing end."""
        self._file = file
        self._start = start
        self._size_bytes = size_bytes
        self._file.seek(start)

    def read(self, count: int = -1) -> bytes:
        """Return at most `count` bytes, none of them from behind the window."""
        if self._size_bytes is not None:
            left = max(0, self._size_bytes - self.tell())
            count = left if count < 0 else min(count, left)
        return self._file.read(count)

    def write(self, data: bytes) -> int:
        """Write bytes at the position; return how many."""
        return self._file.write(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset from the window's start, the position, or the window's end; return the new position."""
        if whence == io.SEEK_CUR:
            offset += self.tell()
        elif whence == io.SEEK_END:
            offset += (
                self._file.seek(0, io.SEEK_END) - self._start
                if self._size_bytes is None
                else self._size_bytes
            )
        return self._file.seek(self._start + offset) - self._start

    def tell(self) -> int:
        """Return the position, counted from the window's start."""
        return self._file.tell() - self._start

    def digest(self) -> str:
        """Return the sha256 of the whole window, and move to its start."""
        self.seek(0)
        digest = hashlib.sha256()
        while data := self.read(_READ_BYTES):
            digest.update(data)
        self.seek(0)
        return digest.hexdigest()
