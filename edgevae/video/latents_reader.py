"""Read a latents file chunk by chunk, in constant memory, with every byte checked."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from edgevae.errors import IncompatibleError, InputError, IntegrityError
from edgevae.spec import one_of
from edgevae.video.clip import Timestamps
from edgevae.video.container import reason
from edgevae.video.latents_format import NUMPY, LatentsInfo, unpack_header
from edgevae.video.sound import SoundTrack, stored_sound
from edgevae.video.window import Window


class LatentsReader:
    """An open latents file. Header, sizes and timestamps are checked on opening, other bytes when they are read.

    Raises:
        InputError: missing, or not a latents file.
        IncompatibleError: of another format version.
        IntegrityError: truncated, or bytes that are not the bytes that were written.
    """

    info: LatentsInfo
    """What the clip and the bundle were."""
    pts: Timestamps
    """The timestamps of all frames, int64 `[T]`."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        with contextlib.ExitStack() as stack:
            try:
                self._file = stack.enter_context(self._path.open("rb"))
                size_bytes = self._path.stat().st_size
            except OSError as error:
                raise InputError(
                    f"{path}: cannot be opened ({reason(error)}); check the path"
                ) from error
            self.info, self._tensors, self._sound_time_base = unpack_header(
                self._file, size_bytes=size_bytes, name=str(path)
            )
            self.pts = self._read("pts")
            if (np.diff(self.pts) <= 0).any():
                raise IntegrityError(
                    f"{path}: its timestamps do not increase; encode the clip again"
                )
            self._closing = stack.pop_all()

    def __enter__(self) -> LatentsReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """t, C, h, w of the latents."""
        t, c, h, w = self._tensors["latents"].shape
        return t, c, h, w

    @property
    def latents_bytes(self) -> int:
        """Bytes of the latents in the file."""
        return self._tensors["latents"].size_bytes

    @property
    def has_sound(self) -> bool:
        """Whether the file holds a sound track."""
        return "sound" in self._tensors

    def check_model(self, *, name: str, digest: str, channels: tuple[int, ...]) -> None:
        """Refuse a model that did not encode these latents.

        Args:
            name: The model's name.
            digest: Of its weights and specification.
            channels: The numbers of latent channels with which it works.

        Raises:
            IncompatibleError: another digest, or another number of channels in the file.
        """
        if digest != self.info.model_digest:
            raise IncompatibleError(
                f"{self._path}: was encoded by {self.info.bundle!r} (sha256 {self.info.model_digest}), this model is "
                f"{name!r} (sha256 {digest}); decode with the model that encoded it, or encode the clip again"
            )
        if self.shape[1] not in channels:
            raise IncompatibleError(
                f"{self._path}: holds {self.shape[1]} latent channels, expected {one_of(channels)} as {name!r} takes; "
                "encode the clip again"
            )

    def chunks(self, *, steps: int) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the latents `[steps, C, h, w]`, the last ones perhaps fewer; the receiver owns them.

        Raises:
            IntegrityError: a NaN or an infinity, or, after the last chunk, another digest than was written.
        """
        tensor, digest = self._tensors["latents"], hashlib.sha256()
        for first in range(0, tensor.shape[0], steps):
            stored = np.empty(
                (min(steps, tensor.shape[0] - first), *tensor.shape[1:]), NUMPY[tensor.dtype]
            )
            self._file.seek(tensor.start + first * stored[0].nbytes)
            if self._file.readinto(stored.data.cast("B")) != stored.nbytes:
                raise IntegrityError(
                    f"{self._path}: ends before its latents do; it was changed while it was read"
                )
            digest.update(stored.data)
            if not np.isfinite(stored).all():
                raise IntegrityError(
                    f"{self._path}: latent step {first} or one soon after is not finite; encode again"
                )
            yield stored.astype(np.float32)
        self._compare("latents", digest.hexdigest())

    @contextlib.contextmanager
    def sound(self) -> Iterator[SoundTrack | None]:
        """Yield the sound track, or None; read it in one thread, and no latents at the same time in another.

        Raises:
            IntegrityError: bytes that are not the bytes that were written.
        """
        if not self.has_sound:
            yield None
            return
        tensor = self._tensors["sound"]
        assert self._sound_time_base is not None, "read with the sound"
        with self._path.open("rb") as file:  # its own position, since latents are read in between
            window = Window(file, tensor.start, size_bytes=tensor.size_bytes)
            self._compare("sound", window.digest())
            times = self._read("sound_times")
            with stored_sound(
                window, times, self._sound_time_base, source=str(self._path)
            ) as track:
                yield track

    def _read(self, name: str) -> npt.NDArray[np.int64]:
        tensor = self._tensors[name]
        self._file.seek(tensor.start)
        array = np.frombuffer(self._file.read(tensor.size_bytes), NUMPY[tensor.dtype]).reshape(
            tensor.shape
        )
        self._compare(name, hashlib.sha256(array.data).hexdigest())
        return array

    def _compare(self, name: str, digest: str) -> None:
        expected = self._tensors[name].sha256
        if digest != expected:
            raise IntegrityError(
                f"{self._path}: its {name} are not the bytes that were written (sha256 {digest[:12]}, expected "
                f"{expected[:12]}); get the file again, or encode the clip again"
            )
