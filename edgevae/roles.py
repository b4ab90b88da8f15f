"""The roles that graphs have in a model: what each takes and gives. Everything else about a graph follows from it.

    encoder      frames  -> latents
    decoder      latents -> frames
    predictor    latents -> latents     of one chunk, to those of the chunk after it
    prior        noise   -> latents     of unit scale, to be decoded

A bundle has the graphs that it needs: a VAE encoder and decoder, a generator a decoder and perhaps a prior. Engines,
parity, golden vectors and export ask for the kind of data, so that a new role is a line here and a class that runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["frames", "latents", "noise"]
"""frames: uint8 `[B*T, H, W, 3]`. latents: float32 `[B*t, C, h, w]`. noise: of the latents' shape, from N(0, 1)."""

Role = Literal["encoder", "decoder", "predictor", "prior"]


@dataclass(frozen=True)
class Flow:
    """What goes through a graph, beside its state."""

    takes: Kind
    """Its first input."""
    gives: Kind
    """Its first output."""


FLOWS: dict[Role, Flow] = {
    "encoder": Flow("frames", "latents"),
    "decoder": Flow("latents", "frames"),
    "predictor": Flow("latents", "latents"),
    "prior": Flow("noise", "latents"),
}
"""By role, in the order in which graphs are listed, checked and built."""

VAE: tuple[Role, ...] = ("encoder", "decoder")
"""The roles of a VAE, whose caches the specification gives; a graph of another role says itself what it keeps."""
