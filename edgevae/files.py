"""Files that are whole or absent: written beside their place, flushed, then renamed into it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_BLOCK_BYTES = 2**20
"""Of a file that is digested, at a time."""


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file of any size, in hexadecimal, in constant memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def cache_folder() -> Path:
    """Return where edgevae keeps what it can make again: `EDGEVAE_CACHE_DIR`, else `edgevae` in the XDG cache."""
    own = os.environ.get("EDGEVAE_CACHE_DIR")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgevae"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that at any moment it is the old one, the new one or absent, never a part."""
    with atomic_file(path) as partial:
        partial.write_bytes(data)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a hidden path beside `path`; what is written there takes its place, or is removed on an error."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        _flush(partial)
        partial.replace(path)
        _flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a new folder beside `path`; it takes its place at the end, or is removed on an error.

    Args:
        path: Where the folder goes.
        replace: Put an existing folder there aside first, and remove it when the new one is in place.

    Raises:
        FileExistsError: `path` exists and `replace` is false.
    """
    if path.exists() and not replace:
        raise FileExistsError(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    partial.chmod(0o755)
    try:
        yield partial
        for file in partial.iterdir():
            _flush(file)
        _flush(partial)
        if path.exists() and not replace:  # somebody else was faster
            raise FileExistsError(path)
        old = partial.with_suffix(".old")
        if path.exists():
            path.rename(old)
        partial.rename(path)
        _flush(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _flush(path: Path) -> None:
    """Have the system write a file or folder to the disk, so that a rename never outruns its content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
