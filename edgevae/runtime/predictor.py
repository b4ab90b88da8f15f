"""`Predictor`: a bundle with a predictor, loaded: the frames of a clip to those that come after them.

frames -> encoder -> latents -> predictor -> latents of the next chunk -> decoder -> frames
^    |                 |
|    +- memory         |
+----------------------+ and on from there, for as many frames as are wanted
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgevae.errors import InputError
from edgevae.frames import Frames, Latents, check_frames, check_latents, round_up
from edgevae.runtime.loaded_model import LoadedModel
from edgevae.runtime.loading import open_model
from edgevae.runtime.session import Session, SessionState
from edgevae.runtime.stream import StreamState
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.runtime.vae import Vae
from edgevae.spec import Precision


@dataclass(frozen=True)
class PredictorState:
    """Where a stream is: passed in and returned; on a GPU it goes into one call."""

    vae: StreamState
    """Caches of encoder and decoder."""
    memory: SessionState
    """What the predictor keeps of the clip so far, on its device."""


class Predictor(LoadedModel):
    """A VAE and a predictor in its latents, ready to run; a context manager. Made by `load_predictor`."""

    def __init__(self, vae: Vae, session: Session) -> None:
        super().__init__(vae._bundle, (session, vae))
        self.vae, self._session = vae, session

    @property
    def chunk_frames(self) -> int:
        """The frames that one call sees, and of which it says the next as many."""
        return self._session.graph.chunk_frames

    def predict(self, frames: Frames, count: int) -> Frames:
        """Return the frames that come after a clip, uint8 RGB `[count, H, W, 3]`; see `continued`."""
        return np.concatenate(list(self.continued(frames, count)), axis=-4)

    def continued(self, frames: Frames, count: int) -> Iterator[Frames]:
        """Yield the frames that come after a clip, at most a chunk at a time; memory does not grow with the count.

        Whole chunks are seen, those that end with the clip: where T is no multiple of `chunk_frames` the first frames
        are left out.

        Args:
            frames: uint8 RGB `[T, H, W, 3]`, or `[B, T, H, W, 3]` for `[B, count, H, W, 3]`; at least a chunk.
            count: How many frames to predict.

        Raises:
            InputError: another dtype or shape, a clip shorter than a chunk, or a count below 1.
        """
        check_frames(frames)
        *batch, t, height, width, _ = frames.shape
        chunk = self.chunk_frames
        if count < 1:
            raise InputError(f"count: got {count}, expected at least 1 frame to predict")
        if t < chunk:
            raise InputError(f"frames: got {t}, expected at least the {chunk} of one chunk")
        state = self.stream(height=height, width=width, batch=batch[0] if batch else 1)
        for first in range(t % chunk, t, chunk):
            ahead, state = self.observe(frames[..., first : first + chunk, :, :, :], state)
        for done in range(0, count, chunk):
            if done:
                ahead, state = self.step(ahead, state)
            shown, state = self.decode(ahead, state)
            yield shown[..., : count - done, :, :, :]

    def stream(self, *, height: int, width: int, batch: int = 1) -> PredictorState:
        """Return the state at the first frame of a stream.

            state = predictor.stream(height=64, width=64)
            for frames in chunks(camera, chunk_frames=predictor.chunk_frames):
                ahead, state = predictor.observe(frames, state)     # latents of the chunk that should come now

        Args:
            height: Of the frames, in pixels; any number.
            width: Of the frames, in pixels; any number.
            batch: Streams that run side by side in one call.

        Raises:
            InputError: a number is below 1.
        """
        cell = self.vae.spec.spatial_factor
        return PredictorState(
            self.vae.stream(height=height, width=width, batch=batch),
            self._session.initial_state(
                batch=batch, height_px=round_up(height, cell), width_px=round_up(width, cell)
            ),
        )

    def observe(self, frames: Frames, state: PredictorState) -> tuple[Latents, PredictorState]:
        """Return the latents predicted for the chunk after one of real frames, and the next state.

        Args:
            frames: uint8 RGB `[T, H, W, 3]` or `[B, T, H, W, 3]`, exactly a chunk.
            state: Of the stream.

        Raises:
            InputError: the frames are not a chunk of the stream.
        """
        check_frames(frames)
        if frames.shape[-4] != self.chunk_frames:
            raise InputError(
                f"frames: got {frames.shape[-4]}, expected the {self.chunk_frames} of one chunk"
            )
        latents, following = self.vae.encode_chunk(frames, state.vae)
        return self.step(latents, replace(state, vae=following))

    def step(self, latents: Latents, state: PredictorState) -> tuple[Latents, PredictorState]:
        """Return the latents of the chunk after one whose latents are given, and the next state.

        Args:
            latents: Float `[t, C, h, w]` or `[B, t, C, h, w]`, unit scale: real ones, or what the call before gave.
            state: Of the stream.

        Raises:
            InputError: the latents are not one chunk of the stream, or not finite.
        """
        latents = check_latents(latents, channels=self.vae.spec.latent_channels)
        cell, stream = self.vae.spec.spatial_factor, state.vae
        *batch, steps, _, h, w = latents.shape
        expected = [
            stream.batch,
            self._session.graph.chunk_length,
            round_up(stream.height, cell) // cell,
            round_up(stream.width, cell) // cell,
        ]
        if [batch[0] if batch else 1, steps, h, w] != expected:
            raise InputError(
                f"latents: got shape {list(latents.shape)}, expected batch, t, h and w {expected} of the stream"
            )
        folded = np.ascontiguousarray(latents).reshape(-1, *latents.shape[-3:])
        ahead, memory = self._session.run(folded, state.memory)
        return ahead.reshape(latents.shape), replace(state, memory=memory)

    def decode(self, latents: Latents, state: PredictorState) -> tuple[Frames, PredictorState]:
        """Return the frames of predicted latents, and the next state.

        The VAE's decoder has a memory of its own in a video model: what is decoded is one stream, in order.

        Raises:
            InputError: as `Vae.decode_chunk`.
        """
        frames, following = self.vae.decode_chunk(latents, state.vae)
        return frames, replace(state, vae=following)


def load_predictor(
    model: str | os.PathLike[str],
    *,
    backend: str = "auto",
    device: str = "auto",
    precision: Precision | None = None,
    threads: int | None = None,
    tensorrt: TensorRtOptions | None = None,
) -> Predictor:
    """Return the `Predictor` of a bundle, its digests and its golden vectors checked; arguments as for `load`.

    Raises:
        InputError: as `load`, or the bundle has no predictor.
        EdgeVaeError: as `load`.
    """
    opened = open_model(
        model,
        roles=("encoder", "decoder", "predictor"),
        what="a predictor",
        backend=backend,
        device=device,
        precision=precision,
        threads=threads,
        tensorrt=tensorrt,
    )
    encoder, decoder, predictor = opened.sessions
    return Predictor(
        Vae(opened.bundle, encoder, decoder, precision=opened.choice.precision), predictor
    )
