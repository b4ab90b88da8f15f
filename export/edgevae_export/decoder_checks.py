"""What a decoder alone is checked on: seeded noise, and the frames that PyTorch makes of it in fp32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from torch import nn

from edgevae.errors import ParityError
from edgevae.frames import Frames, Latents, psnr_dB
from edgevae.spec import GraphSpec, Precision
from edgevae_export import verify
from edgevae_export.exportable import Exportable, graph_spec
from edgevae_export.layer_names import user_path, user_prefix
from edgevae_export.precision import (
    Peaks,
    Pins,
    choose_pins,
    halved,
    highest,
    is_layer,
    watch_peaks,
    why_pinned,
)
from edgevae_export.runs import Run, run_module
from edgevae_export.samples import SEED

SIZES = {"noise": (8, 8), "wide noise": (9, 14), "zeros": (8, 8)}
"""What it is checked on: h and w of the noise, in cells; zeros are what a temperature of 0 gives."""
CHUNKS = 3
"""Of each, so that the state of a state counts."""


class CheckedDecoder:
    """A decoder and what PyTorch gives in fp32."""

    def __init__(self, exportable: Exportable, chunk_frames: int, gates: verify.Gates) -> None:
        self.exportable, self.chunk_frames, self.gates = exportable, chunk_frames, gates
        self.peaks, self.half_peaks = Peaks(), Peaks()
        self.plain = exportable.graph_module("decoder", chunk_frames=chunk_frames)
        watched = exportable.graph_module("decoder", chunk_frames=chunk_frames)
        watch_peaks(watched, self.peaks)
        run = partial(run_module, watched, self.graph("fp32"), exportable.spec)
        self.noise = _noise(exportable, chunk_frames)
        self.expected: Mapping[str, Frames] = {n: run(data) for n, data in self.noise.items()}
        self.pins = choose_pins(self.plain, self.peaks, headroom=exportable.headroom)
        self.search_runs = 0
        self.because = {
            name: why_pinned(name, self.peaks, headroom=exportable.headroom)
            for name in self.pins.names
        }

    def graph(self, precision: Precision) -> GraphSpec:
        """Return the tensors of the graph."""
        return graph_spec(
            self.exportable.spec, "decoder", precision=precision, chunk_frames=self.chunk_frames
        )

    def module(self, precision: Precision) -> nn.Module:
        """Return the PyTorch module of the graph."""
        module = self.exportable.graph_module("decoder", chunk_frames=self.chunk_frames)
        return halved(module, self.pins) if precision == "fp16" else module

    def find_pins(self) -> tuple[verify.Comparison, ...]:
        """Set which layers stay float32, and return what PyTorch gives in half with them.

        Where those that leave float16 are not enough, others are added from the last one on, one by one, until the
        frames are within half of the gate: what is rounded there is seen as it is, and a device rounds otherwise.

        Raises:
            ParityError: they are off that with all layers in float32.
        """
        gates = replace(self.gates, fp16_frames_levels=0.5 * self.gates.fp16_frames_levels)
        last = [name for name in self.peaks.inputs if is_layer(self.plain.get_submodule(name))]
        last = [name for name in last if name not in self.pins.kept]
        while True:
            self.half_peaks, self.search_runs = Peaks(), self.search_runs + 1
            module, graph = self.module("fp16"), self.graph("fp16")
            watch_peaks(module, self.half_peaks)
            run = partial(run_module, module, graph, self.exportable.spec)
            try:
                return self.compare(run, runner="pytorch", precision="fp16", gates=gates)
            except ParityError:
                if not last:
                    raise
            name = last.pop()
            self.because.setdefault(name, "in float16 the frames would be off the gate")
            self.pins = Pins(self.pins.kept | {name}, self.pins.widened)

    def compare(
        self,
        run: Run,
        *,
        runner: str,
        precision: Precision,
        gates: verify.Gates | None = None,
    ) -> tuple[verify.Comparison, ...]:
        """Return how far a runner's frames are from the reference's, all within the gates, or other ones.

        Raises:
            ParityError: one is off a gate.
        """
        found = list[verify.Comparison]()
        for sample, noise in self.noise.items():
            frames, expected = run(noise), self.expected[sample]
            difference = np.abs(frames.astype(np.int16) - expected.astype(np.int16)).max()
            found.append(
                verify.Comparison(
                    runner=runner,
                    precision=precision,
                    sample=sample,
                    latents_max_difference=0.0,  # noise is given, not computed
                    frames_max_levels=float(difference),
                    frames_psnr_dB=psnr_dB(frames, expected),
                    reconstruction_psnr_change_dB=0.0,
                )
            )
            verify.check(found[-1], gates or self.gates)
        return tuple(found)

    def report(
        self, comparisons: tuple[verify.Comparison, ...], builds: dict[str, str], *, half: bool
    ) -> verify.Verification:
        """Return what was measured."""
        prefix = user_prefix(self.plain)

        def path(name: str) -> str:
            return f"decoder {user_path(name, prefix)}"

        peaks = {path(name): peak for name, peak in self.half_peaks.outputs.items()}
        layer, peak = highest(peaks) if peaks else (None, None)
        pins = self.pins if half else Pins()
        return verify.Verification(
            gates=self.gates,
            comparisons=comparisons,
            fp16_peak_activation=peak,
            fp16_peak_layer=layer,
            fp16_kept_layers=tuple(path(name) for name in sorted(pins.kept)),
            fp16_widened_layers=tuple(path(name) for name in sorted(pins.widened)),
            fp16_because={path(name): self.because[name] for name in sorted(pins.names)},
            fp16_search_runs=self.search_runs,
            builds=builds,
        )

    def golden(self) -> bytes:
        """Return golden vectors: two chunks of noise, and the frames that PyTorch's graph makes of them in fp32."""
        from safetensors.numpy import save

        steps = 2 * self.chunk_frames // self.exportable.spec.temporal_factor
        frames = np.ascontiguousarray(self.expected["noise"][: 2 * self.chunk_frames])
        latents = np.ascontiguousarray(self.noise["noise"][:steps])
        # The frames themselves tell the size; the decoder gives them again.
        data: bytes = save({"frames": frames, "latents": latents, "decoded": frames})
        return data


def _noise(exportable: Exportable, chunk_frames: int) -> dict[str, Latents]:
    """Return what the decoder is given, `[t, C, h, w]` by name."""
    spec, random = exportable.spec, np.random.default_rng(SEED)
    steps = CHUNKS * chunk_frames // spec.temporal_factor
    noise = {
        name: random.standard_normal((steps, spec.latent_channels, *size), dtype=np.float32)
        for name, size in SIZES.items()
    }
    return {name: 0.0 * data if name == "zeros" else data for name, data in noise.items()}
