"""What an engine was built from, and the sidecar file that says so.

    engine.json      body: one JSON object
                     sha256 of the body, in hexadecimal
                     (each ends with a newline)

The body holds the sha256 of `engine.plan`, so any changed byte of either file is noticed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from edgevae.engine.build import BuildOptions
from edgevae.engine.inspection import LayerTypes
from edgevae.errors import EdgeVaeError, IncompatibleError, IntegrityError
from edgevae.files import sha256
from edgevae.spec import Precision, Role
from edgevae.strict import from_dict, to_dict

FORMAT_VERSION = 1
"""Of the sidecar and of how engines are built; a change makes every engine stale."""


@dataclass(frozen=True, kw_only=True)
class EngineKey:
    """All that an engine depends on; another value of any field asks for another engine."""

    model: str
    """The model's name, for people."""
    role: Role
    """encoder or decoder."""
    precision: Precision
    """Of the graph."""
    graph_sha256: str
    """Of the ONNX graph."""
    tensorrt: str
    """`tensorrt` or `tensorrt_rtx`."""
    tensorrt_version: str
    """Its full version."""
    gpu: str
    """The GPU's name."""
    compute_capability: str
    """Its compute capability, as in `8.7`."""
    multiprocessors: int
    """How many it has switched on; 0 where unknown. Jetsons of one name and capability differ in it."""
    driver: str
    """The kernel driver's major version; empty where unknown, as under WSL."""
    cuda: str
    """The newest CUDA that the driver supports, as in `12.6`; empty where unknown."""
    options: BuildOptions
    """Sizes and settings."""

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that stand for every field."""
        text = json.dumps({"format": FORMAT_VERSION, **to_dict(self)}, sort_keys=True)
        return sha256(text.encode())[:16]

    @property
    def folder_name(self) -> str:
        """The name of the engine's folder in the cache."""
        model = re.sub(r"[^A-Za-z0-9._-]", "_", self.model).lstrip(".")[:60] or "model"
        return f"{model}-{self.role}-{self.digest}"

    def __str__(self) -> str:
        return f"{self.model} {self.role} {self.precision} {self.options}"

    def differences(self, other: EngineKey) -> dict[str, tuple[str, str]]:
        """Return each field that differs, with this key's value and the other's."""
        mine, theirs = _flat(self), _flat(other)
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}

    def say_differences(self, other: EngineKey) -> str:
        """Return each field that differs as text: what the other has, and what this key expects."""
        return ", ".join(
            f"{name} is {theirs or 'none'}, expected {mine or 'none'}"
            for name, (mine, theirs) in self.differences(other).items()
        )


@dataclass(frozen=True, kw_only=True)
class EngineRecord:
    """What `engine.json` holds."""

    format_version: int
    """`FORMAT_VERSION` of the edgevae that wrote it."""
    key: EngineKey
    """What the engine was built from."""
    plan_sha256: str
    """Of `engine.plan`."""
    plan_bytes: int
    """Its size."""
    build_seconds: float
    """How long the build took."""
    layers: LayerTypes
    """In which arithmetic its layers run."""
    parity: dict[str, float | None] = field(default_factory=dict)
    """What was measured against the golden vectors; null where infinite or not a number."""
    built_at: str
    """When, in UTC, as in `2026-11-21T12:00:00Z`."""
    edgevae_version: str
    """Which edgevae built it."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """An engine that was just built and checked, for the cache to keep."""

    plan: bytes
    """The serialized engine."""
    layers: LayerTypes
    """In which arithmetic its layers run."""
    seconds: float
    """How long the build took."""
    parity: Mapping[str, float] = field(default_factory=dict)
    """What was measured against the golden vectors."""


@dataclass(frozen=True)
class CachedEngine:
    """An engine whose bytes are the ones that were written."""

    plan: bytes
    """The serialized engine."""
    record: EngineRecord
    """What it was built from."""
    path: Path
    """The file that it is in."""


def encode(record: EngineRecord) -> bytes:
    """Return the content of a record's sidecar."""
    body = json.dumps(to_dict(record), indent=1).encode()
    return body + b"\n" + sha256(body).encode() + b"\n"


def decode(data: bytes, *, where: Path) -> EngineRecord:
    """Return the record that a sidecar holds.

    Args:
        data: The sidecar's content.
        where: Its path, for the message.

    Raises:
        IntegrityError: the bytes are not the ones that were written.
        IncompatibleError: another edgevae wrote it, in another format.
    """
    body, newline, digest = data[:-1].rpartition(b"\n")
    if not newline or data[-1:] != b"\n" or sha256(body).encode() != digest:
        raise IntegrityError(
            f"{where}: sha256 is {sha256(body)[:12]}..., expected {digest[:12].decode('ascii', 'replace')!r}...; "
            "build the engine again with `edgevae build --force`"
        )
    try:
        parsed: Any = json.loads(body)  # Any: checked next
    except ValueError as error:
        raise IncompatibleError(f"{where}: not JSON ({error}); build the engine again") from error
    version = parsed.get("format_version") if isinstance(parsed, Mapping) else None
    if version != FORMAT_VERSION:
        raise IncompatibleError(
            f"{where}: format version {version!r}, this edgevae reads {FORMAT_VERSION}; build the engine again"
        )
    try:
        return from_dict(EngineRecord, parsed, where=str(where))
    except EdgeVaeError as error:
        raise IncompatibleError(f"{error}; build the engine again") from error


def finite(parity: Mapping[str, float]) -> dict[str, float | None]:
    """Return figures with null for what JSON has no word for."""
    return {name: value if math.isfinite(value) else None for name, value in parity.items()}


def _flat(key: EngineKey) -> dict[str, str]:
    """Return a key's fields, those of its options among them, as text."""
    plain = {f.name: str(getattr(key, f.name)) for f in fields(key) if f.name != "options"}
    options = {f.name: getattr(key.options, f.name) for f in fields(key.options)}
    return plain | {
        name: str(key.options) if name == "profiles" else str(value)
        for name, value in options.items()
    }
