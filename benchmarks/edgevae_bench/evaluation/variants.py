"""The ways in which an evaluation runs a model: as it is, with altered latents, in half precision."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import edgevae
from edgevae.bundle import Bundle
from edgevae.frames import Frames, Latents
from edgevae.spec import Precision, VaeSpec
from edgevae_bench.checkpoint import require_source
from edgevae_bench.evaluation.codec import Codec, State
from edgevae_bench.evaluation.coding import Ranges, dequantise, keep_channels, quantise
from edgevae_bench.evaluation.plan import Plan
from edgevae_bench.evaluation.result import CHANNELS, FP16_GRAPHS, PYTORCH_HALF


class AlteredLatents:
    """A codec whose latents change on their way from the encoder to the decoder; a `Codec`.

    Args:
        codec: The model; several of these may share one, for the state of each is its own.
        alter: From latents `[t, C, h, w]` to latents of the same shape.
    """

    def __init__(self, codec: Codec, alter: Callable[[Latents], Latents]) -> None:
        self._codec, self._alter = codec, alter

    @property
    def spec(self) -> VaeSpec:
        """The model's."""
        return self._codec.spec

    @property
    def chunk_frames(self) -> int:
        """The model's."""
        return self._codec.chunk_frames

    def stream(self, *, height: int, width: int, batch: int = 1) -> State:
        """Return the state of a stream at its first frame."""
        return self._codec.stream(height=height, width=width, batch=batch)

    def encode_chunk(self, frames: Frames, state: State) -> tuple[Latents, State]:
        """Return the altered latents of one chunk, and the next state."""
        latents, state = self._codec.encode_chunk(frames, state)
        return self._alter(latents), state

    def decode_chunk(self, latents: Latents, state: State) -> tuple[Frames, State]:
        """Return the frames of one chunk of latents, and the next state."""
        return self._codec.decode_chunk(latents, state)


def with_8bit_latents(codec: Codec, ranges: Ranges) -> Codec:
    """Return the model with its latents rounded to 8-bit codes of the ranges."""
    return AlteredLatents(codec, lambda latents: dequantise(quantise(latents, ranges), ranges))


def with_channels(codec: Codec, channels: Sequence[int]) -> dict[str, Codec]:
    """Return the model by variant, with so many of its latent channels left."""
    return {
        f"{CHANNELS}{n}": AlteredLatents(codec, partial(keep_channels, channels=n))
        for n in channels
    }


def open_half(
    plan: Plan, model: edgevae.Vae, stack: contextlib.ExitStack
) -> tuple[dict[str, Codec], list[str]]:
    """Return the model in half precision by variant, and what must be said of it.

    Args:
        plan: Where the bundle and the weights are.
        model: As it is evaluated.
        stack: Closes what is opened.

    Raises:
        EdgeVaeError: as `edgevae.load`; or the checkpoint's weights are not the model's.
    """
    codecs, notes = dict[str, Codec](), list[str]()
    if "fp16" not in Bundle.open(plan.bundle).precisions:
        notes.append(f"{FP16_GRAPHS}: not measured, the bundle has none")
    elif model.precision == "fp16":
        notes.append(f"{FP16_GRAPHS}: not measured again, the model itself ran in fp16")
    else:
        codecs[FP16_GRAPHS] = stack.enter_context(open_runtime(plan, precision="fp16"))
        if model.device == "cpu":
            notes.append(
                f"{FP16_GRAPHS}: on a CPU ONNX Runtime computes fp16 graphs in fp32: this shows what rounding the "
                "weights costs, not the arithmetic of a GPU, and no overflow"
            )
    if plan.checkpoint is None or find_spec("torch") is None:
        missing = (
            "PyTorch is not installed" if plan.checkpoint else "no checkpoint beside the bundle"
        )
        notes.append(f"{PYTORCH_HALF}: not measured, {missing}")
    else:
        require_source(plan.bundle, plan.checkpoint)
        codecs[PYTORCH_HALF] = _open_pytorch_half(plan.checkpoint, model, threads=plan.threads)
    return codecs, notes


def open_runtime(plan: Plan, *, precision: Precision | None) -> edgevae.Vae:
    """Return the plan's bundle in the runtime.

    Raises:
        EdgeVaeError: as `edgevae.load`.
    """
    return edgevae.load(
        plan.bundle,
        backend=plan.backend,
        device=plan.device,
        precision=precision,
        threads=plan.threads,
    )


def find_checkpoint(model: Path) -> Path | None:
    """Return the folder of the weights: the model, or `checkpoint` beside its bundle; None if there is neither."""
    for folder in (model, model.parent / "checkpoint"):
        if (folder / "model.safetensors").is_file():
            return folder
    return None


def _open_pytorch_half(checkpoint: Path, model: edgevae.Vae, *, threads: int) -> Codec:
    """Return the weights in PyTorch in true half arithmetic, on the model's GPU or on the CPU."""
    from edgevae_bench.baseline import open_torch_codec

    return open_torch_codec(
        checkpoint,
        variant="channels_last",
        chunk_frames=model.chunk_frames,
        threads=threads,
        device=model.device,
        precision="fp16",
    )
