"""A bundle on disk: the graphs of one model, with a sha256 for every byte.

    NAME/
      manifest.sha256        sha256 of manifest.json, in hexadecimal, and a newline: the digest of the bundle
      manifest.json          format version, name, spec, graphs, and size and sha256 of every other file
      encoder.fp32.onnx      graphs, as the manifest names them
      golden.safetensors     golden vectors: inputs and outputs that every backend must reproduce
      verification.json      what export measured, against which gates

Nothing in a bundle is trusted before its digest is checked, and nothing in it is code of the host: ONNX graphs without
external data or custom operators, safetensors, JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgevae.errors import InputError, IntegrityError
from edgevae.files import atomic_folder, sha256
from edgevae.manifest import FileEntry, Manifest, least_version, parse_manifest
from edgevae.roles import Role, in_order
from edgevae.senses import SensesSpec
from edgevae.spec import GraphSpec, Precision, VaeSpec
from edgevae.strict import to_dict

MANIFEST, DIGEST = "manifest.json", "manifest.sha256"
GOLDEN, VERIFICATION = "golden.safetensors", "verification.json"


@dataclass(frozen=True)
class Bundle:
    """An opened bundle; its manifest is verified, its files are when they are read."""

    path: Path
    """The folder."""
    manifest: Manifest
    """What it holds."""
    digest: str
    """sha256 of `manifest.json`; stands for every byte of the bundle."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Return the bundle in a folder.

        Raises:
            InputError: the folder does not exist or is no bundle.
            IntegrityError: the manifest is not the one that was written.
            IncompatibleError: the bundle has another format version, or its manifest cannot be understood.
        """
        folder = Path(path)
        _require_bundle(folder)
        data = (folder / MANIFEST).read_bytes()
        digest = sha256(data)
        try:
            written = (folder / DIGEST).read_bytes().decode("ascii").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise IntegrityError(
                f"{folder / DIGEST}: not a sha256 in hexadecimal; copy or export the bundle again"
            ) from error
        if digest != written:
            raise IntegrityError(
                f"{folder / MANIFEST}: sha256 is {digest[:12]}..., expected {written[:12]}...; "
                "copy or export the bundle again"
            )
        return cls(folder, parse_manifest(data, where=str(folder / MANIFEST)), digest)

    def read(self, name: str) -> bytes:
        """Return the content of a file, after checking its digest.

        Raises:
            InputError: the manifest has no such file.
            IntegrityError: the file is missing or not the one that was written.
        """
        if name not in self.manifest.files:
            raise InputError(
                f"{self.path}: no file {name!r} in the bundle; it has {', '.join(self.manifest.files)}"
            )
        entry, path = self.manifest.files[name], self.path / name
        if not path.is_file():
            raise IntegrityError(f"{path}: missing; copy or export the bundle again")
        if path.stat().st_size != entry.bytes:
            raise IntegrityError(
                f"{path}: {path.stat().st_size} bytes, expected {entry.bytes}; copy or export the bundle again"
            )
        data = path.read_bytes()
        if sha256(data) != entry.sha256:
            raise IntegrityError(
                f"{path}: sha256 is {sha256(data)[:12]}..., expected {entry.sha256[:12]}...; "
                "copy or export the bundle again"
            )
        return data

    def graph(self, role: Role, precision: Precision) -> GraphSpec:
        """Return one of the graphs.

        Raises:
            InputError: the bundle has no graph of this role and precision.
        """
        for graph in self.manifest.graphs:
            if (graph.role, graph.precision) == (role, precision):
                return graph
        self.require((role,), what="this")
        have = ", ".join(sorted({g.precision for g in self.manifest.graphs}))
        raise InputError(
            f"{self.path}: no {role} in {precision}, it has {have}; export with --precision {precision}"
        )

    def require(self, roles: tuple[Role, ...], *, what: str) -> None:
        """Check that there are graphs of some roles, in whatever precision.

        Raises:
            InputError: the bundle is of another kind of model.
        """
        missing = [role for role in roles if role not in self.roles]
        if missing:
            raise InputError(
                f"{self.path}: has no {' and no '.join(missing)}, which {what} needs; it has {', '.join(self.roles)}"
            )

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles of which there are graphs, in the order of `FLOWS`, then those of senses."""
        return in_order(g.role for g in self.manifest.graphs)

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions in which graphs of all its roles are here, fp32 first."""
        roles_of = {
            p: {g.role for g in self.manifest.graphs if g.precision == p} for p in ("fp32", "fp16")
        }
        order: tuple[Precision, ...] = ("fp32", "fp16")
        return tuple(p for p in order if roles_of[p] and roles_of[p] == set(self.roles))


def is_bundle(path: str | os.PathLike[str]) -> bool:
    """Return whether a folder claims to be a bundle."""
    return Path(path, MANIFEST).is_file()


def write_bundle(
    path: str | os.PathLike[str],
    files: Mapping[str, bytes],
    *,
    name: str,
    checkpoint_sha256: str,
    spec: VaeSpec,
    graphs: tuple[GraphSpec, ...],
    edgevae_version: str,
    picture_px: tuple[int, int] | None = None,
    senses: SensesSpec | None = None,
    replace: bool = False,
) -> Bundle:
    """Write a bundle, whole or not at all, and return it opened.

    Args:
        path: The folder to make.
        files: Content by file name: graphs, golden vectors, verification.
        name: The model's name.
        checkpoint_sha256: Digest of the weights.
        spec: The specification.
        graphs: The graphs; each one's `file` is among `files`.
        edgevae_version: Which edgevae writes it.
        picture_px: Height and width of the pictures that it makes of noise, where it makes any.
        senses: What the senses are, of a model of several.
        replace: Put the new bundle in the place of an existing one.

    Raises:
        InputError: the folder exists and `replace` is false, or is not a bundle.
        IncompatibleError: what it would say contradicts itself.
    """
    folder = Path(path)
    if folder.exists() and not (replace and is_bundle(folder)):
        what = (
            "a bundle; replace it with --overwrite"
            if is_bundle(folder)
            else "not a bundle; give another path"
        )
        raise InputError(f"{folder}: exists and is {what}")
    entries = {
        n: FileEntry(bytes=len(data), sha256=sha256(data)) for n, data in sorted(files.items())
    }
    manifest = Manifest(
        format_version=least_version(spec, graphs, picture_px),
        name=name,
        edgevae_version=edgevae_version,
        checkpoint_sha256=checkpoint_sha256,
        spec=spec,
        graphs=graphs,
        files=entries,
        picture_px=picture_px,
        senses=senses,
    )
    stored = to_dict(manifest) | {"spec": spec.stored()}
    for key, value in {"picture_px": picture_px, "senses": senses}.items():
        if value is None:
            del stored[key]
    data = (json.dumps(stored, indent=1) + "\n").encode()
    parse_manifest(data, where=str(folder / MANIFEST))  # before it takes the place of another one
    with atomic_folder(folder, replace=replace) as partial:
        for file, content in {
            **files,
            MANIFEST: data,
            DIGEST: f"{sha256(data)}\n".encode(),
        }.items():
            (partial / file).write_bytes(content)
    return Bundle.open(folder)


def _require_bundle(folder: Path) -> None:
    if not folder.exists():
        raise InputError(
            f"{folder}: no such file or folder; expected a bundle, as `edgevae export` writes it"
        )
    if not folder.is_dir():
        raise InputError(
            f"{folder}: is a file, expected the folder of a bundle, as `edgevae export` writes it"
        )
    for name in (MANIFEST, DIGEST):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder}: no {name} in it, so it is no bundle; make one with `edgevae export`"
            )
