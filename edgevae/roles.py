"""The roles that graphs have in a model: what each takes and gives. Everything else about a graph follows from it.

    encoder        frames     -> latents
    decoder        latents    -> frames
    predictor      latents    -> latents       of one chunk, to those of the chunk after it
    prior          noise      -> latents       of unit scale, to be decoded

A model of several senses has an encoder and a decoder for each, named after it, and a fusion between them:

    encoder.SENSE  frames, sound or tracks -> posterior      mean and log-variance
    fusion         posteriors              -> posterior      of all senses at once, any of which may be missing
    decoder.SENSE  latents                 -> frames, sound or tracks

A bundle has the graphs that it needs: a VAE encoder and decoder, a generator a decoder and perhaps a prior. Engines,
parity, golden vectors and export ask for the kind of data, so that a new role is a line here and a class that runs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from edgevae.errors import ConfigError

SenseKind = Literal["frames", "sound", "tracks"]
"""What a sense can be of. frames: uint8 `[B*T, H, W, 3]`. sound: log-mel in dB, float32 `[B, channels, steps, bands]`.
tracks: (x, y) of points, float32 `[B, T, points, 2]`."""

Kind = Literal[SenseKind, "latents", "noise", "posterior", "posteriors"]
"""latents: float32 `[B*t, C, h, w]`. noise: of the latents' shape, from N(0, 1). posterior: float32 `[B, 2C, 1, 1]`, C
means and C log-variances. posteriors: `[B, 2*S*C, 1, 1]`, the means of all S senses, then their log-variances."""

SENSE_KINDS: tuple[SenseKind, ...] = get_args(SenseKind)

Role: TypeAlias = str
"""One of `FLOWS`, or `encoder.SENSE` or `decoder.SENSE`."""


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
    "fusion": Flow("posteriors", "posterior"),
}
"""By role, in the order in which graphs are listed, checked and built; those of senses come after them."""

VAE: tuple[Role, ...] = ("encoder", "decoder")
"""The roles of a VAE, whose caches the specification gives; a graph of another role says itself what it keeps."""

_SENSE = re.compile(r"(encoder|decoder)\.([a-z][a-z0-9_]*)")


def sense_of(role: Role) -> str | None:
    """Return the sense that a role is of, or None where it is of none."""
    match = _SENSE.fullmatch(role)
    return match[2] if match else None


def flow_of(role: Role, data: str, result: str) -> Flow:
    """Return what a graph takes and gives.

    Args:
        role: Of the graph.
        data: Name of its first input; what a sense is of is only said there.
        result: Name of its first output.

    Raises:
        ConfigError: there is no such role, or a sense of something that is no sense.
    """
    sense = sense_of(role)
    if sense is None:
        if role not in FLOWS:
            raise ConfigError(
                f"role: got {role!r}, expected one of {', '.join(FLOWS)}, encoder.SENSE or decoder.SENSE"
            )
        return FLOWS[role]
    encodes = role.startswith("encoder")
    own, other = (data, result) if encodes else (result, data)
    for kind in SENSE_KINDS:
        if own == kind and other == ("posterior" if encodes else "latents"):
            return Flow(kind, "posterior") if encodes else Flow("latents", kind)
    raise ConfigError(
        f"role {role!r}: got {data} -> {result}, expected one of {', '.join(SENSE_KINDS)} and "
        f"{'the posterior' if encodes else 'the latents'}"
    )


def in_order(roles: Iterable[Role]) -> tuple[Role, ...]:
    """Return roles in the order of `FLOWS`, then those of senses in the order in which they come."""
    have = dict.fromkeys(roles)
    return (*(r for r in FLOWS if r in have), *(r for r in have if r not in FLOWS))
