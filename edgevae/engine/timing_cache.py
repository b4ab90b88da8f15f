"""What TensorRT measured while it built engines, kept so that the next build on the same GPU and version is faster.

    EDGEVAE_CACHE_DIR/engines/.timing/0123456789abcdef.cache      sha256 of the rest, 32 bytes; then TensorRT's bytes

It only saves time: a damaged or foreign one is dropped, and of two that are written at once the later one stays.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

from edgevae.engine.record import EngineKey
from edgevae.files import sha256, write_atomically

_HEAD = hashlib.sha256().digest_size

_logger = logging.getLogger("edgevae")


def read_timing_cache(folder: Path, key: EngineKey) -> bytes | None:
    """Return what was measured on a key's GPU with its TensorRT, or None where nothing was.

    Args:
        folder: The engine cache's.
        key: Names the GPU and the TensorRT.
    """
    path = _path(folder, key)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[_HEAD:]).digest() != data[:_HEAD]:
        _logger.warning("%s: damaged; layers are measured anew", path)
        path.unlink(missing_ok=True)
        return None
    return data[_HEAD:]


def write_timing_cache(folder: Path, key: EngineKey, data: bytes) -> None:
    """Keep what was measured; a disk that does not take it is told in the log, for no engine depends on it."""
    from filelock import FileLock

    path = _path(folder, key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            write_atomically(path, hashlib.sha256(data).digest() + data)
    except OSError as error:
        _logger.warning("%s: not kept (%s)", path, error.strerror or error)


def _path(folder: Path, key: EngineKey) -> Path:
    gpu = (key.gpu, key.compute_capability, key.multiprocessors)
    own = (key.tensorrt, key.tensorrt_version, *gpu)
    return folder / ".timing" / f"{sha256(json.dumps(own).encode())[:16]}.cache"
