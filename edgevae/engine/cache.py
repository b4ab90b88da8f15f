"""The engine cache: engines that were built on this machine, found again by all that they depend on.

    EDGEVAE_CACHE_DIR/engines/
      street-decoder-0123456789abcdef/     one engine, named by the digest of its key
        engine.plan                        what TensorRT loads
        engine.json                        its key, digests and figures: see record.py
      .street-decoder-0123456789abcdef.lock
      .street-decoder-0123456789abcdef.x7a.partial/     being written, or litter of a build that was killed

Whoever builds holds the lock, so processes that want the same engine build it once. A folder is renamed into its place
when all of it is on the disk. What is loaded is the bytes whose digest was checked, not the file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from edgevae.engine.profile import Size, smallest
from edgevae.engine.record import (
    FORMAT_VERSION,
    Built,
    CachedEngine,
    EngineKey,
    EngineRecord,
    decode,
    encode,
    finite,
)
from edgevae.errors import EdgeVaeError, IncompatibleError, IntegrityError
from edgevae.files import atomic_folder, cache_folder, sha256
from edgevae.version import __version__

__all__ = ["Built", "CachedEngine", "EngineCache", "EngineKey", "EngineRecord"]

PLAN, SIDECAR = "engine.plan", "engine.json"

_logger = logging.getLogger("edgevae")


class EngineCache:
    """Engines in a folder.

    Args:
        folder: Where; by default `engines` in the cache folder of edgevae.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = cache_folder() / "engines" if folder is None else Path(folder)

    def find(self, key: EngineKey) -> CachedEngine | None:
        """Return the engine of a key with its digests checked, or None where there is none.

        Raises:
            IntegrityError: its bytes are not the ones that were written.
        """
        folder = self.folder / key.folder_name
        try:
            return _read(folder, key)
        except IntegrityError:
            # Another process may have been putting a new engine in its place.
            return _read(folder, key)

    def find_or_build(
        self,
        key: EngineKey,
        build: Callable[[], Built],
        *,
        allow_build: bool = True,
        force: bool = False,
    ) -> CachedEngine:
        """Return the engine of a key, building it where it is absent, stale or damaged.

        Args:
            key: What it depends on.
            build: Builds it; called at most once, by one process at a time.
            allow_build: False makes a missing engine an error.
            force: Build even where it is in the cache.

        Raises:
            IncompatibleError: no engine, and `allow_build` is false; names what differs from the ones that are there.
            IntegrityError: the engine is damaged, and `allow_build` is false.
            EdgeVaeError: the cache's folder cannot be written, or is full.
        """
        if not force:
            try:
                found = self.find(key)
            except IncompatibleError:
                if not allow_build:
                    raise
                found = None  # said below, by whoever holds the lock
            if found is not None:
                return found
        if not allow_build:
            raise IncompatibleError(self._why_none(key))
        with self._locked(key):
            self._remove_litter(key)
            found = None if force else self._find_or_tell(key)
            return found or self._keep(key, build())

    def candidates(self, key: EngineKey) -> tuple[EngineRecord, ...]:
        """Return the records of engines that differ from a key in their options only: other sizes, other settings."""
        return tuple(r for r in self.entries() if replace(r.key, options=key.options) == key)

    def best(self, key: EngineKey, size: Size, *, exact: bool = False) -> CachedEngine | None:
        """Return the engine that suits a frame size best: a static one of this size, else the smallest that covers it.

        A damaged engine is passed over, with a line in the log.

        Args:
            key: What else it depends on. Of its settings those count that it asks for: an engine that was built with
                `edgevae build --level 5` serves who asks for no level.
            size: In whole latent cells.
            exact: Take an engine of the key's own profiles only; else these do not count.
        """
        fitting = list[tuple[bool, int, EngineKey]]()
        for record in self.candidates(key):
            options = record.key.options
            index = smallest(options.profiles, size)
            if index is None or not options.keeps(key.options):
                continue
            if exact and options.profiles != key.options.profiles:
                continue
            is_static = len(options.profiles) == 1 and options.profiles[0].is_static
            fitting.append((not is_static, options.profiles[index].pixels, record.key))
        for _, _, fit in sorted(fitting, key=lambda f: f[:2]):
            try:
                found = self.find(fit)
            except IntegrityError as error:
                _logger.warning("%s", error)
            else:
                if found is not None:
                    return found
        return None

    def entries(self) -> tuple[EngineRecord, ...]:
        """Return the record of every engine, by name; what cannot be read is left out, with a line in the log."""
        records = []
        for path in sorted(self.folder.glob(f"[!.]*/{SIDECAR}")):
            try:
                records.append(decode(path.read_bytes(), where=path))
            except FileNotFoundError:
                continue  # replaced or removed at this moment
            except IncompatibleError as error:
                _logger.warning("%s", error)
        return tuple(records)

    @contextlib.contextmanager
    def _locked(self, key: EngineKey) -> Iterator[None]:
        """Hold the lock of a key for a block; the system lets go of it when a process dies."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / f".{key.folder_name}.lock")
        with self._writing(key):  # found out before minutes are spent on a build
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                _logger.warning("another process builds %s, waiting for it", key)
                lock.acquire(poll_interval=0.2)
        try:
            yield
        finally:
            lock.release()

    def _find_or_tell(self, key: EngineKey) -> CachedEngine | None:
        """Return the engine if it is whole by now, else say why it is built."""
        try:
            found = self.find(key)
        except IncompatibleError as error:
            _logger.warning("%s; building it now", str(error).partition(";")[0])
            return None
        if found is None:
            for record in self._stale(key):
                _logger.warning(
                    "%s: the engine in the cache is stale: %s", key, key.say_differences(record.key)
                )
        return found

    def _stale(self, key: EngineKey) -> list[EngineRecord]:
        """Return the records of engines for the same purpose that something has outdated, the nearest first."""
        same = [
            record
            for record in self.entries()
            if (record.key.model, record.key.role, record.key.precision, record.key.options)
            == (key.model, key.role, key.precision, key.options)
        ]
        return sorted(same, key=lambda r: len(key.differences(r.key)))

    def _why_none(self, key: EngineKey) -> str:
        what_to_do = "build it with `edgevae build`, or allow building"
        stale = self._stale(key)
        if stale:
            return f"{key}: the engine in the cache is stale: {key.say_differences(stale[0].key)}; {what_to_do}"
        sizes = ", ".join(str(record.key.options) for record in self.candidates(key))
        have = f"engines of other sizes or settings: {sizes}" if sizes else "none of this model"
        return f"{key}: no such engine in {self.folder}, it has {have}; {what_to_do}"

    def _keep(self, key: EngineKey, built: Built) -> CachedEngine:
        record = EngineRecord(
            format_version=FORMAT_VERSION,
            key=key,
            plan_sha256=sha256(built.plan),
            plan_bytes=len(built.plan),
            build_seconds=built.seconds,
            layers=built.layers,
            parity=finite(built.parity),
            built_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            edgevae_version=__version__,
        )
        folder = self.folder / key.folder_name
        with self._writing(key), atomic_folder(folder, replace=True) as partial:
            (partial / PLAN).write_bytes(built.plan)
            (partial / SIDECAR).write_bytes(encode(record))
        return CachedEngine(built.plan, record, folder / PLAN)

    def _remove_litter(self, key: EngineKey) -> None:
        """Remove what a killed build of the same engine left; the caller holds the lock."""
        for path in self.folder.glob(f".{key.folder_name}.*"):
            if path.suffix in (".partial", ".old"):
                shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def _writing(self, key: EngineKey) -> Iterator[None]:
        """Make one line of what the system says to writing in the cache."""
        try:
            yield
        except OSError as error:
            raise EdgeVaeError(
                f"{self.folder}: the engine {key} cannot be written ({error.strerror or error}); free some space, or "
                "set EDGEVAE_CACHE_DIR to a folder that can be written"
            ) from error


def _read(folder: Path, key: EngineKey) -> CachedEngine | None:
    sidecar, path = folder / SIDECAR, folder / PLAN
    if not folder.is_dir():
        return None
    again = "build the engine again with `edgevae build --force`"
    try:
        record = decode(sidecar.read_bytes(), where=sidecar)
        plan = path.read_bytes()
    except FileNotFoundError as error:
        raise IntegrityError(f"{error.filename}: missing; {again}") from error
    if record.key != key:
        raise IntegrityError(
            f"{folder}: holds another engine ({key.say_differences(record.key)}); {again}"
        )
    if len(plan) != record.plan_bytes:
        raise IntegrityError(f"{path}: {len(plan)} bytes, expected {record.plan_bytes}; {again}")
    digest = sha256(plan)
    if digest != record.plan_sha256:
        raise IntegrityError(
            f"{path}: sha256 is {digest[:12]}..., expected {record.plan_sha256[:12]}...; {again}"
        )
    return CachedEngine(plan, record, path)
