"""The process of its own in which a foreign ONNX file is looked through, wrapped and run for the first time.

parent                                    child
path, sha256, spec  -- one line of JSON -->  read, look through, wrap, run both at two sizes
wrapped file        <-- a file, and a line --  or why not; or it crashes, which is an answer too
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgevae.errors import EdgeVaeError, InputError
from edgevae.runtime.onnxruntime import CPU, import_onnxruntime
from edgevae.runtime.trial import try_in_child
from edgevae.spec import GraphSpec, Role, TensorSpec
from edgevae_export.import_spec import ImportSpec, read_import_spec
from edgevae_export.inspect_onnx import one_line, parse, tensors
from edgevae_export.wrap_onnx import wrap

TIMEOUT_S = 900.0
"""After which a file that does not come to an end is refused."""

CELLS = ((1, 6, 10), (2, 5, 4))
"""Batch, height and width of the first runs, in latent cells: dimensions that are baked in show."""

_RUN = "from edgevae_export.import_child import main; main({request!r})"


def prepare(
    path: Path, digest: str, *, spec: Path, role: Role
) -> tuple[bytes, list[str], list[str]]:
    """Return a foreign graph wrapped as one of a bundle, and its inputs' and outputs' names in our order.

    Args:
        path: The file.
        digest: Its sha256.
        spec: The path of what it means.
        role: encoder or decoder.

    Raises:
        InputError: it is refused, or the process in which it was opened crashed, with the reason.
    """
    with tempfile.TemporaryDirectory(prefix="edgevae-import-") as folder:
        wrapped = Path(folder) / "wrapped.onnx"
        request = {
            "path": str(path.resolve()),
            "digest": digest,
            "spec": str(spec.resolve()),
            "role": role,
            "wrapped": str(wrapped),
        }
        trial = try_in_child(_RUN.format(request=json.dumps(request)), timeout_s=TIMEOUT_S)
        answer = json.loads(trial.lines[-1]) if trial.lines and trial.lines[-1][:1] == "{" else {}
        if "refused" in answer:
            raise InputError(f"{path}: {answer['refused']}")
        if trial.failure is not None or "inputs" not in answer:
            said = f": {one_line(trial.errors[-1])}" if trial.errors else ""
            raise InputError(
                f"{path}: the process that looked through it {trial.failure or 'said nothing'}{said}; the file is "
                "damaged or not safe to open"
            )
        return wrapped.read_bytes(), answer["inputs"], answer["outputs"]


def main(request: str) -> None:
    """Do what one line of JSON asks for, and print the answer as another; for a child process."""
    asked = json.loads(request)
    try:
        answer = _wrapped(asked)
    except EdgeVaeError as error:
        answer = {"refused": str(error)}
    sys.stdout.flush()
    print(f"\n{json.dumps(answer)}")  # noqa: T201  # to the parent


def _wrapped(asked: dict[str, Any]) -> dict[str, Any]:  # Any: JSON values
    spec, role = read_import_spec(Path(asked["spec"])), asked["role"]
    graph = spec.graph(role)
    data = Path(asked["path"]).read_bytes()
    model = parse(data, asked["digest"])
    inputs, outputs = tensors(model, graph)
    _first_runs(data, inputs, outputs, spec=spec, graph=graph)
    wrapped = wrap(model, inputs, outputs, spec, graph).SerializeToString(deterministic=True)
    ours = [t.name for t in graph.inputs], [t.name for t in graph.outputs]
    for cells in CELLS:
        _run(wrapped, *ours, graph, _sizes(cells, spec))
    Path(asked["wrapped"]).write_bytes(wrapped)
    return {"inputs": inputs, "outputs": outputs}


def _first_runs(
    data: bytes,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    spec: ImportSpec,
    graph: GraphSpec,
) -> None:
    """Run a foreign graph at two sizes; its results have the shapes that the spec says.

    Raises:
        InputError: they do not, or ONNX Runtime cannot run it.
    """
    before, after = foreign_tensors(graph, spec)
    as_theirs = replace(graph, inputs=before, outputs=after)
    for cells in CELLS:
        sizes = _sizes(cells, spec)
        results = _run(data, inputs, outputs, as_theirs, sizes)
        for name, result, tensor in zip(outputs, results, after, strict=True):
            wanted = tensor.resolve(sizes)
            if result.shape != wanted:
                raise InputError(
                    f"output {name!r} is {list(result.shape)} on {sizes}, its spec says {list(wanted)}"
                )


def foreign_tensors(
    graph: GraphSpec, spec: ImportSpec
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return the tensors that a foreign graph must have where the bundle's graph has others: pixels for frames."""
    frames = graph.inputs[0] if graph.role == "encoder" else graph.outputs[0]
    count, height, width, _ = frames.shape
    pixels = TensorSpec(name="pixels", dtype="float32", shape=(count, 3, height, width))
    if graph.role == "decoder":
        return graph.inputs, (pixels, *graph.outputs[1:])
    latents = graph.outputs[0]
    if spec.encoder_gives == "moments":
        t, channels, h, w = latents.shape
        latents = TensorSpec(name="moments", dtype="float32", shape=(t, 2 * int(channels), h, w))
    return (pixels, *graph.inputs[1:]), (latents, *graph.outputs[1:])


def _run(
    model: bytes,
    inputs: Sequence[str],
    outputs: Sequence[str],
    graph: GraphSpec,
    sizes: dict[str, int],
) -> list[np.ndarray]:
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    zeros = [np.zeros(t.resolve(sizes), np.dtype(t.dtype)) for t in graph.inputs]
    try:
        session = ort.InferenceSession(model, options, providers=[CPU])
        results: list[np.ndarray] = session.run(
            list(outputs), dict(zip(inputs, zeros, strict=True))
        )
    except Exception as error:  # onnxruntime's exceptions share no base class but this
        raise InputError(
            f"ONNX Runtime {ort.__version__} cannot run it on {sizes}: {one_line(error)}"
        ) from error
    return results


def _sizes(cells: tuple[int, int, int], spec: ImportSpec) -> dict[str, int]:
    batch, height, width = cells
    cell = spec.vae.spatial_factor
    return {"batch": batch, "height": height * cell, "width": width * cell}
