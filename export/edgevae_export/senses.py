"""A checkpoint of several senses to a bundle: each graph checked by the road of all parts, on windows of each sense.

    window of a sense -> encoder, fp32 -> posterior -> fusion, fp32 -> latents -> decoder, fp32     (reference)

Every graph gets the reference's data, so that an error of one does not hide that of another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from edgevae.bundle import GOLDEN, VERIFICATION, Bundle, is_bundle, write_bundle
from edgevae.errors import InputError
from edgevae.mel import FLOOR_DB
from edgevae.runtime.golden import given_name
from edgevae.senses import MISSING_LOG_VARIANCE, Sense
from edgevae.spec import GraphSpec, Precision
from edgevae.version import __version__
from edgevae_export.own_senses import SensesSource
from edgevae_export.parts import CheckedPart, HalfPart, compare_files, half_part, on_data
from edgevae_export.precision import HEADROOM, halved, highest, why_pinned
from edgevae_export.samples import FRAMES, SEED
from edgevae_export.to_onnx import to_onnx
from edgevae_export.to_tensorrt import check_builds
from edgevae_export.verify import Gates, Verification, as_json

WINDOWS = 2
"""Of each sample: so many that one could see another."""

Step = Callable[[str], None]


def export_senses(
    source: SensesSource,
    target: Path,
    *,
    precisions: Sequence[Precision],
    name: str | None = None,
    gates: Gates | None = None,
    replace_existing: bool = False,
    step: Step = lambda _: None,
) -> tuple[Bundle, Verification]:
    """Write the bundle of a VAE of several senses, whole or not at all, and return it with what was measured.

    Args:
        source: The network.
        target: The bundle's folder.
        precisions: Which variants.
        name: The model's name; by default the source's.
        gates: What must be kept to.
        replace_existing: Put the new bundle in the place of an existing one.
        step: Called before each step with its name.

    Raises:
        InputError: the path exists.
        ParityError: a graph is off a gate, not valid ONNX, or refused by TensorRT's builder.
    """
    if target.exists() and not (replace_existing and is_bundle(target)):
        raise InputError(f"{target}: exists; give another path, or --overwrite to replace a bundle")
    gates = gates or Gates()
    step("run PyTorch fp32")
    checked = references(source)
    halves = tuple[HalfPart, ...]()
    if "fp16" in precisions:
        step("run PyTorch fp16")
        halves = tuple(half_part(one, gates=gates) for one in checked)
    graphs, files = _graphs(checked, halves, precisions, step=step)
    result = _verification(source, checked, halves, graphs, files, gates=gates, step=step)
    step("write")
    files |= {GOLDEN: _golden(checked), VERIFICATION: as_json(result)}
    bundle = write_bundle(
        target,
        files,
        name=name or source.name,
        checkpoint_sha256=source.weights_sha256,
        spec=source.spec,
        graphs=tuple(graphs),
        edgevae_version=__version__,
        senses=source.senses,
        replace=replace_existing,
    )
    return bundle, result


def _verification(
    source: SensesSource,
    checked: Sequence[CheckedPart],
    halves: Sequence[HalfPart],
    graphs: Sequence[GraphSpec],
    files: Mapping[str, bytes],
    *,
    gates: Gates,
    step: Step,
) -> Verification:
    """Return what ONNX Runtime and TensorRT's builder make of the files, beside what half precision gave."""
    step("compare with PyTorch")
    precisions = tuple(dict.fromkeys(g.precision for g in graphs))
    found = [f for half in halves for f in half.comparisons]
    found += compare_files(checked, files, precisions, gates=gates)
    step("build with TensorRT-RTX")
    builds = check_builds(files, graphs, cell_px=source.spec.spatial_factor)
    peaks = {f"{h.role} {k}": v for h in halves for k, v in h.peaks.outputs.items()}
    layer, peak = highest(peaks) if peaks else (None, None)
    return Verification(
        gates=gates,
        comparisons=(),
        parts=tuple(found),
        builds=builds,
        fp16_peak_activation=peak,
        fp16_peak_layer=layer,
        fp16_kept_layers=_layers({h.role: h.pins.kept for h in halves}),
        fp16_widened_layers=_layers({h.role: h.pins.widened for h in halves}),
        fp16_because={
            f"{half.role} {name}": why_pinned(name, one.peaks, headroom=HEADROOM)
            for half, one in zip(halves, checked, strict=False)
            for name in sorted(half.pins.names)
        },
    )


def steps(precisions: Sequence[Precision], *, senses: int) -> int:
    """Return how many steps `export_senses` reports."""
    return (2 * senses + 1) * len(precisions) + 4 + ("fp16" in precisions)


def references(source: SensesSource) -> tuple[CheckedPart, ...]:
    """Return all graphs with what PyTorch gives in fp32 on the samples of each sense."""

    def on(part_data: Mapping[str, np.ndarray], role: str) -> CheckedPart:
        (part,) = (p for p in source.parts if p.role == role)
        return on_data(part, source.spec, part_data, chunk_frames=source.senses.window_frames)

    senses, c = source.senses.senses, source.vae.config.latent_channels
    encoders = [on(samples(s), f"encoder.{s.name}") for s in senses]
    posteriors = {
        label: np.concatenate(
            [e.expected[label][:, part] for part in (slice(c), slice(c, None)) for e in encoders], 1
        )
        for label in encoders[0].expected
    }
    # Where all but the first are missing.
    missing = posteriors["real"].copy()
    missing[:, c : len(senses) * c] = 0.0
    missing[:, (len(senses) + 1) * c :] = MISSING_LOG_VARIANCE
    fusion = on(posteriors | {"one of the": missing}, "fusion")
    latents = {label: np.ascontiguousarray(p[:, :c]) for label, p in fusion.expected.items()}
    decoders = [on(latents, f"decoder.{s.name}") for s in senses]
    return (*encoders, fusion, *decoders)


def samples(sense: Sense) -> dict[str, np.ndarray]:
    """Return windows of a sense to compare on, as the tensor of its encoder, by kind: real, noise, low and high."""
    rng = np.random.default_rng(SEED)
    if sense.kind == "frames":
        from safetensors.numpy import load_file

        count, height, width = sense.shape
        frames = load_file(FRAMES)["frames"]
        tiles = [
            -(-n // have)
            for n, have in zip((WINDOWS * count, height, width), frames.shape, strict=False)
        ]
        real = np.tile(frames, (*tiles, 1))[: WINDOWS * count, :height, :width]
        noise = rng.integers(0, 256, real.shape, dtype=np.uint8)
        low, high = np.zeros_like(real), np.full_like(real, 255)
        return {"real": np.ascontiguousarray(real), "noise": noise, "low": low, "high": high}
    shape = (WINDOWS, *(n for n in sense.tensor.shape if isinstance(n, int)))
    lowest, highest_ = (FLOOR_DB, 0.0) if sense.kind == "sound" else (-1.0, 1.0)
    # What is near to each other in time and pitch sounds, and moves, alike.
    smooth = np.cumsum(rng.standard_normal(shape), axis=2)
    smooth = (smooth - smooth.min()) / max(float(np.ptp(smooth)), 1e-6)
    found = {
        "real": lowest + (highest_ - lowest) * smooth,
        "noise": rng.uniform(lowest, highest_, shape),
        "low": np.full(shape, lowest),
        "high": np.full(shape, highest_),
    }
    return {name: value.astype(np.float32) for name, value in found.items()}


def _graphs(
    checked: Sequence[CheckedPart],
    halves: Sequence[HalfPart],
    precisions: Sequence[Precision],
    *,
    step: Step,
) -> tuple[list[GraphSpec], dict[str, bytes]]:
    pins = {half.role: half.pins for half in halves}
    graphs, files = list[GraphSpec](), dict[str, bytes]()
    for precision in precisions:
        for one in checked:
            step(f"export {one.part.role} {precision}")
            module, graph = one.part.module(), one.graph(precision)
            data = to_onnx(
                halved(module, pins[one.part.role]) if precision == "fp16" else module, graph
            )
            onnx.checker.check_model(data, full_check=True)
            graphs.append(graph)
            files[graph.file] = data
    return graphs, files


def _layers(pinned: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    return tuple(f"{role} {name}" for role, names in pinned.items() for name in sorted(names))


def _golden(checked: Sequence[CheckedPart]) -> bytes:
    """Return golden vectors: what each graph takes of the real windows, and what PyTorch gives for it in fp32."""
    from safetensors.numpy import save

    vectors = dict[str, np.ndarray]()
    for one in checked:
        vectors[given_name(one.graph("fp32"))] = one.data["real"]
        vectors[one.part.role] = one.expected["real"]
    data: bytes = save({name: np.ascontiguousarray(v) for name, v in vectors.items()})
    return data
