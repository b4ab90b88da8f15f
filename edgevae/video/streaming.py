"""What a pipeline needs of a model, and a clip run through it chunk by chunk with its state handed on."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import NamedTuple, Protocol, TypeVar

from edgevae.frames import Frames, Latents
from edgevae.spec import VaeSpec
from edgevae.video.clip import ClipFormat, FrameGroup, Timestamps
from edgevae.video.result import squared_error

State = TypeVar("State")


class StreamingVae(Protocol[State]):
    """What is used here of `edgevae.Vae`, which lives in a package that this one does not know."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def model_digest(self) -> str:
        """What stands for weights and specification, in whatever bundle they come."""

    @property
    def spec(self) -> VaeSpec:
        """Factors and channels."""

    @property
    def chunk_frames(self) -> int:
        """Frames of one call."""

    def stream(self, *, height: int, width: int) -> State:
        """Return the state at the first frame."""

    def encode_chunk(
        self, frames: Frames, state: State, *, channels: int | None = None
    ) -> tuple[Latents, State]:
        """Return the latents of at most a chunk of frames, padded to a whole one; all channels, or the first ones."""

    def decode_chunk(self, latents: Latents, state: State) -> tuple[Frames, State]:
        """Return all frames of a chunk of latents, of any of the spec's `channels`; later calls leave them alone."""


class LatentsGroup(NamedTuple):
    """The latents of one chunk of frames."""

    latents: Latents
    """float32 `[t, C, h, w]`."""
    pts: Timestamps
    """int64, of the frames that they stand for, without padding."""


class ReconstructedGroup(NamedTuple):
    """What a model keeps of one chunk of frames."""

    group: FrameGroup
    """The frames from the decoder, with the timestamps of the source's."""
    squared_error: int
    """Sum of the squared differences from the source's."""


def encoded(
    vae: StreamingVae[State],
    groups: Iterable[FrameGroup],
    *,
    clip: ClipFormat,
    channels: int | None = None,
) -> Generator[LatentsGroup, None, None]:
    """Yield the latents of groups of frames, each a chunk, the last one perhaps shorter."""
    state = vae.stream(height=clip.height_px, width=clip.width_px)
    for frames, pts in groups:
        latents, state = vae.encode_chunk(frames, state, channels=channels)
        yield LatentsGroup(latents, pts)


def decoded(
    vae: StreamingVae[State], chunks: Iterable[Latents], *, clip: ClipFormat, pts: Timestamps
) -> Generator[FrameGroup, None, None]:
    """Yield the frames of chunks of latents, as many as there are timestamps: padding ends here."""
    state, done = vae.stream(height=clip.height_px, width=clip.width_px), 0
    for latents in chunks:
        frames, state = vae.decode_chunk(latents, state)
        own = pts[done : done + len(frames)]
        done += len(own)
        yield FrameGroup(frames[: len(own)], own)


def reconstructed(
    vae: StreamingVae[State],
    groups: Iterable[FrameGroup],
    *,
    clip: ClipFormat,
    channels: int | None = None,
) -> Generator[ReconstructedGroup, None, None]:
    """Yield groups of frames, each a chunk, the last one perhaps shorter, encoded and decoded."""
    state = vae.stream(height=clip.height_px, width=clip.width_px)
    for frames, pts in groups:
        latents, state = vae.encode_chunk(frames, state, channels=channels)
        kept, state = vae.decode_chunk(latents, state)
        kept = kept[: len(frames)]
        yield ReconstructedGroup(FrameGroup(kept, pts), squared_error(frames, kept))
