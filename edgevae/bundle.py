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
from typing import Any

from edgevae.errors import ConfigError, IncompatibleError, InputError, IntegrityError
from edgevae.files import atomic_folder, sha256
from edgevae.roles import VAE, Role, in_order, sense_of
from edgevae.senses import SensesSpec
from edgevae.spec import GraphSpec, Precision, VaeSpec, one_of
from edgevae.strict import from_dict, to_dict

FORMAT_VERSIONS = (1, 2, 3, 4)
"""What this edgevae reads.

2 is 1 with `nested_channels`, `lead_frames` and a halo of the whole frame in the spec. 3 is 2 with other graphs than an
encoder and a decoder, or with the size of pictures that are made of noise. 4 is 3 with other senses than frames,
each with its encoder and decoder.

A bundle is written as the lowest version that can say what it holds: one without any of these stays readable for every
edgevae, and one with them is refused by those that would not know what is meant.
"""
MANIFEST, DIGEST = "manifest.json", "manifest.sha256"
GOLDEN, VERIFICATION = "golden.safetensors", "verification.json"


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """One file of the bundle."""

    bytes: int
    """Its size."""
    sha256: str
    """Its digest, in hexadecimal."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `manifest.json` holds."""

    format_version: int
    """Of the bundle: the lowest of `FORMAT_VERSIONS` that can say what it holds."""
    name: str
    """The model's name, for people."""
    edgevae_version: str
    """Which edgevae wrote it."""
    checkpoint_sha256: str
    """Digest of the weights that it was exported from."""
    spec: VaeSpec
    """Factors, state, halo and normalisation."""
    graphs: tuple[GraphSpec, ...]
    """One per role and precision. What is no encoder or decoder has its caches here, not in the spec: latents are
    those of the VAE, whatever is built on it."""
    files: dict[str, FileEntry]
    """Every file of the bundle but the manifest and its digest."""
    picture_px: tuple[int, int] | None = None
    """Height and width of the pictures that the model makes of noise, as it was trained to; None for one that is
    given its pictures. A key only where there is one."""
    senses: SensesSpec | None = None
    """What the senses are, of a model of several; a key only there."""

    @property
    def model_digest(self) -> str:
        """sha256 of weights and specification: the same however and wherever the model was exported."""
        spec = json.dumps(self.spec.stored(), sort_keys=True)
        return sha256(f"{self.checkpoint_sha256} {spec}".encode())


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
        return cls(folder, _parse(data, where=str(folder / MANIFEST)), digest)

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
        format_version=_least_version(spec, graphs, picture_px),
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


def _parse(data: bytes, *, where: str) -> Manifest:
    try:
        parsed: Any = json.loads(data)  # Any: not checked yet
    except ValueError as error:
        raise IncompatibleError(f"{where}: not JSON ({error}); export the bundle again") from error
    version = parsed.get("format_version") if isinstance(parsed, dict) else None
    if type(version) is not int or version not in FORMAT_VERSIONS:
        raise IncompatibleError(
            f"{where}: format version {version!r}, this edgevae reads {one_of(FORMAT_VERSIONS)}; "
            "use a newer edgevae, or export the bundle again"
        )
    try:
        manifest = from_dict(Manifest, parsed, where=where)
    except ConfigError as error:
        raise IncompatibleError(str(error)) from error
    problem = _contradiction(manifest)
    if problem:
        raise IncompatibleError(f"{where}: {problem}; export the bundle again")
    for file in [*manifest.files, *(g.file for g in manifest.graphs)]:
        if Path(file).name != file or file not in manifest.files:
            raise IncompatibleError(
                f"{where}: file {file!r} is not a listed file of the bundle's own folder"
            )
    return manifest


def _beyond_version_1(spec: VaeSpec) -> tuple[str, ...]:
    """Return what a specification says that format version 1 has no words for."""
    said = {
        "nested channels": bool(spec.nested_channels),
        "lead frames": bool(spec.lead_frames),
        "halo of the whole frame": None in (spec.encoder_halo_px, spec.decoder_halo_cells),
    }
    return tuple(name for name, there in said.items() if there)


def _least_version(
    spec: VaeSpec, graphs: tuple[GraphSpec, ...], picture_px: tuple[int, int] | None
) -> int:
    """Return the lowest format version that can say what a bundle holds."""
    if _of_senses(graphs):
        return 4
    if {g.role for g in graphs} - set(VAE) or picture_px is not None:
        return 3
    return 2 if _beyond_version_1(spec) else 1


def _of_senses(graphs: tuple[GraphSpec, ...]) -> list[Role]:
    """Return the roles that only a model of several senses has."""
    return sorted({g.role for g in graphs if g.role == "fusion" or sense_of(g.role)})


def _contradiction(manifest: Manifest) -> str | None:
    """Return what in a manifest contradicts itself, or None."""
    beyond = _beyond_version_1(manifest.spec)
    if beyond and manifest.format_version < 2:
        return f"format version {manifest.format_version} has no {' and no '.join(beyond)}"
    others = sorted({g.role for g in manifest.graphs} - set(VAE))
    if manifest.format_version == 3:
        others = _of_senses(manifest.graphs)
    if others and manifest.format_version < 4:
        return f"format version {manifest.format_version} has no {' and no '.join(others)}"
    cell, picture = manifest.spec.spatial_factor, manifest.picture_px
    if picture is not None and (manifest.format_version < 3 or min(picture) < 1):
        return f"picture_px is {list(picture)} in format version {manifest.format_version}"
    if picture is not None and any(side % cell for side in picture):
        return f"picture_px is {list(picture)}, no multiple of the {cell} pixels of a cell"
    if manifest.senses is not None or _of_senses(manifest.graphs):
        problem = _senses_contradiction(manifest)
        if problem:
            return problem
    seen = set[tuple[Role, Precision]]()
    for graph in manifest.graphs:
        if graph.chunk_frames < 1 or graph.chunk_frames % manifest.spec.temporal_factor:
            return f"{graph.file} takes chunks of {graph.chunk_frames} frames, no multiple of the temporal factor"
        if graph.chunk_frames != manifest.graphs[0].chunk_frames:
            return f"{graph.file} takes chunks of another length than {manifest.graphs[0].file}"
        if not graph.inputs or not graph.outputs:
            return f"{graph.file} has no input or no output"
        given = manifest.spec.state(graph.role) if graph.role in VAE else graph.state
        if [(t.name, t.shape) for t in graph.state] != [(t.name, t.shape) for t in given]:
            return f"the state of {graph.file} is not that of the spec"
        if (graph.role, graph.precision) in seen:
            return f"there are two graphs for the {graph.role} in {graph.precision}"
        seen.add((graph.role, graph.precision))
    return None


def _senses_contradiction(manifest: Manifest) -> str | None:
    """Return what graphs and senses of a model of several senses contradict each other in, or None."""
    senses = manifest.senses
    if senses is None or not _of_senses(manifest.graphs):
        return "senses and the graphs of senses go together, and one is missing"
    known = {s.name: s for s in senses.senses}
    for graph in manifest.graphs:
        name = sense_of(graph.role)
        if name is None:
            continue
        own = graph.data if graph.role.startswith("encoder") else graph.outputs[0]
        if name not in known or own != known[name].tensor:
            return f"{graph.file} has not the tensor of a sense of the model"
    return None
