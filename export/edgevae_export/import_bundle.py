"""A pair of ONNX files to a bundle: looked through, wrapped, compared with what they were, written."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from edgevae.bundle import GOLDEN, VERIFICATION, Bundle, is_bundle, write_bundle
from edgevae.errors import InputError, UnavailableError
from edgevae.files import sha256, sha256_of_file
from edgevae.frames import Frames
from edgevae.spec import GraphSpec, Precision, Role
from edgevae.version import __version__
from edgevae_export import autocast, verify
from edgevae_export.export_vae import GOLDEN_PX
from edgevae_export.foreign_graphs import ForeignGraph
from edgevae_export.halo_check import require_halos
from edgevae_export.import_child import prepare
from edgevae_export.import_spec import ImportSpec, read_import_spec
from edgevae_export.inspect_onnx import MOST_BYTES
from edgevae_export.runs import ROLES, Run, onnx_run, onnx_runs
from edgevae_export.samples import samples
from edgevae_export.to_tensorrt import check_builds

REFERENCE = "the graphs as they were given, in ONNX Runtime"
"""What the wrapped graphs are compared with."""

Step = Callable[[str], None]


def steps(precisions: Sequence[Precision]) -> int:
    """Return how many steps `import_bundle` reports."""
    return 5 + 3 * ("fp16" in precisions)


def import_bundle(
    encoder: str | os.PathLike[str],
    decoder: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    spec: str | os.PathLike[str],
    precisions: Sequence[Precision] = ("fp32",),
    name: str | None = None,
    calibration: Frames | None = None,
    gates: verify.Gates | None = None,
    replace_existing: bool = False,
    step: Step = lambda _: None,
) -> tuple[Bundle, verify.Verification]:
    """Write a bundle of two ONNX files, whole or not at all, and return it with what was measured.

    Args:
        encoder: float pixels `[B*T, 3, H, W]` to latents `[B*t, C, h, w]`, with dynamic batch, height and width.
        decoder: Back.
        path: The bundle's folder.
        spec: `spec.json`, see `ImportSpec`.
        precisions: fp32, or both; half precision is AutoCast's.
        name: The model's name; by default the folder's of the encoder.
        calibration: Real frames uint8 `[T, H, W, 3]` to check on instead of those in the package.
        gates: What must be kept to.
        replace_existing: Put the new bundle in the place of an existing one.
        step: Called before each step with its name.

    Raises:
        InputError: a file is missing or refused, or the path exists.
        ConfigError: the spec is not valid, or a halo of it is too small.
        UnavailableError: fp16 is wanted and AutoCast is not installed.
        ParityError: a graph is off a gate, or refused by TensorRT's builder.
    """
    target, meaning = Path(path), read_import_spec(Path(spec))
    if target.exists() and not (replace_existing and is_bundle(target)):
        raise InputError(f"{target}: exists; give another path, or --overwrite to replace a bundle")
    if "fp16" in precisions and not autocast.is_installed():
        raise UnavailableError(f"fp16: {autocast.MISSING}")
    pair = _Pair.open(Path(encoder), Path(decoder), spec=Path(spec), meaning=meaning, step=step)
    clips = samples(
        chunk_frames=pair.graphs[0].chunk_frames,
        cell_px=meaning.vae.spatial_factor,
        real=calibration,
    )
    step("run the graphs as they are")
    require_halos(
        pair.originals,
        meaning.vae,
        chunk_frames=pair.graphs[0].chunk_frames,
        where=str(spec),
        gates=gates,
    )
    expected = {kind: (pair.reference(clip),) for kind, clip in clips.items()}
    graphs, files = list(pair.graphs), dict(pair.files)
    if "fp16" in precisions:
        for graph in pair.graphs:
            step(f"convert {graph.role} to fp16")
            half = _half(graph)
            files[half.file] = autocast.halve(
                pair.files[graph.file], graph, calibration=pair.one_call(graph, expected["real"][0])
            )
            graphs.append(half)
    result = _verify(pair, graphs, files, expected, gates=gates or verify.Gates(), step=step)
    step("write")
    files[GOLDEN] = pair.golden(clips["real"])
    files[VERIFICATION] = verify.as_json(result)
    bundle = write_bundle(
        target,
        files,
        name=name or Path(encoder).resolve().parent.name,
        checkpoint_sha256=sha256("".join(pair.digests).encode()),
        spec=meaning.vae,
        graphs=tuple(graphs),
        edgevae_version=__version__,
        replace=replace_existing,
    )
    return bundle, result


@dataclass(frozen=True)
class _Pair:
    """Two foreign files: as they were, and wrapped."""

    meaning: ImportSpec
    """Their spec."""
    graphs: tuple[GraphSpec, ...]
    """Of the wrapped ones, fp32."""
    files: dict[str, bytes]
    """The wrapped ones, by file name in the bundle."""
    digests: tuple[str, ...]
    """sha256 of the foreign files."""
    originals: dict[Role, Run]
    """The foreign files, run on clips."""

    @classmethod
    def open(
        cls, encoder: Path, decoder: Path, *, spec: Path, meaning: ImportSpec, step: Step
    ) -> _Pair:
        graphs, files, digests = list[GraphSpec](), dict[str, bytes](), list[str]()
        originals: dict[Role, Run] = {}
        for role, path in zip(ROLES, (encoder, decoder), strict=True):
            step(f"look through the {role}")
            digest = _digest(path)
            graph = meaning.graph(role)
            files[graph.file], inputs, outputs = prepare(path, digest, spec=spec, role=role)
            original = ForeignGraph(_read(path, digest), inputs, outputs, spec=meaning, graph=graph)
            originals[role] = partial(onnx_run, original, meaning.vae)
            graphs.append(graph)
            digests.append(digest)
        return cls(meaning, tuple(graphs), files, tuple(digests), originals)

    def reference(self, clip: Frames) -> verify.Reference:
        """Return what the foreign graphs make of a clip."""
        latents = self.originals["encoder"](clip)
        return verify.Reference(clip, latents, self.originals["decoder"](latents))

    def one_call(self, graph: GraphSpec, real: verify.Reference) -> dict[str, np.ndarray]:
        """Return the inputs of a clip's first call, by name."""
        data = real.clip if graph.role == "encoder" else real.latents
        height, width = real.clip.shape[1:3]
        sizes = {"batch": 1, "height": height, "width": width}
        state = {s.name: np.zeros(s.resolve(sizes), np.float32) for s in graph.state}
        return {graph.data.name: np.ascontiguousarray(data[: graph.chunk_length]), **state}

    def golden(self, real: Frames) -> bytes:
        """Return golden vectors: two chunks of real frames, and what the foreign graphs make of them."""
        from safetensors.numpy import save

        count = 2 * self.graphs[0].chunk_frames
        cell = self.meaning.vae.spatial_factor
        side = max(GOLDEN_PX // cell, 1) * cell
        frames = np.ascontiguousarray(real[:count, :side, :side])
        found = self.reference(frames)
        data: bytes = save({"frames": frames, "latents": found.latents, "decoded": found.frames})
        return data


def _verify(
    pair: _Pair,
    graphs: Sequence[GraphSpec],
    files: dict[str, bytes],
    expected: verify.Expected,
    *,
    gates: verify.Gates,
    step: Step,
) -> verify.Verification:
    comparisons = list[verify.Comparison]()
    for precision in dict.fromkeys(g.precision for g in graphs):
        step(f"compare {precision} with the graphs as they were")
        runs = onnx_runs(
            [(files[g.file], g) for g in graphs if g.precision == precision], pair.meaning.vae
        )
        comparisons += verify.compare_all(
            expected, runs, "onnxruntime", precision=precision, gates=gates
        )
    step("build with TensorRT-RTX")
    return verify.Verification(
        gates=gates,
        comparisons=tuple(comparisons),
        fp16_peak_activation=None,
        fp16_peak_layer=None,
        builds=check_builds(files, graphs, cell_px=pair.meaning.vae.spatial_factor),
        reference=REFERENCE,
    )


def _half(graph: GraphSpec) -> GraphSpec:
    """Return the fp16 graph: its state stays float32, as AutoCast leaves what comes in and goes out."""
    return replace(graph, precision="fp16", file=f"{graph.role}.fp16.onnx")


def _digest(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected an ONNX graph")
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes, expected at most {MOST_BYTES}")
    return sha256_of_file(path)


def _read(path: Path, digest: str) -> bytes:
    """Return the bytes that were looked through, and no others."""
    data = path.read_bytes()
    if sha256(data) != digest:
        raise InputError(f"{path}: changed while it was read; import it again")
    return data
