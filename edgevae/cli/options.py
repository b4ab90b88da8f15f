"""Arguments and options that several commands share, and how MODEL is found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgevae.errors import InputError, UnavailableError
from edgevae.runtime.vae import Vae

if TYPE_CHECKING:
    from edgevae.runtime.generator import Generator
    from edgevae.runtime.multimodal import MultimodalVae
    from edgevae.runtime.predictor import Predictor
    from edgevae.runtime.tiling import Tiling

F = TypeVar("F", bound=Callable[..., Any])  # Any: click commands take whatever their options are


def model_argument(function: F) -> F:
    """Add MODEL: a bundle, a checkpoint (where PyTorch is installed) or the name of a shipped model."""
    return click.argument("model", metavar="MODEL")(function)


def json_option(function: F) -> F:
    """Add --json: the result as one JSON line instead of text."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print the result as one line of JSON."
    )(function)


def backend_options(function: F) -> F:
    """Add --backend, --device, --precision and --threads."""
    options = (
        click.option(
            "--backend",
            default="auto",
            show_default=True,
            help="What runs the graphs: auto, tensorrt, tensorrt_rtx, onnxruntime or onnxruntime_tensorrt.",
        ),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="Where the graphs run: auto, cpu, cuda or cuda:N.",
        ),
        click.option(
            "--precision",
            default=None,
            help="fp32 or fp16; by default fp16 on a GPU, fp32 on a CPU.",
        ),
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            default=None,
            help="CPU threads; by default one per physical core.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def tensorrt_options(function: F) -> F:
    """Add --build/--no-build, --cuda-graph/--no-cuda-graph and --zero-copy."""
    options = (
        click.option(
            "--build/--no-build",
            "allow_build",
            default=True,
            show_default=True,
            help="TensorRT: build an engine that is missing or stale, or leave with exit code 4.",
        ),
        click.option(
            "--cuda-graph/--no-cuda-graph",
            default=True,
            show_default=True,
            help="TensorRT: replay calls as CUDA graphs, or enqueue each.",
        ),
        click.option(
            "--zero-copy",
            is_flag=True,
            help="TensorRT: read and write frames in mapped host memory; for Jetson.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def load_model(
    model: str,
    *,
    tiling: Tiling | None = None,
    **backend: Any,  # Any: those of _chosen
) -> Vae:
    """Return the opened VAE that MODEL stands for; a build of an engine shows a bar on stderr.

    Raises:
        EdgeVaeError: as `edgevae.load`, or `resolve_model`.
    """
    from edgevae.runtime.vae import load

    return load(resolve_model(model), **_chosen(**backend), tiling=tiling)


def open_predictor(model: str, **backend: Any) -> Predictor:  # Any: those of _chosen
    """Return the opened predictor that MODEL stands for, as `load_model`.

    Raises:
        EdgeVaeError: as `edgevae.load_predictor`, or `resolve_model`.
    """
    from edgevae.runtime.predictor import load_predictor

    return load_predictor(resolve_model(model), **_chosen(**backend))


def open_generator(
    model: str, *, plain_normal: bool, **backend: Any
) -> Generator:  # Any: those of _chosen
    """Return the opened generator that MODEL stands for, as `load_model`.

    Raises:
        EdgeVaeError: as `edgevae.load_generator`, or `resolve_model`.
    """
    from edgevae.runtime.generator import load_generator

    return load_generator(resolve_model(model), plain_normal=plain_normal, **_chosen(**backend))


def open_multimodal(model: str, **backend: Any) -> MultimodalVae:  # Any: those of _chosen
    """Return the opened model of several senses that MODEL stands for, as `load_model`.

    Raises:
        EdgeVaeError: as `edgevae.load_multimodal`, or `resolve_model`.
    """
    from edgevae.runtime.multimodal import load_multimodal

    return load_multimodal(resolve_model(model), **_chosen(**backend))


def _chosen(
    *,
    backend: str,
    device: str,
    precision: str | None,
    threads: int | None,
    allow_build: bool = True,
    cuda_graph: bool = True,
    zero_copy: bool = False,
) -> dict[str, Any]:  # Any: the arguments of edgevae.load
    """Return the options of `backend_options` and `tensorrt_options` as arguments of `edgevae.load`."""
    from edgevae.cli.build_progress import show_builds
    from edgevae.runtime.tensorrt_options import TensorRtOptions

    return {
        "backend": backend,
        "device": device,
        # The runtime refuses a precision that it does not know, and names the choices.
        "precision": precision,
        "threads": threads,
        "tensorrt": TensorRtOptions(
            allow_build=allow_build,
            cuda_graph=cuda_graph,
            zero_copy=zero_copy,
            progress=show_builds(),
        ),
    }


def resolve_model(model: str) -> Path:
    """Return the bundle that MODEL stands for; a checkpoint is exported once, into the cache.

    Raises:
        InputError: MODEL is no path and no shipped name, or a file, or a folder of something else.
        UnavailableError: MODEL is a checkpoint and PyTorch is not installed.
    """
    from edgevae.bundle import is_bundle
    from edgevae.runtime.shipped import locate

    path = locate(model)
    if is_bundle(path) or not (path / "config.json").is_file():
        if path.is_dir() and not is_bundle(path):
            raise InputError(
                f"{model}: holds no manifest.json (a bundle) and no config.json (a checkpoint)"
            )
        return path
    return _exported(path)


def _exported(checkpoint: Path) -> Path:
    """Return the bundle of a checkpoint from the cache, exporting it first where it is not there."""
    from edgevae.bundle import is_bundle
    from edgevae.files import cache_folder, sha256
    from edgevae.version import __version__

    required = [checkpoint / "config.json", checkpoint / "model.safetensors"]
    if not required[1].is_file():
        raise InputError(
            f"{checkpoint}: has config.json but no model.safetensors; copy the checkpoint again, or if it is a VAE of "
            "diffusers make a bundle of it first, with `edgevae export`"
        )
    # What stands beside the VAE is exported with it.
    beside = [p for p in sorted(checkpoint.iterdir()) if p.suffix in (".json", ".safetensors")]
    parts = [*required, *(p for p in beside if p not in required)]
    key = sha256(b"".join(p.read_bytes() for p in parts) + __version__.encode())[:16]
    bundle = cache_folder() / "bundles" / f"{checkpoint.resolve().name}-{key}"
    if not is_bundle(bundle):
        try:
            from edgevae_export.export import export_bundle
        except ImportError as error:
            raise UnavailableError(
                f"{checkpoint}: is a checkpoint, and running one needs PyTorch ({error}); "
                "export it elsewhere, or install `edgevae[export]`"
            ) from error
        click.echo(f"exporting {checkpoint} once, to {bundle}", err=True)
        try:
            export_bundle(checkpoint, bundle, step=lambda text: click.echo(f"  {text}", err=True))
        except (FileExistsError, InputError):
            if not is_bundle(bundle):  # else another process exported it meanwhile
                raise
    return bundle


def print_result(result: dict[str, Any], *, as_json: bool, text: str) -> None:  # Any: JSON values
    """Print a command's result on stdout: one JSON line, or text for people."""
    click.echo(json.dumps(result) if as_json else text)
    sys.stdout.flush()
