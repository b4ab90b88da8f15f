"""The state of a stream, and clips cut into the chunks of a graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgevae.errors import InputError
from edgevae.frames import Frames, Latents, check_frames, check_latents, pad_frames, round_up
from edgevae.runtime.session import Session, SessionState


@dataclass(frozen=True)
class StreamState:
    """Where a stream is: the caches of both directions. Passed in and returned; it goes into one call."""

    batch: int
    """Clips that run side by side."""
    height: int
    """Of the frames, in pixels, before padding."""
    width: int
    """Of the frames, in pixels, before padding."""
    encoder: SessionState
    """Caches of the encoder, on its device."""
    decoder: SessionState
    """Caches of the decoder, on its device."""


def start(
    encoder: Session, decoder: Session, *, batch: int, height: int, width: int, cell_px: int
) -> StreamState:
    """Return the state at the first frame of a stream.

    Raises:
        InputError: a size is below 1.
    """
    for name, value in (("batch", batch), ("height", height), ("width", width)):
        if value < 1:
            raise InputError(f"{name}: got {value}, expected at least 1")
    sizes = {
        "batch": batch,
        "height_px": round_up(height, cell_px),
        "width_px": round_up(width, cell_px),
    }
    return StreamState(
        batch, height, width, encoder.initial_state(**sizes), decoder.initial_state(**sizes)
    )


def encode_chunk(
    session: Session, frames: Frames, state: StreamState, *, cell_px: int
) -> tuple[Latents, StreamState]:
    """Return latents float32 `[t, C, h, w]` (or `[B, t, C, h, w]`) of one chunk of frames, and the next state.

    Args:
        session: The encoder.
        frames: uint8 `[T, H, W, 3]` or `[B, T, H, W, 3]`; fewer than the chunk's frames are padded with the last one.
        state: Of the stream.
        cell_px: Pixels per latent cell.

    Raises:
        InputError: the frames are not those of this stream, or more than a chunk.
    """
    check_frames(frames)
    *batch, t, h, w, _ = frames.shape
    expected = (state.batch, state.height, state.width)
    if (batch[0] if batch else 1, h, w) != expected:
        raise InputError(
            f"frames: got shape {list(frames.shape)}, expected batch, height and width {list(expected)} of the stream"
        )
    chunk = session.graph.chunk_frames
    if t > chunk:
        raise InputError(
            f"frames: got {t} frames, expected at most the {chunk} of one chunk; call once per chunk"
        )
    padded = pad_frames(frames, frame_multiple=chunk, size_multiple=cell_px)
    latents, caches = session.run(_fold(padded, axes=4), state.encoder)
    return _unfold(latents, batch), replace(state, encoder=caches)


def decode_chunk(
    session: Session, latents: Latents, state: StreamState, *, cell_px: int, channels: int
) -> tuple[Frames, StreamState]:
    """Return frames uint8 `[T, H, W, 3]` (or `[B, T, H, W, 3]`) of one chunk of latents, and the next state.

    All T frames of the chunk come back, cropped to the stream's size; who padded the last chunk trims it.

    Args:
        session: The decoder.
        latents: Float `[t, C, h, w]` or `[B, t, C, h, w]`, exactly one chunk.
        state: Of the stream.
        cell_px: Pixels per latent cell.
        channels: C.

    Raises:
        InputError: the latents are not those of this stream, not one chunk, or not finite.
    """
    latents = check_latents(latents, channels=channels)
    *batch, steps, _, h, w = latents.shape
    expected = (
        state.batch,
        round_up(state.height, cell_px) // cell_px,
        round_up(state.width, cell_px) // cell_px,
    )
    if (batch[0] if batch else 1, h, w) != expected:
        raise InputError(
            f"latents: got shape {list(latents.shape)}, expected batch, h and w {list(expected)} of the stream"
        )
    chunk = session.graph.chunk_length
    if steps != chunk:
        raise InputError(f"latents: got {steps} latent steps, expected the {chunk} of one chunk")
    frames, caches = session.run(_fold(latents, axes=4), state.decoder)
    cropped = _unfold(frames, batch)[..., : state.height, : state.width, :]
    return cropped, replace(state, decoder=caches)


def _fold(array: np.ndarray, *, axes: int) -> np.ndarray:
    """Return `[B, T, ...]` or `[T, ...]` as contiguous `[B*T, ...]`, clip by clip, as the graphs take it."""
    return np.ascontiguousarray(array).reshape(-1, *array.shape[array.ndim - axes + 1 :])


def _unfold(array: np.ndarray, batch: list[int]) -> np.ndarray:
    return array.reshape(batch[0], -1, *array.shape[1:]) if batch else array
