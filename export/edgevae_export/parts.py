"""Graphs beside a VAE's own, in its latent grid: checked on the latents that the VAE makes of the same clips.

    clip -> encoder, PyTorch fp32 -> latents -> part, PyTorch fp32              (reference)
                                        |---> part, PyTorch float16
                                        +---> part, ONNX Runtime fp32 and fp16

A part may be any role that gives latents (`edgevae.roles`); what takes noise gets seeded noise of their shape. The
graphs of a model of several senses (`senses.py`) are parts too, on data of their own, and have the same checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from edgevae.errors import ParityError
from edgevae.frames import Latents
from edgevae.roles import FLOWS, Flow, Kind
from edgevae.spec import GraphSpec, Precision, Role, VaeSpec
from edgevae_export.exportable import Part, SelfDescribed, graph_spec
from edgevae_export.precision import Peaks, Pins, choose_pins, halved, watch_peaks
from edgevae_export.runs import Run, onnx_runs, run_module
from edgevae_export.samples import SEED
from edgevae_export.verify import Expected, Gates, PartComparison


@dataclass(frozen=True)
class CheckedPart:
    """A part and what PyTorch gives in fp32."""

    part: Part
    """The network."""
    chunk_frames: int
    """Frames that one call stands for."""
    spec: VaeSpec
    """Of the VAE."""
    data: Mapping[str, Latents]
    """What it takes, by clip: `[t, C, h, w]`, two chunks at least."""
    expected: Mapping[str, Latents]
    """What it gives."""
    peaks: Peaks
    """The largest values that went through its layers."""

    def run(self, data: Latents) -> Latents:
        """Return what PyTorch gives in fp32."""
        return run_module(self.part.module(), self.graph("fp32"), self.spec, data)

    def graph(self, precision: Precision) -> GraphSpec:
        """Return the tensors of its graph."""
        if isinstance(self.part, SelfDescribed):
            return self.part.graph(precision)
        return graph_spec(
            self.spec,
            self.part.role,
            precision=precision,
            chunk_frames=self.chunk_frames,
            state=self.part.state,
        )


def reference(
    part: Part, spec: VaeSpec, latents: Mapping[str, Latents], *, chunk_frames: int
) -> CheckedPart:
    """Return a part with its reference on the latents of some clips."""
    data = {name: part_data(part.role, clip) for name, clip in latents.items()}
    return on_data(part, spec, data, chunk_frames=chunk_frames)


def on_data(
    part: Part, spec: VaeSpec, data: Mapping[str, Latents], *, chunk_frames: int
) -> CheckedPart:
    """Return a part with its reference on what it takes, by clip."""
    checked = CheckedPart(part, chunk_frames, spec, data, {}, Peaks())
    module = part.module()
    watch_peaks(module, checked.peaks)
    run = partial(run_module, module, checked.graph("fp32"), spec)
    expected = {name: run(clip) for name, clip in data.items()}
    return CheckedPart(part, chunk_frames, spec, data, expected, checked.peaks)


def part_data(role: Role, latents: Latents) -> Latents:
    """Return what a part takes in the place of latents: themselves, or noise of their shape."""
    if FLOWS[role].takes == "latents":
        return latents
    return np.random.default_rng(SEED).standard_normal(latents.shape, dtype=np.float32)


def latents_of(expected: Expected) -> dict[str, Latents]:
    """Return the VAE's latents of each clip, with all channels."""
    return {name: levels[0].latents for name, levels in expected.items()}


@dataclass(frozen=True)
class HalfPart:
    """A part in half precision."""

    role: Role
    """Its role."""
    pins: Pins
    """Layers that are not float16."""
    peaks: Peaks
    """What went through the layers."""
    comparisons: tuple[PartComparison, ...]
    """PyTorch in true half arithmetic, on every clip."""


def half_part(checked: CheckedPart, *, gates: Gates) -> HalfPart:
    """Return which layers of a part's fp16 graph are float32, and what PyTorch gives in half with them.

    Raises:
        ParityError: it is off the gate.
    """
    pins, peaks = choose_pins(checked.part.module(), checked.peaks), Peaks()
    module, graph = halved(checked.part.module(), pins), checked.graph("fp16")
    watch_peaks(module, peaks)
    run = partial(run_module, module, graph, checked.spec)
    found = compare(checked, run, runner="pytorch", precision="fp16", gates=gates)
    return HalfPart(checked.part.role, pins, peaks, found)


def compare_files(
    checked: Sequence[CheckedPart],
    files: Mapping[str, bytes],
    precisions: Sequence[Precision],
    *,
    gates: Gates,
) -> tuple[PartComparison, ...]:
    """Return what ONNX Runtime makes of the parts' files.

    Raises:
        ParityError: one is off the gate.
    """
    found = list[PartComparison]()
    for one in checked:
        for precision in precisions:
            graph = one.graph(precision)
            run = onnx_runs([(files[graph.file], graph)], one.spec)[graph.role]
            found += compare(one, run, runner="onnxruntime", precision=precision, gates=gates)
    return tuple(found)


def compare(
    checked: CheckedPart, run: Run, *, runner: str, precision: Precision, gates: Gates
) -> tuple[PartComparison, ...]:
    """Return how far a runner is from the reference on each clip.

    Raises:
        ParityError: it is off the gate.
    """
    flow = checked.graph(precision).flow
    most = gates.most(flow.gives, precision)
    found = list[PartComparison]()
    for sample, data in checked.data.items():
        got, expected = run(data).astype(np.float32), checked.expected[sample].astype(np.float32)
        difference = float(np.abs(got - expected).max())
        if not difference <= most:  # so that NaN fails
            raise ParityError(
                f"{runner} {precision} on {_named(flow.takes, sample)}: {_given(flow)} of the {checked.part.role} "
                f"differ by {difference:.4g}, expected at most {most:g}; nothing was written: keep this precision out "
                "with --precision, or train the network to smaller activations"
            )
        found.append(
            PartComparison(
                role=checked.part.role,
                runner=runner,
                precision=precision,
                sample=sample,
                max_difference=difference,
            )
        )
    return tuple(found)


def _named(takes: Kind, sample: str) -> str:
    """Return what a part was given, in words."""
    return f"latents of {sample} frames" if takes in ("latents", "noise") else f"{sample} {takes}"


def _given(flow: Flow) -> str:
    """Return what a part gave, in words."""
    return "those" if flow.gives == "latents" else flow.gives
