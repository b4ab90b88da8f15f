"""`edgevae build`: a bundle's graphs to TensorRT engines, in the cache of this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from edgevae.cli.build_options import (
    choose_flavour,
    device_index,
    require_gpu,
    size_options,
    wanted_engines,
)
from edgevae.cli.build_progress import show_builds
from edgevae.cli.options import json_option, model_argument, print_result, resolve_model

if TYPE_CHECKING:
    from edgevae.bundle import Bundle
    from edgevae.engine.build import BuildOptions
    from edgevae.engine.cache import CachedEngine
    from edgevae.engine.flavour import Flavour
    from edgevae.spec import Precision


@click.command(
    epilog="\b\nExamples:\n"
    "  edgevae build edgevae-video-s --size 480p --size 720p\n"
    "  edgevae build edgevae-video-s --min-shapes 64x64 --opt-shapes 360x640 --max-shapes 2x1080x1920\n"
    "  edgevae build edgevae-video-s --check"
)
@model_argument
@click.option(
    "--backend",
    type=click.Choice(["auto", "tensorrt", "tensorrt_rtx"]),
    default="auto",
    show_default=True,
    help="Which TensorRT; auto takes the first that is installed.",
)
@click.option("--device", default="cuda:0", show_default=True, help="Which GPU.")
@click.option(
    "--precision",
    type=click.Choice(["fp16", "fp32"]),
    default="fp16",
    show_default=True,
    help="Which graphs of the bundle.",
)
@size_options
@click.option("--force", is_flag=True, help="Build even what is in the cache.")
@click.option(
    "--check",
    is_flag=True,
    help="Only see whether TensorRT builds it, and keep nothing; tensorrt_rtx needs no GPU for that.",
)
@json_option
def command(
    model: str,
    backend: str,
    device: str,
    precision: Precision,
    force: bool,
    check: bool,
    as_json: bool,
    **engines: Any,  # Any: the options of wanted_engines
) -> None:
    """Build TensorRT engines of MODEL for this machine's GPU, and keep them in the cache.

    MODEL is a bundle, a checkpoint (where PyTorch is installed) or the name of a shipped model. Its graphs
    are built for each size and checked against the bundle's golden vectors on the GPU. A later run finds the engines
    for as long as graph, TensorRT, GPU, driver and settings are the same.
    """
    from edgevae.bundle import Bundle

    index = device_index(device)
    bundle = Bundle.open(resolve_model(model))
    cell_px = bundle.manifest.spec.spatial_factor
    only_px = None if bundle.manifest.senses is None else cell_px
    wanted = wanted_engines(cell_px=cell_px, only_px=only_px, **engines)
    if check:
        _check(bundle, wanted, precision=precision, backend=backend, as_json=as_json)
        return
    require_gpu(index)
    flavour = choose_flavour(backend, ("tensorrt", "tensorrt_rtx"))
    _build(
        bundle,
        wanted,
        precision=precision,
        flavour=flavour,
        device=index,
        force=force,
        as_json=as_json,
    )


def _build(
    bundle: Bundle,
    wanted: Sequence[BuildOptions],
    *,
    precision: Precision,
    flavour: Flavour,
    device: int,
    force: bool,
    as_json: bool,
) -> None:
    from edgevae.runtime.engines import prepare

    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    engines: list[CachedEngine] = []
    for options in wanted:
        for role in bundle.roles:
            engine = prepare(
                bundle,
                role,
                precision=precision,
                flavour=flavour,
                device=device,
                options=options,
                force=force,
                progress=show_builds(f"{role} {options}"),
            )
            engines.append(engine)
            if not as_json:
                click.echo(_line(engine, started=started))
    if as_json:
        print_result(_result(engines, flavour, started=started), as_json=True, text="")


def _check(
    bundle: Bundle,
    wanted: Sequence[BuildOptions],
    *,
    precision: Precision,
    backend: str,
    as_json: bool,
) -> None:
    """Build and forget; refusals are errors as in a real build."""
    from edgevae.engine.build import build_plan

    # The other way round than for running: this one builds where there is no GPU.
    flavour = choose_flavour(backend, ("tensorrt_rtx", "tensorrt"))
    graphs, lines = list[dict[str, object]](), list[str]()
    for options in wanted:
        for role in bundle.roles:
            graph = bundle.graph(role, precision)
            plan = build_plan(
                bundle.read(graph.file),
                graph,
                flavour=flavour,
                options=options,
                progress=show_builds(f"{role} {options}"),
            )
            lines.append(
                f"{graph.file:<20} {options!s:<14} {plan.layers}, {len(plan.data)} bytes, {plan.seconds:.1f} s"
            )
            graphs.append(
                {
                    "file": graph.file,
                    "profiles": [str(p) for p in options.profiles],
                    "layers_fp16": plan.layers.fp16,
                    "layers_fp32": plan.layers.fp32,
                    "engine_bytes": len(plan.data),
                    "build_seconds": plan.seconds,
                }
            )
    lines.append(f"{flavour} builds {bundle.manifest.name} {precision}; nothing was kept")
    result = {"tensorrt": flavour.name, "tensorrt_version": flavour.version, "graphs": graphs}
    print_result(result, as_json=as_json, text="\n".join(lines))


def _line(engine: CachedEngine, *, started: str) -> str:
    """Return an engine as one line for people."""
    record = engine.record
    when = (
        f"built in {record.build_seconds:.1f} s"
        if record.built_at >= started
        else f"in the cache since {record.built_at}"
    )
    parity = "".join(
        f", {name} {'equal' if value is None else f'{value:.4g}'}"
        for name, value in record.parity.items()
    )
    return (
        f"{record.key.role} {record.key.precision} {record.key.options}: {record.layers}{parity}, "
        f"{record.plan_bytes} bytes, {when}\n  {engine.path}"
    )


def _result(
    engines: Sequence[CachedEngine], flavour: Flavour, *, started: str
) -> dict[str, object]:
    from edgevae.strict import to_dict

    return {
        "tensorrt": flavour.name,
        "tensorrt_version": flavour.version,
        "engines": [
            {
                "path": str(engine.path),
                "built": engine.record.built_at >= started,
                **to_dict(engine.record),
            }
            for engine in engines
        ],
    }
