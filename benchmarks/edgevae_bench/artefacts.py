"""What a subject ran, from the bundle, the checkpoint and the engine cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgevae.bundle import Bundle
from edgevae.spec import Precision
from edgevae_bench.artefact import Artefact, GraphFacts
from edgevae_bench.engines import EngineFacts
from edgevae_bench.graph_calls import ROLES
from edgevae_bench.operations import count
from edgevae_bench.subjects import Subject


def describe_artefact(
    subject: Subject,
    bundle: Bundle,
    *,
    sizes: Mapping[str, int],
    engines: Sequence[EngineFacts],
    weights_sha256: str | None,
) -> Artefact:
    """Return what a subject ran.

    Args:
        subject: Whose.
        bundle: The model.
        sizes: batch, height and width, whole latent cells.
        engines: That were built from the bundle's graphs.
        weights_sha256: Of the checkpoint, where PyTorch ran.
    """
    file: Precision = (
        "fp16" if subject.kind == "runtime" and subject.precision == "fp16" else "fp32"
    )
    precision: Precision = file if file in bundle.precisions else bundle.precisions[0]
    graphs, notes = [], []
    for role in ROLES:
        graph = bundle.graph(role, precision)
        work = count(bundle.read(graph.file), graph, sizes)
        if work is None:
            notes.append("the package onnx is not installed, so operations were not counted")
        elif work.gflop is None:
            notes.append(
                f"{graph.file}: shapes could not be inferred, so operations were not counted"
            )
        engine = next((e for e in engines if e.role == role), None)
        layers = {} if work is None else work.operators
        torch = subject.kind == "pytorch" and weights_sha256 is not None
        graphs.append(
            GraphFacts(
                role=role,
                sha256=f"{weights_sha256}" if torch else bundle.manifest.files[graph.file].sha256,
                plan_sha256=None if engine is None else engine.plan_sha256,
                layer_types=layers if engine is None else engine.layer_types,
                profile=None if engine is None else engine.profile,
                gflop=None if work is None else work.gflop,
                least_bytes=None if work is None else work.least_bytes,
            )
        )
    return Artefact(
        graphs=tuple(graphs),
        has_cuda_graphs=subject.cuda_graph,
        note="; ".join(dict.fromkeys(notes)) or None,
    )
