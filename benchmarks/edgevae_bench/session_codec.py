"""An encoder and a decoder session as a codec, with the runtime's own code around them.

Checks, padding, folding and cropping are `edgevae.runtime.stream`, so that PyTorch and peers do the same work on the
same arrays as the runtime.
"""

from __future__ import annotations

from edgevae.runtime import stream as streams
from edgevae.runtime.session import Array, Session
from edgevae.runtime.stream import StreamState
from edgevae.spec import VaeSpec


class SessionCodec:
    """Two sessions behind `edgevae_bench.subjects.Codec`.

    Args:
        encoder: Frames to latents.
        decoder: Latents to frames.
        spec: Of the model.
        name: Of the model.
        model_digest: What stands for weights and specification.
    """

    def __init__(
        self, encoder: Session, decoder: Session, *, spec: VaeSpec, name: str, model_digest: str
    ) -> None:
        self.encoder, self.decoder = encoder, decoder
        self.spec, self.name, self.model_digest = spec, name, model_digest
        self.chunk_frames = encoder.graph.chunk_frames

    def stream(self, *, height: int, width: int, batch: int = 1) -> StreamState:
        """Return the state of a stream at its first frame."""
        return streams.start(
            self.encoder,
            self.decoder,
            batch=batch,
            height=height,
            width=width,
            cell_px=self.spec.spatial_factor,
            lead_frames=self.spec.lead_frames,
        )

    def encode_chunk(
        self,
        frames: Array,
        state: StreamState,
        *,
        channels: int | None = None,
        out: Array | None = None,
        stream: object = None,
    ) -> tuple[Array, StreamState]:
        """Return the latents of one chunk and the next state; see `stream.encode_chunk`."""
        return streams.encode_chunk(
            self.encoder,
            frames,
            state,
            cell_px=self.spec.spatial_factor,
            kept=self.spec.require_channels(channels),
            out=out,
            stream=stream,
        )

    def decode_chunk(
        self, latents: Array, state: StreamState, *, out: Array | None = None, stream: object = None
    ) -> tuple[Array, StreamState]:
        """Return the frames of one chunk and the next state; see `stream.decode_chunk`."""
        spec = self.spec
        return streams.decode_chunk(
            self.decoder,
            latents,
            state,
            cell_px=spec.spatial_factor,
            channels=spec.latent_channels,
            nested=spec.nested_channels,
            out=out,
            stream=stream,
        )
