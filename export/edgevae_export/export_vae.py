"""A checkpoint with a VAE, and whatever it has beside it, to a bundle: export, check, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from torch import nn

from edgevae.bundle import GOLDEN, VERIFICATION, Bundle, write_bundle
from edgevae.errors import InputError
from edgevae.frames import Frames
from edgevae.roles import FLOWS
from edgevae.spec import GraphSpec, Precision, Role
from edgevae.version import __version__
from edgevae_export import nested, verify
from edgevae_export.exportable import Source, graph_spec
from edgevae_export.mixed import MixedPrecision, find_pins
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
from edgevae_export.to_onnx import to_onnx
from edgevae_export.to_tensorrt import check_builds

GOLDEN_PX = 64
"""Side of the golden frames: small, so that every load can afford them."""

Step = Callable[[str], None]
"""Told what comes next, for a progress bar."""

Search = Callable[[int, int], None]
"""Told the runs in half precision so far, and how many there may be."""


def export_vae(
    source: Source,
    target: Path,
    *,
    precisions: Sequence[Precision],
    chunk_frames: int | None,
    log_variance: bool,
    name: str,
    calibration: Frames | None,
    gates: verify.Gates,
    replace_existing: bool,
    step: Step,
    search: Search,
) -> tuple[Bundle, verify.Verification]:
    """Write the bundle of a VAE; arguments and errors are those of `export_bundle`."""
    clips = _clips(source, chunk := _chunk(source, chunk_frames), calibration)
    step("run PyTorch fp32")
    peaks: dict[Role, Peaks] = {role: Peaks() for role in ROLES}
    expected = nested.references(source.exportable, clips, chunk_frames=chunk, peaks=peaks)
    latents = latents_of(expected)
    checked = tuple(
        reference(p, source.exportable.spec, latents, chunk_frames=chunk) for p in source.parts
    )
    mixed, halves = MixedPrecision({}, (), {}), tuple[HalfPart, ...]()
    if "fp16" in precisions:
        step("run PyTorch fp16")
        mixed = find_pins(
            source.exportable,
            expected,
            peaks,
            chunk_frames=chunk,
            gates=gates,
            progress=search,
        )
        halves = tuple(half_part(one, gates=gates) for one in checked)
    export = _Export(source, chunk, log_variance, mixed, checked, halves)
    graphs, files = _graphs(export, precisions, step=step)
    result = _verify(export, files, graphs, expected, gates=gates, step=step)
    step("write")
    files[GOLDEN], files[VERIFICATION] = _golden(export, clips["real"]), verify.as_json(result)
    bundle = write_bundle(
        target,
        files,
        name=name,
        checkpoint_sha256=source.weights_sha256,
        spec=source.exportable.spec,
        graphs=tuple(graphs),
        edgevae_version=__version__,
        picture_px=source.picture_px,
        replace=replace_existing,
    )
    return bundle, result


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


def _clips(source: Source, chunk_frames: int, calibration: Frames | None) -> dict[str, Frames]:
    """Return the clips that a VAE is checked on, by name; `real` is among them."""
    spec = source.exportable.spec
    return samples(
        chunk_frames=chunk_frames,
        lead_frames=spec.lead_frames,
        cell_px=spec.spatial_factor,
        real=calibration,
    )


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
