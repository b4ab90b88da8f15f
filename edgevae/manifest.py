"""What `manifest.json` of a bundle holds, and what makes one contradict itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevae.errors import ConfigError, IncompatibleError
from edgevae.files import sha256
from edgevae.roles import VAE, Role, sense_of
from edgevae.senses import SensesSpec
from edgevae.spec import GraphSpec, Precision, VaeSpec, one_of
from edgevae.strict import from_dict

FORMAT_VERSIONS = (1, 2, 3, 4)
"""What this edgevae reads.

2 is 1 with `nested_channels`, `lead_frames` and a halo of the whole frame in the spec. 3 is 2 with other graphs than an
encoder and a decoder, or with the size of pictures that are made of noise. 4 is 3 with other senses than frames,
each with its encoder and decoder.

A bundle is written as the lowest version that can say what it holds: one without any of these stays readable for every
edgevae, and one with them is refused by those that would not know what is meant.
"""


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


def parse_manifest(data: bytes, *, where: str) -> Manifest:
    """Return what a manifest says.

    Args:
        data: The content of the file.
        where: Its path, for messages.

    Raises:
        IncompatibleError: another format version, or it cannot be understood, or contradicts itself.
    """
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


def least_version(
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
    if manifest.spec.temporal_factor != senses.window_frames:
        return f"a latent step stands for {manifest.spec.temporal_factor} frames, a window for {senses.window_frames}"
    for graph in manifest.graphs:
        own = senses.tensors(graph.role, channels=manifest.spec.latent_channels)
        if own is None or (graph.inputs, graph.outputs) != ((own[0],), (own[1],)):
            return f"{graph.file} has not the tensors of a sense of the model"
        if graph.chunk_frames != senses.window_frames:
            return f"{graph.file} takes {graph.chunk_frames} frames, no window of {senses.window_frames}"
    return None
