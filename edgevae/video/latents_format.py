"""The bytes of a latents file: a safetensors file that can be written and read from front to back.

    0       8                4096
    +-------+----------------+------------------+---------+--------------+-------------+
    | u64   | JSON, padded   | latents          | pts     | sound        | sound_times |
    | 4088  | with spaces    | F16 or F32       | I64 [T] | U8 [bytes]   | I64 [p, 2]  |
    |       | to 4088 bytes  | [t, C, h, w]     |         | a Matroska   | pts,        |
    |       |                |                  |         | file         | duration    |
    +-------+----------------+------------------+---------+--------------+-------------+
    little-endian throughout; sound and sound_times only where the clip had sound; C is how many channels were kept, in
    a file of a nested model perhaps fewer than the model has

The header has room from the start and is filled in last, so nothing is held back in memory and nothing is moved. Any
safetensors library reads the file. Reading, the tensors may stand in any order, as another library may rewrite it.

`__metadata__` holds strings: the keys of `LatentsInfo` below, `format`, `format_version`, with sound its
`sound_time_base`, and a sha256 of every tensor and of the other metadata.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from edgevae.errors import IncompatibleError, InputError, IntegrityError
from edgevae.files import sha256
from edgevae.video.clip import ClipFormat

FORMAT, FORMAT_VERSION = "edgevae-latents", "1"
HEADER_BYTES = 4096 - 8
MOST_HEADER_BYTES = 1 << 20
NUMPY = {"F16": "<f2", "F32": "<f4", "I64": "<i8", "U8": "u1"}
_DTYPES = {"latents": ("F16", "F32"), "pts": ("I64",), "sound": ("U8",), "sound_times": ("I64",)}
_AXES = {"latents": 4, "pts": 1, "sound": 1, "sound_times": 2}
_AGAIN = "get the whole file again, or encode the clip again"


@dataclass(frozen=True, kw_only=True)
class LatentsInfo(ClipFormat):
    """What has to be known to decode latents into the clip that they came from."""

    bundle: str
    """Name of the bundle that encoded the clip."""
    model_digest: str
    """sha256 of the model's weights and specification; only a bundle of the same model can decode."""
    temporal_factor: int
    """Frames per latent step."""
    spatial_factor: int
    """Pixels per latent cell, on each side."""
    frames: int = 0
    """How many frames the clip has; the latents may stand for a few more, which padding made."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Where a tensor of the file is."""

    dtype: str
    """F16, F32, I64 or U8."""
    shape: tuple[int, ...]
    """Its axes."""
    start: int
    """Its first byte, counted from the beginning of the file."""
    sha256: str
    """The digest of its bytes."""

    @property
    def size_bytes(self) -> int:
        """Its length in the file."""
        return math.prod(self.shape) * np.dtype(NUMPY[self.dtype]).itemsize


def pack_header(
    info: LatentsInfo, tensors: Mapping[str, Tensor], *, sound_time_base: Fraction | None
) -> bytes:
    """Return the first 4096 bytes of a file whose tensors follow each other from there.

    Raises:
        InputError: the bundle's name is too long for it.
    """
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **{name: "" if value is None else str(value) for name, value in vars(info).items()},
        **{f"sha256_{name}": tensor.sha256 for name, tensor in tensors.items()},
    }
    if sound_time_base is not None:
        metadata["sound_time_base"] = str(sound_time_base)
    metadata["sha256_metadata"] = _digest(metadata)
    header: dict[str, object] = {"__metadata__": metadata}
    for name, tensor in tensors.items():
        start = tensor.start - 8 - HEADER_BYTES
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [start, start + tensor.size_bytes],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    if len(text) > HEADER_BYTES:
        raise InputError(
            f"bundle name: {len(info.bundle)} characters are too many for a latents file; shorten it"
        )
    return struct.pack("<Q", HEADER_BYTES) + text.ljust(HEADER_BYTES)


def unpack_header(
    file: BinaryIO, *, size_bytes: int, name: str
) -> tuple[LatentsInfo, dict[str, Tensor], Fraction | None]:
    """Return what the header of an open file of `size_bytes` says, checked against itself and against the file's size.

    Raises:
        InputError: not a latents file at all.
        IncompatibleError: of another format version.
        IntegrityError: truncated, or a header that contradicts itself.
    """
    header, data_start = _read_json(file, size_bytes=size_bytes, name=name)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise InputError(
            f"{name}: is a safetensors file but no latents file; expected one written by 'edgevae encode'"
        )
    if metadata.get("format_version") != FORMAT_VERSION:
        raise IncompatibleError(
            f"{name}: is of format version {metadata.get('format_version')!r}, this edgevae reads {FORMAT_VERSION!r}; "
            "use the version that wrote it, or encode the clip again"
        )
    try:
        if metadata["sha256_metadata"] != _digest(metadata):
            raise ValueError("its metadata are not the ones that were written")
        tensors = {
            key: _tensor(key, value, metadata, data_start=data_start)
            for key, value in header.items()
        }
        info = _info(metadata)
        sound_time_base = Fraction(metadata["sound_time_base"]) if "sound" in tensors else None
        _check(info, tensors)
    except (KeyError, ValueError, TypeError, ZeroDivisionError) as error:
        what = f"key {error} is missing" if isinstance(error, KeyError) else str(error)
        raise IntegrityError(f"{name}: its header is damaged ({what}); {_AGAIN}") from error
    _check_extent(tensors, data_start=data_start, size_bytes=size_bytes, name=name)
    return info, tensors, sound_time_base


def _digest(metadata: Mapping[str, str]) -> str:
    """Return the sha256 of all metadata but the digest itself, in an order that no other library changes."""
    lines = [f"{key}={metadata[key]}" for key in sorted(metadata) if key != "sha256_metadata"]
    return sha256("\n".join(lines).encode())


def _read_json(
    file: BinaryIO, *, size_bytes: int, name: str
) -> tuple[dict[str, Any], int]:  # Any: parsed JSON
    """Return the header and the position of the data behind it."""
    head = file.read(9)
    length = struct.unpack("<Q", head[:8])[0] if len(head) == 9 else 0
    if head[8:] != b"{" or length > MOST_HEADER_BYTES:
        raise InputError(f"{name}: is no latents file; expected one written by 'edgevae encode'")
    text = b"{" + file.read(length - 1)
    if len(text) < length:
        raise IntegrityError(f"{name}: is truncated in its header ({size_bytes} bytes); {_AGAIN}")
    try:
        header = json.loads(text)
    except ValueError as error:
        raise IntegrityError(f"{name}: its header is no JSON ({error}); {_AGAIN}") from error
    return header, 8 + length


def _info(metadata: Mapping[str, str]) -> LatentsInfo:
    info = LatentsInfo(
        width_px=int(metadata["width_px"]),
        height_px=int(metadata["height_px"]),
        time_base=Fraction(metadata["time_base"]),
        rate=Fraction(metadata["rate"]) if metadata["rate"] else None,
        pixel_aspect=Fraction(metadata["pixel_aspect"]),
        bundle=metadata["bundle"],
        model_digest=metadata["model_digest"],
        temporal_factor=int(metadata["temporal_factor"]),
        spatial_factor=int(metadata["spatial_factor"]),
        frames=int(metadata["frames"]),
    )
    for key, value in vars(info).items():
        if isinstance(value, (int, Fraction)) and value <= 0:
            raise ValueError(f"{key} is {value}, expected more than 0")
    return info


def _tensor(
    key: str, value: Mapping[str, Any], metadata: Mapping[str, str], *, data_start: int
) -> Tensor:
    if key not in _DTYPES:
        raise ValueError(f"unknown tensor {key!r}")
    dtype, shape, (start, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
    if (
        dtype not in _DTYPES[key]
        or len(shape) != _AXES[key]
        or not all(isinstance(n, int) and n >= 0 for n in shape)
    ):
        raise ValueError(
            f"tensor {key!r} is {dtype} {list(shape)}, expected {_DTYPES[key][0]} with {_AXES[key]} axes"
        )
    tensor = Tensor(
        dtype=dtype, shape=shape, start=data_start + start, sha256=metadata[f"sha256_{key}"]
    )
    if end - start != tensor.size_bytes:
        raise ValueError(f"tensor {key!r} has {end - start} bytes, expected {tensor.size_bytes}")
    return tensor


def _check(info: LatentsInfo, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError or KeyError where the tensors do not fit each other or the clip."""
    steps, _, rows, columns = tensors["latents"].shape
    if tensors["pts"].shape != (info.frames,):
        raise ValueError(f"{tensors['pts'].shape[0]} timestamps for {info.frames} frames")
    for axis, cells, factor, needed in (
        ("frames", steps, info.temporal_factor, info.frames),
        ("height", rows, info.spatial_factor, info.height_px),
        ("width", columns, info.spatial_factor, info.width_px),
    ):
        if cells * factor < needed:
            raise ValueError(f"latents for {cells * factor} of {needed} ({axis})")
    if ("sound" in tensors) != ("sound_times" in tensors):
        raise ValueError("sound without times, or times without sound")
    if "sound_times" in tensors and tensors["sound_times"].shape[1] != 2:
        raise ValueError(
            f"sound times of shape {list(tensors['sound_times'].shape)}, expected [packets, 2]"
        )


def _check_extent(
    tensors: Mapping[str, Tensor], *, data_start: int, size_bytes: int, name: str
) -> None:
    """Raise where the tensors do not follow each other to the very end of the file."""
    end = data_start
    for tensor in sorted(tensors.values(), key=lambda t: t.start):
        if tensor.start != end:
            raise IntegrityError(
                f"{name}: its tensors leave a gap or overlap at byte {end}; {_AGAIN}"
            )
        end += tensor.size_bytes
    if end != size_bytes:
        raise IntegrityError(f"{name}: has {size_bytes} bytes, expected {end}; {_AGAIN}")
