"""The PyTorch side: the modules that were exported, run chunk by chunk as the runtime runs its graphs.

Only this module and its parts, `baseline_session`, `baseline_place` and others of that name, import PyTorch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgevae.errors import InputError
from edgevae.files import sha256
from edgevae.nn.checkpoint import load_checkpoint
from edgevae.nn.graph import DecoderGraph, EncoderGraph
from edgevae.spec import GraphSpec, Precision, Role, TensorSpec, VaeSpec
from edgevae_bench.baseline_diffusers import LIBRARY, ROLES, Modules, open_modules
from edgevae_bench.baseline_place import require_gpu
from edgevae_bench.baseline_session import COMPILE, TorchSession
from edgevae_bench.checkpoint import is_of_diffusers
from edgevae_bench.session_codec import SessionCodec

VARIANTS = {
    "eager": torch.contiguous_format,
    "channels_last": torch.channels_last,
    "compile": torch.channels_last,
    "compile_graphs": torch.channels_last,
    LIBRARY: torch.contiguous_format,
}
"""Ways to run the network, with the memory format of its weights and of what enters its first layer."""


def open_torch_codec(
    checkpoint: Path,
    *,
    variant: str,
    chunk_frames: int,
    threads: int,
    device: str = "cpu",
    precision: Precision = "fp32",
) -> SessionCodec:
    """Return a checkpoint in PyTorch, inference mode; it takes numpy arrays, and tensors on its device.

    Args:
        checkpoint: The folder.
        variant: One of `VARIANTS`.
        chunk_frames: T of one call, a multiple of the temporal factor.
        threads: CPU threads of one call. PyTorch has one number for the whole process: the last one set counts.
        device: `cpu` or `cuda:N`.
        precision: Of the network; frames are uint8 and latents float32 all the same.

    Raises:
        InputError: no such variant, or `chunk_frames` is no multiple of the temporal factor.
        UnavailableError: a GPU was asked for and this PyTorch has none.
        EdgeVaeError: as `edgevae.nn.load_checkpoint`.
    """
    if variant not in VARIANTS:
        raise InputError(
            f"PyTorch baseline: got {variant!r}, expected one of {', '.join(VARIANTS)}"
        )
    _set_up(device, threads)
    opened = _open_foreign if is_of_diffusers(checkpoint) else _open_own
    modules = opened(
        checkpoint, variant, chunk_frames=chunk_frames, device=device, precision=precision
    )
    if chunk_frames % modules.spec.temporal_factor:
        raise InputError(
            f"{checkpoint}: chunks of {chunk_frames} frames, expected a multiple of {modules.spec.temporal_factor}"
        )
    compiled = variant if variant in COMPILE else None
    encoder, decoder = (
        TorchSession(
            modules.by_role[role],
            _graph(role, modules.spec, chunk_frames, precision),
            compiled=compiled,
        )
        for role in ROLES
    )
    digest = modules.weights_sha256
    return SessionCodec(encoder, decoder, spec=modules.spec, name=modules.name, model_digest=digest)


def _open_own(
    checkpoint: Path, variant: str, *, chunk_frames: int, device: str, precision: Precision
) -> Modules:
    if variant == LIBRARY:
        raise InputError(f"{checkpoint}: got a checkpoint of edgevae, expected one of diffusers")
    memory_format = VARIANTS[variant]
    vae = load_checkpoint(checkpoint)
    vae.to(  # type: ignore[call-overload]  # torch's overloads leave the format out
        device=device,
        dtype=torch.float16 if precision == "fp16" else torch.float32,
        memory_format=memory_format,
    )
    for network in (vae.encoder, vae.decoder):
        _pin_format(network, memory_format)
    by_role: dict[Role, nn.Module] = {
        "encoder": EncoderGraph(vae, chunk_frames=chunk_frames).eval(),
        "decoder": DecoderGraph(vae, chunk_frames=chunk_frames).eval(),
    }
    digest = sha256((checkpoint / "model.safetensors").read_bytes())
    return Modules(by_role, vae.spec, checkpoint.name, digest)


def _open_foreign(
    checkpoint: Path, variant: str, *, chunk_frames: int, device: str, precision: Precision
) -> Modules:
    return open_modules(
        checkpoint,
        variant=variant,
        memory_format=VARIANTS[variant],
        pin=_pin_format,
        chunk_frames=chunk_frames,
        device=device,
        precision=precision,
    )


def _set_up(device: str, threads: int) -> None:
    """Make PyTorch as fast as it is asked to be on a device, in arithmetic that is what its name says."""
    torch.set_num_threads(threads)
    if device == "cpu":
        return
    require_gpu(device)
    torch.cuda.set_device(device)
    torch.backends.cudnn.benchmark = True
    # On by default, TF32 keeps 10 bits of a float32.
    torch.backends.cudnn.allow_tf32 = False


def _pin_format(network: nn.Module, memory_format: torch.memory_format) -> None:
    """Have the network's input in one memory format.

    The frames arrive as NHWC and are permuted, which is a channels-last view: without this the eager NCHW baseline
    would run its first layers, and as many as keep the format, in channels-last.
    """

    def pin(
        _: nn.Module, inputs: tuple[Any, ...]
    ) -> tuple[Any, ...]:  # Any: pixels or latents, state, steps
        return (inputs[0].contiguous(memory_format=memory_format), *inputs[1:])

    network.register_forward_pre_hook(pin)


def _graph(role: Role, spec: VaeSpec, chunk_frames: int, precision: Precision) -> GraphSpec:
    """Return the description of a graph with its tensors at the boundary; it is in no file."""
    steps, cell_px = chunk_frames // spec.temporal_factor, spec.spatial_factor
    frames = TensorSpec(
        name="frames", dtype="uint8", shape=(f"{chunk_frames}*batch", "height", "width", 3)
    )
    shape = (f"{steps}*batch", spec.latent_channels, f"height/{cell_px}", f"width/{cell_px}")
    latents = TensorSpec(name="latents", dtype="float32", shape=shape)
    data, result = (frames, latents) if role == "encoder" else (latents, frames)
    inputs = (data, *spec.state(role))
    return GraphSpec(
        role=role,
        precision=precision,
        file="",
        chunk_frames=chunk_frames,
        inputs=inputs,
        outputs=(result,),
    )
