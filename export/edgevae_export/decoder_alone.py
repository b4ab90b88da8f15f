"""A model that is a decoder alone, whose latents are noise: exported and checked by itself.

    seeded noise -> decoder, PyTorch fp32, chunk by chunk       (reference)
                |-> decoder, PyTorch float16
                |-> decoder, ONNX Runtime fp32 and fp16
                +-> the network on the whole clip at once, fp32

There is no clip to come back to, so frames are compared with frames. Noise has no PSNR to a source either.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from edgevae.bundle import GOLDEN, VERIFICATION, Bundle, write_bundle
from edgevae.errors import InputError
from edgevae.roles import Role
from edgevae.spec import GraphSpec, Precision
from edgevae.version import __version__
from edgevae_export import verify
from edgevae_export.decoder_checks import CheckedDecoder
from edgevae_export.exportable import Source
from edgevae_export.runs import Run, onnx_runs
from edgevae_export.to_onnx import to_onnx
from edgevae_export.to_tensorrt import check_builds

if TYPE_CHECKING:
    from edgevae_export.export_vae import Step

ROLES: tuple[Role, ...] = ("decoder",)
"""What such a source has."""


def export_decoder(
    source: Source,
    path: Path,
    *,
    precisions: Sequence[Precision],
    chunk_frames: int | None,
    name: str,
    gates: verify.Gates,
    replace_existing: bool,
    step: Step,
) -> tuple[Bundle, verify.Verification]:
    """Write the bundle of a decoder alone, and return it with what was measured; arguments as for `export_bundle`.

    Raises:
        InputError: the chunk is no multiple of the temporal factor.
        ParityError: a graph is off a gate, not valid ONNX, or refused by TensorRT's builder.
    """
    exportable = source.exportable
    chunk = chunk_frames or exportable.spec.temporal_factor
    if chunk % exportable.spec.temporal_factor:
        raise InputError(
            f"chunk frames: got {chunk}, expected a multiple of the temporal factor {exportable.spec.temporal_factor}"
        )
    step("run PyTorch fp32")
    checked = CheckedDecoder(exportable, chunk, gates)
    comparisons = list[verify.Comparison]()
    if source.library is not None:
        whole = partial(exportable.whole_clip, "decoder")
        comparisons += checked.compare(whole, runner=source.library, precision="fp32")
    graphs, files, compared = _graphs(checked, precisions, step=step)
    comparisons += compared
    step("build with TensorRT-RTX")
    builds = check_builds(files, graphs, cell_px=exportable.spec.spatial_factor)
    result = checked.report(tuple(comparisons), builds, half="fp16" in precisions)
    step("write")
    files[GOLDEN] = checked.golden()
    files[VERIFICATION] = verify.as_json(result)
    bundle = write_bundle(
        path,
        files,
        name=name,
        checkpoint_sha256=source.weights_sha256,
        spec=exportable.spec,
        graphs=tuple(graphs),
        edgevae_version=__version__,
        picture_px=source.picture_px,
        replace=replace_existing,
    )
    return bundle, result


def _graphs(
    checked: CheckedDecoder, precisions: Sequence[Precision], *, step: Step
) -> tuple[list[GraphSpec], dict[str, bytes], list[verify.Comparison]]:
    """Return the graphs, their files, and how far each is from the reference.

    Raises:
        ParityError: one is off a gate.
    """
    graphs, files, comparisons = list[GraphSpec](), dict[str, bytes](), list[verify.Comparison]()
    for precision in precisions:
        graph = checked.graph(precision)
        if precision == "fp16":
            step("run PyTorch fp16")
            comparisons += checked.find_pins()
        step(f"export decoder {precision}")
        files[graph.file] = to_onnx(checked.module(precision), graph)
        onnx.checker.check_model(files[graph.file], full_check=True)
        graphs.append(graph)
        step(f"compare {precision} with PyTorch")
        run: Run = onnx_runs([(files[graph.file], graph)], checked.exportable.spec)["decoder"]
        comparisons += checked.compare(run, runner="onnxruntime", precision=precision)
    return graphs, files, comparisons
