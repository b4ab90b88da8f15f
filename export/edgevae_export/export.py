"""A checkpoint to a bundle: export, check, write."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx

from edgevae.bundle import GOLDEN, VERIFICATION, Bundle, is_bundle, write_bundle
from edgevae.errors import InputError
from edgevae.files import sha256
from edgevae.frames import Frames
from edgevae.nn import Vae, load_checkpoint
from edgevae.nn.checkpoint import WEIGHTS
from edgevae.runtime.shipped import locate
from edgevae.spec import GraphSpec, Precision, Role
from edgevae.strict import to_dict
from edgevae.version import __version__
from edgevae_export import nested, verify
from edgevae_export.precision import highest
from edgevae_export.samples import samples, whole_cells
from edgevae_export.to_onnx import graph_module, graph_spec, to_onnx
from edgevae_export.to_tensorrt import check_build

GOLDEN_PX = 64
"""Side of the golden frames: small, so that every load can afford them."""

Step = Callable[[str], None]
"""Told what comes next, for a progress bar."""


def steps(precisions: Sequence[Precision]) -> int:
    """Return how many steps `export_bundle` reports."""
    return 3 * len(precisions) + 3


def export_bundle(
    checkpoint: str | os.PathLike[str],
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
) -> tuple[Bundle, verify.Verification]:
    """Write a bundle of a checkpoint, whole or not at all, and return it with what was measured.

    Args:
        checkpoint: A checkpoint's folder or the name of a shipped model.
        path: The bundle's folder.
        precisions: Which variants.
        chunk_frames: Frames per call of a graph; by default the temporal factor.
        log_variance: Also give the posterior's log-variance.
        name: The model's name; by default the checkpoint's folder.
        calibration: Real frames uint8 `[T, H, W, 3]` to check on instead of those in the package.
        gates: What must be kept to.
        replace_existing: Put the new bundle in the place of an existing one.
        step: Called before each step with its name.

    Raises:
        InputError: no checkpoint, or the path exists, or the chunk is no multiple of the temporal factor.
        ParityError: a graph is off a gate, not valid ONNX, or refused by TensorRT's builder.
    """
    target = Path(path)
    if target.exists() and not (replace_existing and is_bundle(target)):
        raise InputError(f"{target}: exists; give another path, or --overwrite to replace a bundle")
    folder = locate(checkpoint, part="checkpoint")
    vae = load_checkpoint(folder)
    if vae.config.latent_mean is None or vae.config.latent_std is None:
        raise InputError(
            f"{folder}: config.json has no latent_mean and latent_std, so latents would have no unit scale; "
            "finish the training run, which measures them (edgevae train --resume RUN), or set them"
        )
    factor = vae.spec.temporal_factor
    chunk = chunk_frames or factor
    if chunk % factor:
        raise InputError(
            f"chunk frames: got {chunk}, expected a multiple of the temporal factor {factor}"
        )
    real = (
        None if calibration is None else whole_cells(calibration, cell_px=vae.spec.spatial_factor)
    )
    clips = samples(chunk_frames=chunk, real=real)
    graphs, files = _graphs(vae, precisions, chunk=chunk, log_variance=log_variance, step=step)
    result = _verify(
        vae, files, graphs, clips, gates=gates or verify.Gates(), chunk=chunk, step=step
    )
    step("write")
    files[GOLDEN] = _golden(vae, clips["real"], chunk=chunk)
    files[VERIFICATION] = (json.dumps(_finite(to_dict(result)), indent=1) + "\n").encode()
    bundle = write_bundle(
        target,
        files,
        name=name or _name(folder),
        checkpoint_sha256=sha256((folder / WEIGHTS).read_bytes()),
        spec=vae.spec,
        graphs=tuple(graphs),
        edgevae_version=__version__,
        replace=replace_existing,
    )
    return bundle, result


def _name(folder: Path) -> str:
    """Return a model's name by its checkpoint: `runs/street/checkpoint` is street, as is `street`."""
    folder = folder.resolve()
    return folder.parent.name if folder.name == "checkpoint" else folder.name


def _graphs(
    vae: Vae, precisions: Sequence[Precision], *, chunk: int, log_variance: bool, step: Step
) -> tuple[list[GraphSpec], dict[str, bytes]]:
    graphs, files = list[GraphSpec](), dict[str, bytes]()
    roles: tuple[Role, ...] = ("encoder", "decoder")
    for precision in precisions:
        for role in roles:
            step(f"export {role} {precision}")
            graph = graph_spec(
                vae, role, precision=precision, chunk_frames=chunk, log_variance=log_variance
            )
            module = graph_module(
                vae, role, precision=precision, chunk_frames=chunk, log_variance=log_variance
            )
            data = to_onnx(module, graph)
            onnx.checker.check_model(data, full_check=True)
            graphs.append(graph)
            files[graph.file] = data
    return graphs, files


def _verify(
    vae: Vae,
    files: dict[str, bytes],
    graphs: Sequence[GraphSpec],
    clips: dict[str, Frames],
    *,
    gates: verify.Gates,
    chunk: int,
    step: Step,
) -> verify.Verification:
    step("run PyTorch fp32")
    whole = verify.references(vae, clips, chunk_frames=chunk)
    expected = nested.references(vae, whole, chunk_frames=chunk)
    comparisons, peaks = list[verify.Comparison](), dict[str, float]()
    for precision in dict.fromkeys(g.precision for g in graphs):
        step(f"compare {precision} with PyTorch")
        mine = [(files[g.file], g) for g in graphs if g.precision == precision]
        runners = {"onnxruntime": verify.onnx_runs(mine)}
        if precision == "fp16":
            runners["pytorch"] = verify.torch_runs(
                vae, precision="fp16", chunk_frames=chunk, peaks=peaks
            )
        for runner, runs in runners.items():
            runs["encoder"] = nested.remembered(runs["encoder"])
            for sample, reference in [(s, r) for s, levels in expected.items() for r in levels]:
                found = verify.compare(
                    reference, runs, runner=runner, precision=precision, sample=sample
                )
                verify.check(found, gates)
                comparisons.append(found)
    layer, peak = highest(peaks) if peaks else (None, None)
    return verify.Verification(
        gates=gates,
        comparisons=tuple(comparisons),
        fp16_peak_activation=peak,
        fp16_peak_layer=layer,
        builds=_builds(files, graphs, step=step),
    )


def _builds(files: dict[str, bytes], graphs: Sequence[GraphSpec], *, step: Step) -> dict[str, str]:
    """Return what TensorRT-RTX made of each graph."""
    said = dict[str, str]()
    step("build with TensorRT-RTX")
    for graph in graphs:
        built = check_build(files[graph.file], graph)
        said[graph.file] = (
            f"{built.tensorrt}, engine of {built.engine_bytes} bytes"
            if built.built
            else built.tensorrt
        )
    return said


def _golden(vae: Vae, real: Frames, *, chunk: int) -> bytes:
    """Return golden vectors: two chunks of real frames, PyTorch's fp32 latents of them, and its frames of these."""
    from safetensors.numpy import save

    reference = verify.torch_runs(vae, precision="fp32", chunk_frames=chunk)
    frames = np.ascontiguousarray(real[: 2 * chunk, :GOLDEN_PX, :GOLDEN_PX])
    latents = reference["encoder"](frames)
    data: bytes = save(
        {"frames": frames, "latents": latents, "decoded": reference["decoder"](latents)}
    )
    return data


def _finite(value: object) -> object:
    """Return a JSON-like value with infinities as null, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
