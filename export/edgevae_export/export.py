"""A checkpoint to a bundle: export, check, write."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from torch import nn

from edgevae.bundle import GOLDEN, VERIFICATION, Bundle, is_bundle, write_bundle
from edgevae.errors import InputError
from edgevae.frames import Frames
from edgevae.roles import FLOWS
from edgevae.spec import GraphSpec, Precision, Role
from edgevae.version import __version__
from edgevae_export import decoder_alone, nested, verify
from edgevae_export.exportable import Source, graph_spec
from edgevae_export.mixed import MixedPrecision, find_pins
from edgevae_export.own_senses import SensesSource
from edgevae_export.parts import (
    CheckedPart,
    HalfPart,
    compare_files,
    half_part,
    latents_of,
    part_data,
    reference,
)
from edgevae_export.precision import Peaks, halved, highest
from edgevae_export.runs import ROLES, onnx_runs, torch_runs, whole_runs
from edgevae_export.samples import samples
from edgevae_export.senses import export_senses
from edgevae_export.sources import open_senses_source, open_source
from edgevae_export.to_onnx import to_onnx
from edgevae_export.to_tensorrt import check_builds

GOLDEN_PX = 64
"""Side of the golden frames: small, so that every load can afford them."""

Step = Callable[[str], None]
"""Told what comes next, for a progress bar."""

Search = Callable[[int, int], None]
"""Told the runs in half precision so far, and how many there may be."""


def steps(precisions: Sequence[Precision], *, parts: int = 0) -> int:
    """Return how many steps `export_bundle` reports for a VAE, or a model with so many parts beside it."""
    return (3 + parts) * len(precisions) + 3 + ("fp16" in precisions)


def export_bundle(
    checkpoint: str | os.PathLike[str] | Source | SensesSource,
    path: str | os.PathLike[str],
    *,
    precisions: Sequence[Precision] = ("fp32", "fp16"),
    chunk_frames: int | None = None,
    log_variance: bool = False,
    name: str | None = None,
    calibration: Frames | None = None,
    gates: verify.Gates | None = None,
    replace_existing: bool = False,
    step: Step = lambda _: None,
    search: Search = lambda _, __: None,
) -> tuple[Bundle, verify.Verification]:
    """Write a bundle of a checkpoint, whole or not at all, and return it with what was measured.

    Args:
        checkpoint: A folder with a checkpoint of ours or a VAE of diffusers, the name of a shipped model, or a VAE; one
            of several senses is checked on windows of its own, and takes no other options than names, gates and paths.
        path: The bundle's folder.
        precisions: Which variants.
        chunk_frames: Frames per call of a graph; by default the temporal factor.
        log_variance: Also give the posterior's log-variance.
        name: The model's name; by default the source's.
        calibration: Real frames uint8 `[T, H, W, 3]` to check on instead of those in the package.
        gates: What must be kept to.
        replace_existing: Put the new bundle in the place of an existing one.
        step: Called before each step with its name.
        search: Called before each run of a search for the layers that must be float32, where one is needed.

    Raises:
        InputError: no checkpoint, or the path exists, or the chunk is no multiple of the temporal factor.
        UnavailableError: the checkpoint needs a library that is not installed.
        ParityError: a graph is off a gate, not valid ONNX, or refused by TensorRT's builder.
    """
    target = Path(path)
    several = checkpoint if isinstance(checkpoint, SensesSource) else None
    if not isinstance(checkpoint, (Source, SensesSource)):
        several = open_senses_source(checkpoint)
    if several is not None:
        _refuse_options_of_frames(several, chunk_frames, log_variance, calibration)
        return export_senses(
            several,
            target,
            precisions=precisions,
            name=name,
            gates=gates,
            replace_existing=replace_existing,
            step=step,
        )
    assert not isinstance(checkpoint, SensesSource), "they were exported above"
    if target.exists() and not (replace_existing and is_bundle(target)):
        raise InputError(f"{target}: exists; give another path, or --overwrite to replace a bundle")
    source = checkpoint if isinstance(checkpoint, Source) else open_source(checkpoint)
    if log_variance and not source.exportable.has_log_variance:
        raise InputError(f"{source.name}: has no log-variance, its encoder gives latents alone")
    gates = gates or verify.Gates()
    if source.roles == decoder_alone.ROLES:
        return decoder_alone.export_decoder(
            source,
            target,
            precisions=precisions,
            chunk_frames=chunk_frames,
            name=name or source.name,
            gates=gates,
            replace_existing=replace_existing,
            step=step,
        )
    spec = source.exportable.spec
    chunk = _chunk(source, chunk_frames)
    clips = samples(
        chunk_frames=chunk,
        lead_frames=spec.lead_frames,
        cell_px=spec.spatial_factor,
        real=calibration,
    )
    step("run PyTorch fp32")
    measured: dict[Role, Peaks] = {role: Peaks() for role in ROLES}
    expected = nested.references(source.exportable, clips, chunk_frames=chunk, peaks=measured)
    latents = latents_of(expected)
    checked = tuple(reference(p, spec, latents, chunk_frames=chunk) for p in source.parts)
    mixed, halves = MixedPrecision({}, (), {}), tuple[HalfPart, ...]()
    if "fp16" in precisions:
        step("run PyTorch fp16")
        mixed = find_pins(
            source.exportable,
            expected,
            measured,
            chunk_frames=chunk,
            gates=gates,
            progress=search,
        )
        halves = tuple(half_part(one, gates=gates) for one in checked)
    export = _Export(source, chunk, log_variance, mixed, checked, halves)
    graphs, files = _graphs(export, precisions, step=step)
    result = _verify(export, files, graphs, expected, gates=gates, step=step)
    step("write")
    files[GOLDEN] = _golden(export, clips["real"])
    files[VERIFICATION] = verify.as_json(result)
    bundle = write_bundle(
        target,
        files,
        name=name or source.name,
        checkpoint_sha256=source.weights_sha256,
        spec=spec,
        graphs=tuple(graphs),
        edgevae_version=__version__,
        picture_px=source.picture_px,
        replace=replace_existing,
    )
    return bundle, result


def _refuse_options_of_frames(
    source: SensesSource, chunk_frames: int | None, log_variance: bool, calibration: Frames | None
) -> None:
    given = {
        "chunk frames": chunk_frames is not None,
        "log-variance": log_variance,
        "calibration": calibration is not None,
    }
    for option in (name for name, there in given.items() if there):
        raise InputError(
            f"{option}: {source.name} has several senses, whose windows and posteriors are fixed; leave it out"
        )


@dataclass(frozen=True)
class _Export:
    """What all steps of one export need."""

    source: Source
    """The VAE."""
    chunk_frames: int
    """Of one call."""
    log_variance: bool
    """Whether the encoder graph gives it."""
    mixed: MixedPrecision
    """Layers that are not half in the fp16 graphs."""
    parts: tuple[CheckedPart, ...]
    """What the model has beside the VAE."""
    halves: tuple[HalfPart, ...]
    """The parts in half precision, where that is asked for."""

    def graph(self, role: Role, precision: Precision) -> GraphSpec:
        """Return the tensors of a graph."""
        for one in self.parts:
            if one.part.role == role:
                return one.graph(precision)
        return graph_spec(
            self.source.exportable.spec,
            role,
            precision=precision,
            chunk_frames=self.chunk_frames,
            log_variance=self.log_variance,
        )

    def module(self, role: Role, precision: Precision) -> nn.Module:
        """Return the PyTorch module of a graph."""
        pins = {**self.mixed.pins, **{half.role: half.pins for half in self.halves}}
        for one in self.parts:
            if one.part.role == role:
                module = one.part.module()
                return halved(module, pins[role]) if precision == "fp16" else module
        module = self.source.exportable.graph_module(
            role,
            chunk_frames=self.chunk_frames,
            log_variance=self.log_variance and role == "encoder",
        )
        return halved(module, pins[role]) if precision == "fp16" else module


def _chunk(source: Source, chunk_frames: int | None) -> int:
    spec = source.exportable.spec
    own = {part.chunk_steps * spec.temporal_factor for part in source.parts}
    if own and chunk_frames not in (None, *own):
        raise InputError(
            f"chunk frames: got {chunk_frames}, expected {min(own)}, with which the model's "
            f"{' and '.join(part.role for part in source.parts)} works"
        )
    chunk = chunk_frames or min(own, default=spec.temporal_factor)
    if chunk % spec.temporal_factor:
        raise InputError(
            f"chunk frames: got {chunk}, expected a multiple of the temporal factor {spec.temporal_factor}"
        )
    return chunk


def _graphs(
    export: _Export, precisions: Sequence[Precision], *, step: Step
) -> tuple[list[GraphSpec], dict[str, bytes]]:
    graphs, files = list[GraphSpec](), dict[str, bytes]()
    for precision in precisions:
        for role in (*ROLES, *(part.role for part in export.source.parts)):
            step(f"export {role} {precision}")
            graph = export.graph(role, precision)
            data = to_onnx(export.module(role, precision), graph)
            onnx.checker.check_model(data, full_check=True)
            graphs.append(graph)
            files[graph.file] = data
    return graphs, files


def _verify(
    export: _Export,
    files: dict[str, bytes],
    graphs: Sequence[GraphSpec],
    expected: verify.Expected,
    *,
    gates: verify.Gates,
    step: Step,
) -> verify.Verification:
    spec = export.source.exportable.spec
    comparisons = list(export.mixed.comparisons)
    for precision in dict.fromkeys(g.precision for g in graphs):
        step(f"compare {precision} with PyTorch")
        mine = [(files[g.file], g) for g in graphs if g.precision == precision and g.role in ROLES]
        runners = {"onnxruntime": onnx_runs(mine, spec)}
        if precision == "fp32" and export.source.library is not None:
            runners[export.source.library] = whole_runs(export.source.exportable)
        for runner, runs in runners.items():
            comparisons += verify.compare_all(
                expected, runs, runner, precision=precision, gates=gates
            )
    parts = [found for half in export.halves for found in half.comparisons]
    precisions = tuple(dict.fromkeys(g.precision for g in graphs))
    parts += compare_files(export.parts, files, precisions, gates=gates)
    step("build with TensorRT-RTX")
    return verify.Verification(
        gates=gates,
        comparisons=tuple(comparisons),
        parts=tuple(parts),
        **_half_report(export),
        builds=check_builds(files, graphs, cell_px=spec.spatial_factor),
    )


def _half_report(export: _Export) -> dict[str, Any]:  # Any: fields of a Verification
    """Return what is said of half precision."""
    all_peaks = {**export.mixed.peaks, **{half.role: half.peaks for half in export.halves}}
    pins = {**export.mixed.pins, **{half.role: half.pins for half in export.halves}}
    outputs = {
        export.mixed.path(role, name): peak
        for role, peaks in all_peaks.items()
        for name, peak in peaks.outputs.items()
    }
    layer, peak = highest(outputs) if outputs else (None, None)
    return {
        "fp16_peak_activation": peak,
        "fp16_peak_layer": layer,
        "fp16_kept_layers": _paths(export.mixed, {r: p.kept for r, p in pins.items()}),
        "fp16_widened_layers": _paths(export.mixed, {r: p.widened for r, p in pins.items()}),
        "fp16_because": export.mixed.because,
        "fp16_search_runs": export.mixed.search_runs,
    }


def _paths(mixed: MixedPrecision, layers: Mapping[Role, frozenset[str]]) -> tuple[str, ...]:
    return tuple(mixed.path(role, name) for role in layers for name in sorted(layers[role]))


def _golden(export: _Export, real: Frames) -> bytes:
    """Return golden vectors: two chunks of real frames, and what PyTorch's graphs make of them in fp32."""
    from safetensors.numpy import save

    exportable, chunk = export.source.exportable, export.chunk_frames
    runs = torch_runs(exportable, precision="fp32", chunk_frames=chunk)
    count = 2 * chunk - exportable.spec.lead_frames
    frames = np.ascontiguousarray(real[:count, :GOLDEN_PX, :GOLDEN_PX])
    latents = runs["encoder"](frames)
    vectors = {"frames": frames, "latents": latents, "decoded": runs["decoder"](latents)}
    for one in export.parts:
        given = part_data(one.part.role, latents)
        vectors[one.part.role] = one.run(given)
        vectors.setdefault(FLOWS[one.part.role].takes, given)
    data: bytes = save(vectors)
    return data
