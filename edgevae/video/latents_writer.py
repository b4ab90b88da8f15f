"""Write a latents file chunk by chunk, in constant memory; whole file or none."""

from __future__ import annotations

import contextlib
import hashlib
import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgevae.errors import EdgeVaeError, InputError
from edgevae.files import atomic_file
from edgevae.frames import Latents
from edgevae.video.clip import Timestamps
from edgevae.video.container import writing
from edgevae.video.latents_format import HEADER_BYTES, NUMPY, LatentsInfo, Tensor, pack_header
from edgevae.video.sound import SoundTrack, can_store, store_sound
from edgevae.video.window import Window

LatentsDType = Literal["float16", "float32"]

_NAMES = {"float16": "F16", "float32": "F32"}


class LatentsWriter:
    """A latents file in the making, under a hidden name until it is whole.

    Args:
        path: Where it goes.
        info: What the clip and the bundle are; `frames` is counted here.
        dtype: How the latents are stored. float16 keeps 11 bits, 0.05 % of a value.
        sound: A track to keep; it is copied at the end, so its source stays open until then.

    Raises:
        InputError: on entering, a sound that Matroska cannot hold; on leaving, no frame.
    """

    def __init__(
        self,
        path: Path,
        info: LatentsInfo,
        *,
        dtype: LatentsDType = "float16",
        sound: SoundTrack | None = None,
    ) -> None:
        self._path = path
        self._info = info
        self._dtype = _NAMES[dtype]
        self._sound = sound
        self._sound_time_base: Fraction | None = None
        self._shape: tuple[int, ...] | None = None
        self._pts: list[Timestamps] = []
        self._digest = hashlib.sha256()

    @property
    def latents_bytes(self) -> int:
        """Bytes of the latents written so far, without header, timestamps and sound."""
        return (
            0
            if self._shape is None
            else int(np.prod(self._shape)) * np.dtype(NUMPY[self._dtype]).itemsize
        )

    def __enter__(self) -> LatentsWriter:
        with writing(self._path), contextlib.ExitStack() as stack:
            if self._sound is not None:
                can_store(self._sound, target=self._path)
            partial = stack.enter_context(atomic_file(self._path))
            self._file = stack.enter_context(partial.open("w+b"))
            self._file.write(bytes(8 + HEADER_BYTES))
            stack.push(self._finish)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.__exit__(kind, error, trace)

    def write(self, latents: Latents, pts: Timestamps) -> None:
        """Append latents `[n, C, h, w]` and the timestamps of the frames that they stand for, without padding.

        Raises:
            InputError: another C, h or w than before, or a value that the file's dtype cannot hold.
            EdgeVaeError: a NaN or an infinity came, or the disk is full.
        """
        if self._shape is not None and latents.shape[1:] != self._shape[1:]:
            raise InputError(
                f"{self._path}: latents of shape {list(latents.shape)} after {list(self._shape)}"
            )
        if not np.isfinite(latents).all():
            raise EdgeVaeError(
                f"{self._path}: the model gave latents that are not finite; try another precision"
            )
        with np.errstate(over="ignore"):  # what does not fit is found below, by name
            stored = np.ascontiguousarray(latents, NUMPY[self._dtype])
        if not np.isfinite(stored).all():
            raise InputError(
                f"{self._path}: latents reach {np.abs(latents).max():g}, more than {self._dtype} holds; "
                "store them as float32 (--latents-dtype)"
            )
        with writing(self._path):
            self._file.write(stored.data)
        self._digest.update(stored.data)
        self._shape = (len(stored) + (self._shape[0] if self._shape else 0), *latents.shape[1:])
        self._pts.append(pts)

    def _finish(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Where the `with` ended well, append the rest and fill in the header."""
        if kind is not None:
            return
        if self._shape is None:
            raise InputError(f"{self._path}: no latents were given, expected at least one step")
        with writing(self._path):
            start = 8 + HEADER_BYTES
            tensors = {
                "latents": Tensor(
                    dtype=self._dtype,
                    shape=self._shape,
                    start=start,
                    sha256=self._digest.hexdigest(),
                )
            }
            pts = np.concatenate(self._pts).astype("<i8")
            tensors["pts"] = self._append(pts)
            if self._sound is not None:
                tensors |= self._append_sound(self._sound)
            info = replace(self._info, frames=len(pts))
            self._file.seek(0)
            self._file.write(pack_header(info, tensors, sound_time_base=self._sound_time_base))

    def _append(self, array: npt.NDArray[np.int64]) -> Tensor:
        start = self._file.seek(0, io.SEEK_END)
        self._file.write(array.data)
        digest = hashlib.sha256(array.data).hexdigest()
        return Tensor(dtype="I64", shape=array.shape, start=start, sha256=digest)

    def _append_sound(self, track: SoundTrack) -> dict[str, Tensor]:
        start = self._file.seek(0, io.SEEK_END)
        times, self._sound_time_base = store_sound(
            track, Window(self._file, start), target=self._path
        )
        size_bytes = self._file.seek(0, io.SEEK_END) - start
        written = Window(self._file, start, size_bytes=size_bytes)
        sound = Tensor(dtype="U8", shape=(size_bytes,), start=start, sha256=written.digest())
        return {"sound": sound, "sound_times": self._append(times.astype("<i8"))}
