"""`Vae`: a bundle, loaded: frames to latents to frames."""

from __future__ import annotations

import contextlib
import os

import numpy as np

from edgevae.bundle import Bundle
from edgevae.errors import InputError
from edgevae.frames import Frames, Latents, check_frames, check_latents, round_up
from edgevae.roles import VAE
from edgevae.runtime import stream as stream_module
from edgevae.runtime.loaded_model import LoadedModel
from edgevae.runtime.loading import open_model
from edgevae.runtime.session import Array, Session
from edgevae.runtime.stream import StreamState
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.runtime.tiled import tiled
from edgevae.runtime.tiling import Tiling
from edgevae.spec import Precision, VaeSpec


class Vae(LoadedModel):
    """An image or video VAE ready to run; a context manager. Made by `load`.

    Every method takes its state as an argument, so one `Vae` may serve several threads at once, each with streams of
    its own.
    """

    def __init__(
        self, bundle: Bundle, encoder: Session, decoder: Session, *, precision: Precision
    ) -> None:
        super().__init__(bundle, (encoder, decoder))
        self._encoder, self._decoder = encoder, decoder
        self.precision: Precision = precision

    @property
    def model_digest(self) -> str:
        """sha256 of weights and specification: what latents belong to, in whatever bundle the model comes."""
        return self._bundle.manifest.model_digest

    @property
    def spec(self) -> VaeSpec:
        """Factors, state, halo and normalisation."""
        return self._bundle.manifest.spec

    @property
    def channels(self) -> tuple[int, ...]:
        """With how many latent channels the model works, ascending, such as `(4, 8, 16)`; the last is C."""
        return self.spec.channels

    @property
    def backend(self) -> str:
        """What runs the graphs."""
        return self._encoder.backend

    @property
    def device(self) -> str:
        """Where the graphs run."""
        return self._encoder.device

    @property
    def chunk_frames(self) -> int:
        """T: the frames that one call of a graph takes."""
        return self._encoder.graph.chunk_frames

    @property
    def chunk_steps(self) -> int:
        """t: the latent steps of one chunk."""
        return self.chunk_frames // self.spec.temporal_factor

    def encode(self, frames: Frames, *, channels: int | None = None) -> Latents:
        """Return latents, float32, unit scale, `[t, C, h, w]`.

        Any T, H and W: the clip is padded at its end, bottom and right with its own edge to whole chunks and cells, so
        t = ceil((T + lead) / chunk) * steps per chunk, h and w likewise. `decode` takes T and size to trim.

        Args:
            frames: uint8 RGB `[T, H, W, 3]`, or `[B, T, H, W, 3]` for `[B, t, C, h, w]`.
            channels: How many latent channels to keep, one of `channels` of this `Vae`; without it all. Fewer are
                fewer bytes and a coarser picture; the time is the same.

        Raises:
            InputError: another dtype or shape, an empty clip, or another number of channels.
        """
        check_frames(frames)
        kept = self.spec.require_channels(channels)
        *batch, t, h, w, _ = frames.shape
        state = self.stream(height=h, width=w, batch=batch[0] if batch else 1)
        parts, first = [], 0
        while first < t:
            past = first + self.chunk_frames - state.encoder_lead
            chunk = frames[..., first:past, :, :, :]
            latents, state = self.encode_chunk(chunk, state, channels=kept)
            parts.append(latents)
            first = past
        return np.concatenate(parts, axis=-4)

    def decode(
        self, latents: Latents, *, frames: int | None = None, size: tuple[int, int] | None = None
    ) -> Frames:
        """Return frames, uint8 RGB `[T, H, W, 3]`.

        Args:
            latents: Float `[t, C, h, w]`, unit scale, or `[B, t, C, h, w]` for `[B, T, H, W, 3]`. C is one of the
                `channels` of this `Vae`; those that are missing are taken as 0.
            frames: T of the clip that was encoded; without it all frames that the latents stand for.
            size: (H, W) of the clip that was encoded; without it that of all latent cells.

        Raises:
            InputError: another dtype or shape, a value that is not finite, or `frames` or `size` beyond the latents.
        """
        spec = self.spec
        latents = check_latents(latents, channels=spec.latent_channels, nested=spec.nested_channels)
        *batch, steps, _, h, w = latents.shape
        height, width = size or (h * spec.spatial_factor, w * spec.spatial_factor)
        count = spec.frames_of(steps) if frames is None else frames
        self._check_extent(count, height, width, latents_shape=(steps, h, w))
        latents = _pad_steps(latents, multiple=self.chunk_steps)
        state = self.stream(height=height, width=width, batch=batch[0] if batch else 1)
        parts = []
        for first in range(0, latents.shape[-4], self.chunk_steps):
            chunk, state = self.decode_chunk(
                latents[..., first : first + self.chunk_steps, :, :, :], state
            )
            parts.append(chunk)
        return np.concatenate(parts, axis=-4)[..., :count, :, :, :]

    def reconstruct(self, frames: Frames, *, channels: int | None = None) -> Frames:
        """Return the frames encoded and decoded, of the same shape; arguments as for `encode`.

        Raises:
            InputError: as `encode`.
        """
        check_frames(frames)
        t, h, w, _ = frames.shape[-4:]
        return self.decode(self.encode(frames, channels=channels), frames=t, size=(h, w))

    def stream(self, *, height: int, width: int, batch: int = 1) -> StreamState:
        """Return the state of a stream of frames at its first one.

            state = vae.stream(height=360, width=640)
            for frames in chunks(camera, chunk_frames=vae.chunk_frames, lead_frames=vae.spec.lead_frames):
                latents, state = vae.encode_chunk(frames, state)

        Chunk by chunk gives what the whole clip gives, in constant memory.

        Args:
            height: Of the frames, in pixels; any number.
            width: Of the frames, in pixels; any number.
            batch: Streams that run side by side in one call.

        Raises:
            InputError: a number is below 1, or no tile fits into the memory that was allowed (`Tiling`).
            OutOfMemoryError: there are no tiles, and this machine's CPU has not the memory for such frames.
        """
        return stream_module.start(
            self._encoder,
            self._decoder,
            batch=batch,
            height=height,
            width=width,
            cell_px=self.spec.spatial_factor,
            lead_frames=self.spec.lead_frames,
        )

    def is_ready(self, *, height: int, width: int, batch: int = 1) -> bool:
        """Return whether frames of a size run at once; on TensorRT an engine may have to be built for them first.

        Args:
            height: Of the frames, in pixels.
            width: Of the frames, in pixels.
            batch: Streams that run side by side.
        """
        size = {
            "batch": batch,
            "height_px": round_up(height, self.spec.spatial_factor),
            "width_px": round_up(width, self.spec.spatial_factor),
        }
        return self._encoder.is_ready(**size) and self._decoder.is_ready(**size)

    def encode_chunk(
        self,
        frames: Frames | Array,
        state: StreamState,
        *,
        channels: int | None = None,
        out: Array | None = None,
        stream: object = None,
    ) -> tuple[Array, StreamState]:
        """Return the latents of one chunk of frames and the next state.

        On a GPU backend `frames` and `out` may be arrays on the device, of anything that speaks DLPack or
        `__cuda_array_interface__` (PyTorch, CuPy, pycuda), and are used in place, without a copy.

        Args:
            frames: uint8 `[T, H, W, 3]` or `[B, T, H, W, 3]`; see `stream.encode_chunk`.
            state: Of the stream. On a GPU it goes into one call.
            channels: How many latent channels to keep, as for `encode`; latents on the device have all, whose first
                ones the caller can use.
            out: float32, of the latents' shape; without it a new array, where the frames are.
            stream: A CUDA stream (an address, or a stream of PyTorch, CuPy, pycuda or cuda.core). With arrays on the
                device the call then returns when the work is enqueued on it; without one, when the work is done.

        Raises:
            InputError: the frames, `out` or the state are not those of the stream, or the model does not work with so
                many channels.
            OutOfMemoryError: the device has not enough memory; the `Vae` stays usable.
        """
        return stream_module.encode_chunk(
            self._encoder,
            frames,
            state,
            cell_px=self.spec.spatial_factor,
            kept=self.spec.require_channels(channels),
            out=out,
            stream=stream,
        )

    def decode_chunk(
        self,
        latents: Latents | Array,
        state: StreamState,
        *,
        out: Array | None = None,
        stream: object = None,
    ) -> tuple[Array, StreamState]:
        """Return the frames of one chunk of latents and the next state; arguments as for `encode_chunk`.

        Latents may have one of the numbers of `channels`; the channels that are missing are taken as 0. Latents on the
        device have all.

        Raises:
            InputError: the latents, `out` or the state are not those of the stream, or a value is not finite.
            OutOfMemoryError: the device has not enough memory; the `Vae` stays usable.
        """
        return stream_module.decode_chunk(
            self._decoder,
            latents,
            state,
            cell_px=self.spec.spatial_factor,
            channels=self.spec.latent_channels,
            nested=self.spec.nested_channels,
            out=out,
            stream=stream,
        )

    def _check_extent(
        self, frames: int, height: int, width: int, *, latents_shape: tuple[int, int, int]
    ) -> None:
        steps, *cells = latents_shape
        most = (self.spec.frames_of(steps), *(n * self.spec.spatial_factor for n in cells))
        for name, value, largest in zip(
            ("frames", "height", "width"), (frames, height, width), most, strict=True
        ):
            if not 0 < value <= largest:
                raise InputError(
                    f"{name}: got {value}, expected 1 to {largest}, which the latents stand for"
                )


def load(
    model: str | os.PathLike[str],
    *,
    backend: str = "auto",
    device: str = "auto",
    precision: Precision | None = None,
    threads: int | None = None,
    tensorrt: TensorRtOptions | None = None,
    tiling: Tiling | None = None,
) -> Vae:
    """Return the `Vae` of a bundle, its digests and its golden vectors checked.

    Args:
        model: The folder of a bundle, or the name of a shipped model.
        backend: `auto`, `tensorrt`, `tensorrt_rtx`, `onnxruntime` or `onnxruntime_tensorrt`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `fp32` or `fp16`; by default the fastest that the bundle has for the device.
        threads: CPU threads for one call; by default one per physical core.
        tensorrt: Sizes, engines and execution of the TensorRT backends.
        tiling: Cut frames into tiles: of a size, or so that they fit into an amount of memory. By default frames are
            not cut, and on the CPU those that the machine has no memory for are refused (OutOfMemoryError).

    Raises:
        InputError: no such bundle, an unknown name of backend, device or precision, or tiles that do not suit the
            model.
        IntegrityError: a file is not the one that was exported.
        IncompatibleError: the bundle has another format version, or the backend cannot load its graphs.
        ParityError: the backend does not reproduce the bundle's golden vectors.
        UnavailableError: the backend or device is not on this machine.
    """
    opened = open_model(
        model,
        roles=VAE,
        what="a VAE",
        backend=backend,
        device=device,
        precision=precision,
        threads=threads,
        tensorrt=tensorrt,
    )
    with contextlib.ExitStack() as held:
        for session in opened.sessions:
            held.enter_context(session)
        encoder, decoder = opened.sessions
        encoder, decoder = tiled(
            opened.bundle,
            (encoder, decoder),
            choice=opened.choice,
            threads=threads,
            tiling=tiling or Tiling(),
        )
        vae = Vae(opened.bundle, encoder, decoder, precision=opened.choice.precision)
        held.pop_all()  # from here on they are the Vae's to close
    return vae


def _pad_steps(latents: Latents, *, multiple: int) -> Latents:
    """Return latents `[..., t, C, h, w]` with t rounded up, repeating the last step."""
    missing = round_up(latents.shape[-4], multiple) - latents.shape[-4]
    if not missing:
        return latents
    return np.concatenate(
        [latents, np.repeat(latents[..., -1:, :, :, :], missing, axis=-4)], axis=-4
    )
