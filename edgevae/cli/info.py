"""`edgevae info`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevae.bundle import VERIFICATION, Bundle, is_bundle
from edgevae.cli.options import json_option, model_argument, print_result
from edgevae.errors import InputError, UnavailableError
from edgevae.senses import SensesSpec
from edgevae.spec import VaeSpec
from edgevae.strict import to_dict

if TYPE_CHECKING:
    from edgevae.nn.generator import Generator
    from edgevae.nn.vae import Vae


@click.command(epilog="\b\nExample:\n  edgevae info edgevae-video-s")
@model_argument
@json_option
def command(model: str, as_json: bool) -> None:
    """Show what MODEL holds, with every digest checked.

    MODEL is a bundle, a checkpoint (where PyTorch is installed) or the name of a shipped model.
    """
    from edgevae.runtime.shipped import locate

    path = locate(model)
    if is_bundle(path):
        result, text = _bundle(path)
    elif (path / "config.json").is_file():
        result, text = _checkpoint(path)
    else:
        kind = "a file" if path.is_file() else "a folder without manifest.json or config.json"
        raise InputError(
            f"{model}: is {kind}, expected a bundle, a checkpoint or the name of a shipped model"
        )
    print_result(result, as_json=as_json, text=text)


def _bundle(path: Path) -> tuple[dict[str, Any], str]:  # Any: JSON values
    import json

    bundle = Bundle.open(path)
    contents = {name: bundle.read(name) for name in bundle.manifest.files}
    manifest = bundle.manifest
    lines = [
        f"{manifest.name}  bundle, format {manifest.format_version}, written by edgevae {manifest.edgevae_version}",
        f"digest     {bundle.digest}",
        *_spec_lines(manifest.spec),
        *_sense_lines(manifest.senses),
    ]
    if manifest.picture_px is not None:
        height, width = manifest.picture_px
        lines.append(f"generates  pictures of {width} x {height} pixels")
    for graph in manifest.graphs:
        entry = manifest.files[graph.file]
        lines.append(
            f"{graph.role:<10} {graph.precision}  {graph.chunk_frames} frames a call  "
            f"{entry.bytes:>9} bytes  {graph.file}"
        )
        for tensor, arrow in [
            *((t, "<-") for t in graph.inputs),
            *((t, "->") for t in graph.outputs),
        ]:
            lines.append(
                f"           {arrow} {tensor.name:<24} {tensor.dtype:<8} [{', '.join(map(str, tensor.shape))}]"
            )
    verification = json.loads(contents[VERIFICATION]) if VERIFICATION in contents else None
    result = {
        "kind": "bundle",
        "digest": bundle.digest,
        **to_dict(manifest),
        "verification": verification,
    }
    return result, "\n".join(lines)


def _checkpoint(path: Path) -> tuple[dict[str, Any], str]:  # Any: JSON values
    try:
        from edgevae.nn import load_checkpoint
        from edgevae.nn.generator_checkpoint import has_generator, load_generator
        from edgevae.nn.generator_graph import generator_spec
        from edgevae.nn.predictor_checkpoint import has_predictor, load_predictor
        from edgevae.nn.prior_checkpoint import has_prior, load_prior
        from edgevae.nn.senses_checkpoint import is_senses_checkpoint
    except ImportError as error:
        raise UnavailableError(
            f"{path}: is a checkpoint, and reading it needs PyTorch ({error})"
        ) from error
    if is_senses_checkpoint(path):
        return _senses_checkpoint(path)
    if has_generator(path):
        generator = load_generator(path)
        spec, what = generator_spec(generator.config), f"generator of {generator.config.kind}"
        return _network(path, generator, spec=spec, what=what)
    vae = load_checkpoint(path)
    result, text = _network(path, vae, spec=vae.spec, what=f"{vae.config.kind} VAE")
    lines = [text]
    beside = {
        "predictor": load_predictor(path) if has_predictor(path) else None,
        "prior": load_prior(path) if has_prior(path) else None,
    }
    for role, network in beside.items():
        if network is not None:
            own = sum(p.numel() for p in network.parameters())
            lines.append(
                f"{role:<10} {network.config.chunk_steps} latent steps a call, {own} parameters"
            )
            result |= {role: to_dict(network.config), f"{role}_parameters": own}
    return result, "\n".join(lines)


def _network(
    path: Path, network: Generator | Vae, *, spec: VaeSpec, what: str
) -> tuple[dict[str, Any], str]:  # Any: JSON values
    """Return the facts of the network that a checkpoint is of."""
    count = sum(p.numel() for p in network.parameters())
    title = f"{path.resolve().name}  checkpoint, {what}, {count} parameters"
    result = {
        "kind": "checkpoint",
        "parameters": count,
        "config": to_dict(network.config),
        "spec": to_dict(spec),
    }
    return result, "\n".join([title, *_spec_lines(spec)])


def _senses_checkpoint(path: Path) -> tuple[dict[str, Any], str]:  # Any: JSON values
    from edgevae.nn.senses_checkpoint import load_senses

    vae = load_senses(path)
    count = sum(p.numel() for p in vae.parameters())
    lines = [
        f"{path.resolve().name}  checkpoint, VAE of several senses, {count} parameters, "
        f"{vae.config.latent_channels} channels a window",
        *_sense_lines(vae.config.spec),
    ]
    config = to_dict(vae.config)
    return {"kind": "checkpoint", "parameters": count, "config": config}, "\n".join(lines)


def _sense_lines(senses: SensesSpec | None) -> list[str]:
    if senses is None:
        return []
    return [
        f"sense      {s.name}: {s.kind} [{', '.join(map(str, s.shape))}] a window of "
        f"{senses.window_frames / senses.frames_per_second:g} s"
        for s in senses.senses
    ]


def _spec_lines(spec: VaeSpec) -> list[str]:
    nested = [f"{n} channels ({spec.compression_of(n):g}:1)" for n in spec.nested_channels]
    return [
        f"latents    {spec.temporal_factor} frames x {spec.spatial_factor} x {spec.spatial_factor} pixels -> "
        f"{spec.latent_channels} channels ({spec.compression:g}:1)",
        *([f"nested     {', '.join(nested)}"] if nested else []),
        f"halo       encoder {_reach(spec.encoder_halo_px, 'px')}, "
        f"decoder {_reach(spec.decoder_halo_cells, 'latent cells')}",
        f"state      encoder {len(spec.encoder_state)} caches, decoder {len(spec.decoder_state)} caches",
    ]


def _reach(halo: int | None, unit: str) -> str:
    return "the whole frame" if halo is None else f"{halo} {unit}"
