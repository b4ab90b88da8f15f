"""Still images: read as a clip of one frame, written as PNG."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image, ImageOps

from edgevae.errors import InputError, MediaError
from edgevae.files import atomic_file
from edgevae.frames import Frames
from edgevae.video.clip import FrameGroup, Timestamps, VideoInfo
from edgevae.video.container import MAX_PIXELS, check_regular_file, reason
from edgevae.video.orientation import Orientation

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\x00", b"MM\x00*")
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I")


def is_still(path: Path) -> bool:
    """Return whether a file begins like a still image; its name says nothing.

    Raises:
        MediaError: missing, a folder, a pipe or device, not readable, or empty.
    """
    check_regular_file(path)
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise MediaError(
            f"{path}: cannot be read ({reason(error)}); check its permissions"
        ) from error
    return head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


class StillReader:
    """An image as a clip of one frame, upright, with timestamp 0."""

    info: VideoInfo
    """What the file says of itself."""
    notes: list[str]
    """What was lost, one line each."""

    def __init__(self, path: Path) -> None:
        self.notes = []
        picture, self._frame = self._read(path)
        height_px, width_px, _ = self._frame.shape
        self.info = VideoInfo(
            width_px=width_px,
            height_px=height_px,
            rate=None,
            time_base=Fraction(1, 25),
            frames=1,
            duration_s=None,
            has_sound=False,
            orientation=Orientation(),  # Pillow has turned it already
            pixel_format=picture.mode,
            bit_depth=16 if picture.mode in _SIXTEEN_BITS else 8,
        )

    def __enter__(self) -> StillReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing: the file was closed when it had been read."""

    def __iter__(self) -> Iterator[FrameGroup]:
        yield FrameGroup(self._frame[None].copy(), np.zeros(1, np.int64))

    def _read(self, path: Path) -> tuple[Image.Image, Frames]:
        try:
            with warnings.catch_warnings(), Image.open(path, formats=_FORMATS) as file:
                warnings.simplefilter(
                    "ignore"
                )  # Pillow warns of large images; the limit here is our own
                self._check(file, path=path)
                picture = ImageOps.exif_transpose(file)
                return picture, _to_rgb(picture)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise MediaError(
                f"{path}: not an image that can be read ({reason(error)}); give a whole image"
            ) from error

    def _check(self, file: Image.Image, *, path: Path) -> None:
        if file.width * file.height > MAX_PIXELS:
            raise MediaError(
                f"{path}: {file.width}x{file.height} is more than the {MAX_PIXELS} pixels a frame may have"
            )
        count = getattr(file, "n_frames", 1)
        if count > 1 and file.format in ("PNG", "WEBP"):
            raise MediaError(
                f"{path}: is an animation of {count} frames; convert it to mp4 or mkv first"
            )
        if count > 1 and file.format == "TIFF":
            self.notes.append(f"{path}: has {count} pages; only the first is read")
        if file.has_transparency_data:
            self.notes.append(f"{path}: the alpha channel is dropped")


class PngWriter:
    """A PNG file for exactly one frame, used like a video writer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frame: Frames | None = None

    def __enter__(self) -> PngWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            return
        if self._frame is None:
            raise InputError(f"{self._path}: no frame was given, expected one")
        with atomic_file(self._path) as partial:
            Image.fromarray(self._frame).save(partial, format="PNG")

    def write(self, frames: Frames, pts: Timestamps) -> None:
        """Take the one frame `[1, H, W, 3]`; its timestamp has no place in a PNG.

        Raises:
            InputError: more than one frame.
        """
        if self._frame is not None or len(frames) != 1:
            raise InputError(f"{self._path}: a PNG holds one frame, got more; write a .mp4 or .mkv")
        self._frame = frames[0]


def _to_rgb(picture: Image.Image) -> Frames:
    """Return uint8 RGB `[H, W, 3]`; 16-bit grey is scaled, which Pillow's own conversion would clip."""
    if picture.mode in _SIXTEEN_BITS:
        grey = np.asarray(picture).astype(np.uint32)
        return np.repeat(((grey + 128) // 257).astype(np.uint8)[..., None], 3, axis=-1)
    return np.asarray(picture.convert("RGB"))
