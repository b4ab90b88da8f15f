"""The state of a stream, and clips cut into the chunks of a graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgevae.errors import InputError
from edgevae.frames import (
    Frames,
    Latents,
    check_frames,
    check_latents,
    fill_channels,
    lead_in,
    pad_frames,
    round_up,
)
from edgevae.runtime.session import Array, Session, SessionState


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
    encoder_lead: int = 0
    """Filler frames before those of the next chunk to encode: the spec's lead at the start of a clip, then none."""
    decoder_lead: int = 0
    """Likewise of the next chunk to decode."""


def start(
    encoder: Session,
    decoder: Session,
    *,
    batch: int,
    height: int,
    width: int,
    cell_px: int,
    lead_frames: int = 0,
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
        batch,
        height,
        width,
        encoder.initial_state(**sizes),
        decoder.initial_state(**sizes),
        lead_frames,
        lead_frames,
    )


def encode_chunk(
    session: Session,
    frames: Frames | Array,
    state: StreamState,
    *,
    cell_px: int,
    kept: int | None = None,
    out: Array | None = None,
    stream: object = None,
) -> tuple[Array, StreamState]:
    """Return latents float32 `[t, C, h, w]` (or `[B, t, C, h, w]`) of one chunk of frames, and the next state.

    Args:
        session: The encoder.
        frames: uint8 `[T, H, W, 3]` or `[B, T, H, W, 3]`. A numpy array is padded to the whole chunk and whole cells
            with its own edge, and gets the lead before the first chunk; an array on the GPU must have them.
        state: Of the stream.
        cell_px: Pixels per latent cell.
        kept: How many channels to give of the C that the graph computes, the first ones; without it all.
        out: Where the latents go, C-contiguous; without it a new array, where the frames are.
        stream: CUDA stream to work on; see `Vae.encode_chunk`.

    Raises:
        InputError: the frames or `out` are not those of this stream, or more than a chunk, or some channels of latents
            on the GPU are wanted, which are there whole.
    """
    if not is_device_array(frames):
        check_frames(frames)
    *batch, t, h, w = _axes(frames, "frames", "[T, H, W, 3]")[:-1]
    expected = (state.batch, state.height, state.width)
    if (batch[0] if batch else 1, h, w) != expected:
        raise InputError(
            f"frames: got shape {list(frames.shape)}, expected batch, height and width {list(expected)} of the stream"
        )
    chunk = session.graph.chunk_frames
    most = chunk - state.encoder_lead if isinstance(frames, np.ndarray) else chunk
    if t > most:
        first = "first " if state.encoder_lead else ""
        raise InputError(
            f"frames: got {t} frames, expected at most the {most} of one {first}chunk; call once per chunk"
        )
    if isinstance(frames, np.ndarray):
        led = lead_in(frames, state.encoder_lead)
        data = _fold(pad_frames(led, frame_multiple=chunk, size_multiple=cell_px), axes=4)
    else:
        _require_whole(
            frames, whole=t == chunk and h % cell_px == 0 == w % cell_px, cell_px=cell_px
        )
        data = frames
    whole = {"batch": 1, "height": round_up(h, cell_px), "width": round_up(w, cell_px)}
    shape = (*batch, *session.graph.outputs[0].resolve(whole))
    if kept is not None and kept != shape[-3]:
        return _encode_first(session, data, state, shape=shape, kept=kept, out=out, stream=stream)
    target = _target(out, shape, np.dtype(np.float32))
    latents, caches = session.run(data, state.encoder, out=target, stream=stream)
    following = replace(state, encoder=caches, encoder_lead=0)
    return _unfold(latents, batch) if out is None else out, following


def _encode_first(
    session: Session,
    data: Array,
    state: StreamState,
    *,
    shape: tuple[int, ...],
    kept: int,
    out: Array | None,
    stream: object,
) -> tuple[np.ndarray, StreamState]:
    """Return the first channels of one chunk's latents, in host memory, and the next state; see `encode_chunk`.

    Args:
        session: The encoder.
        data: The frames, whole, as the graph takes them.
        state: Of the stream.
        shape: Of the latents with all channels, `[t, C, h, w]` or `[B, t, C, h, w]`.
        kept: How many channels are wanted.
        out: Where they go.
        stream: CUDA stream to work on.
    """
    if is_device_array(data if out is None else out):
        raise InputError(
            f"channels: got {kept} for latents on the GPU, which have all {shape[-3]} there: leave channels out and "
            f"use the first {kept} of them, or give a numpy array as out"
        )
    part = (*shape[:-3], kept, *shape[-2:])
    _target(out, part, np.dtype(np.float32))  # refused before the state is used up
    whole = np.empty(shape, np.float32)
    _, caches = session.run(data, state.encoder, out=_fold(whole, axes=4), stream=stream)
    first = np.empty(part, np.float32) if out is None else out
    np.copyto(first, whole[..., :kept, :, :])
    return first, replace(state, encoder=caches, encoder_lead=0)


def decode_chunk(
    session: Session,
    latents: Latents | Array,
    state: StreamState,
    *,
    cell_px: int,
    channels: int,
    nested: tuple[int, ...] = (),
    out: Array | None = None,
    stream: object = None,
) -> tuple[Array, StreamState]:
    """Return frames uint8 `[T, H, W, 3]` (or `[B, T, H, W, 3]`) of one chunk of latents, and the next state.

    All T frames of the chunk come back, cropped to the stream's size; who padded the last chunk trims it. The first
    chunk of a clip comes without its lead, but for arrays on the GPU, which are never cropped.

    Args:
        session: The decoder.
        latents: Float `[t, C, h, w]` or `[B, t, C, h, w]`, exactly one chunk; on the GPU float32, with all channels,
            and not searched for NaN.
        state: Of the stream.
        cell_px: Pixels per latent cell.
        channels: C of the graph.
        nested: Other numbers of channels that latents may have; those that are missing are taken as 0.
        out: Where the frames go, C-contiguous; without it a new array, where the latents are.
        stream: CUDA stream to work on; see `Vae.encode_chunk`.

    Raises:
        InputError: the latents or `out` are not those of this stream, not one chunk, or not finite.
    """
    on_device = is_device_array(latents)
    if not on_device:
        latents = check_latents(latents, channels=channels, nested=nested)
    *batch, steps, c, h, w = _axes(latents, "latents", "[t, C, h, w]")
    if c != channels and on_device:
        raise InputError(
            f"latents: got {c} channels on the GPU, expected all {channels}: put them into an array of zeros there, or "
            "give a numpy array"
        )
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
    whole = state.height == h * cell_px and state.width == w * cell_px
    if on_device or is_device_array(out):
        _require_whole(latents, whole=whole, cell_px=cell_px)
        lead = 0
    else:
        lead = state.decoder_lead
    whole = whole and not lead
    shape = (*batch, session.graph.chunk_frames - lead, state.height, state.width, 3)
    target = _target(out, shape, np.dtype(np.uint8))
    frames, caches = session.run(
        latents if on_device else _fold(fill_channels(latents, channels=channels), axes=4),
        state.decoder,
        out=target if whole else None,
        stream=stream,
    )
    following = replace(state, decoder=caches, decoder_lead=0)
    if out is not None and whole:
        return out, following
    frames = _unfold(frames, batch)
    if not whole:
        frames = frames[..., lead:, : state.height, : state.width, :]
    if out is None:
        return frames, following
    np.copyto(out, frames)
    return out, following


def is_device_array(value: object) -> bool:
    """Return whether a value claims to be an array outside of numpy: it has a shape and DLPack or CUDA's interface."""
    claims = hasattr(value, "__dlpack__") or hasattr(value, "__cuda_array_interface__")
    return claims and hasattr(value, "shape") and not isinstance(value, np.ndarray)


def _axes(array: Array, name: str, layout: str) -> tuple[int, ...]:
    shape = tuple(int(n) for n in array.shape)
    if len(shape) not in (4, 5):
        raise InputError(
            f"{name}: got shape {list(shape)}, expected {layout}, or with a batch before it"
        )
    return shape


def _require_whole(array: Array, *, whole: bool, cell_px: int) -> None:
    if not whole:
        raise InputError(
            f"array of shape {list(array.shape)}: on the GPU nothing is padded or cropped: give whole chunks, "
            f"height and width multiples of {cell_px}"
        )


def _target(out: Array | None, shape: tuple[int, ...], dtype: np.dtype) -> Array | None:
    """Return `out` as the session takes it, after checking that it is what the result needs."""
    if out is None:
        return None
    if tuple(out.shape) != shape:
        raise InputError(f"out: got shape {list(out.shape)}, expected {list(shape)}")
    if not isinstance(out, np.ndarray):
        return out
    if out.dtype != dtype or not out.flags.c_contiguous or not out.flags.writeable:
        raise InputError(f"out: got {out.dtype}, expected a writable C-contiguous array of {dtype}")
    return _fold(out, axes=4)


def _fold(array: np.ndarray, *, axes: int) -> np.ndarray:
    """Return `[B, T, ...]` or `[T, ...]` as contiguous `[B*T, ...]`, clip by clip, as the graphs take it."""
    return np.ascontiguousarray(array).reshape(-1, *array.shape[array.ndim - axes + 1 :])


def _unfold(array: Array, batch: list[int]) -> Array:
    """Return `[B*T, ...]` as `[B, T, ...]` where there is a batch; no copy."""
    if not batch:
        return array
    return array.reshape((batch[0], array.shape[0] // batch[0], *array.shape[1:]))
