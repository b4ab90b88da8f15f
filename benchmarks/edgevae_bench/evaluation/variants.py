"""The ways in which an evaluation runs a model: as it is, with altered latents, in half precision."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgevae.bundle import Bundle
from edgevae.frames import Frames, Latents
from edgevae.spec import VaeSpec
from edgevae_bench import claims
from edgevae_bench.evaluation.coding import Ranges, dequantise, keep_channels, quantise
from edgevae_bench.evaluation.result import CHANNELS, FP16_GRAPHS, PYTORCH_HALF
from edgevae_bench.subjects import AnyCodec, Subject, open_subject


class AlteredLatents:
    """A codec whose latents change on their way from the encoder to the decoder; a `subjects.Codec`.

    Args:
        codec: The model; several of these may share one, for the state of each is its own.
        alter: From latents `[t, C, h, w]` to latents of the same shape.
    """

    def __init__(self, codec: AnyCodec, alter: Callable[[Latents], Latents]) -> None:
        self._codec, self._alter = codec, alter

    @property
    def spec(self) -> VaeSpec:
        """The model's."""
        return self._codec.spec

    @property
    def chunk_frames(self) -> int:
        """The model's."""
        return self._codec.chunk_frames

    def stream(self, *, height: int, width: int, batch: int = 1) -> Any:  # Any: as in AnyCodec
        """Return the state of a stream at its first frame."""
        return self._codec.stream(height=height, width=width, batch=batch)

    def encode_chunk(self, frames: Frames, state: Any) -> tuple[Latents, Any]:  # Any: as above
        """Return the altered latents of one chunk, and the next state."""
        latents, state = self._codec.encode_chunk(frames, state)
        return self._alter(latents), state

    def decode_chunk(self, latents: Latents, state: Any) -> tuple[Frames, Any]:  # Any: as above
        """Return the frames of one chunk of latents, and the next state."""
        return self._codec.decode_chunk(latents, state)


def with_8bit_latents(codec: AnyCodec, ranges: Ranges) -> AnyCodec:
    """Return the model with its latents rounded to 8-bit codes of the ranges."""
    return AlteredLatents(codec, lambda latents: dequantise(quantise(latents, ranges), ranges))


def with_channels(codec: AnyCodec, channels: Sequence[int]) -> dict[str, AnyCodec]:
    """Return the model by variant, with so many of its latent channels left."""
    return {
        f"{CHANNELS}{n}": AlteredLatents(codec, partial(keep_channels, channels=n))
        for n in channels
    }


def open_half(
    model: Subject, checkpoint: Path | None, stack: contextlib.ExitStack
) -> tuple[dict[str, AnyCodec], list[str]]:
    """Return the model in half precision by variant, and what must be said of it.

    Args:
        model: As it is evaluated.
        checkpoint: The folder of its weights, for PyTorch; None where there is none.
        stack: Closes what is opened.

    Raises:
        EdgeVaeError: as `edgevae.load`; or the checkpoint's weights are not the model's.
    """
    codecs, notes = dict[str, AnyCodec](), list[str]()
    if "fp16" not in Bundle.open(model.path).precisions:
        notes.append(f"{FP16_GRAPHS}: not measured, the bundle has none")
    elif model.precision == "fp16":
        notes.append(f"{FP16_GRAPHS}: `{model.name}` itself ran in fp16; see its own rows")
    else:
        graphs = _half(model, kind="runtime", path=model.path, backend=model.backend)
        codecs[FP16_GRAPHS] = stack.enter_context(open_subject(graphs))
        if model.device == "cpu":
            notes.append(
                f"{FP16_GRAPHS}: on a CPU ONNX Runtime computes fp16 graphs in fp32: this shows what rounding the "
                "weights costs, not the arithmetic of a GPU, and no overflow"
            )
    if checkpoint is None or find_spec("torch") is None:
        missing = "PyTorch is not installed" if checkpoint else "no checkpoint beside the bundle"
        notes.append(f"{PYTORCH_HALF}: not measured, {missing}")
    else:
        claims.require_source(Path(model.path), checkpoint)
        torch_half = _half(model, kind="pytorch", path=str(checkpoint), backend="channels_last")
        codecs[PYTORCH_HALF] = stack.enter_context(open_subject(torch_half))
    return codecs, notes


def find_checkpoint(model: Path) -> Path | None:
    """Return the folder of the weights: the model, or `checkpoint` beside its bundle; None if there is neither."""
    for folder in (model, model.parent / "checkpoint"):
        if (folder / "model.safetensors").is_file():
            return folder
    return None


def _half(model: Subject, *, kind: Any, path: str, backend: str) -> Subject:  # Any: a literal
    """Return the same model in fp16; PyTorch runs on the model's GPU, or on the CPU."""
    return Subject(
        name=f"{backend}_fp16",
        kind=kind,
        path=path,
        backend=backend,
        device=model.device,
        precision="fp16",
        threads=model.threads,
        chunk_frames=model.chunk_frames,
    )
