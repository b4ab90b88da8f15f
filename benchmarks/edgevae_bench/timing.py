"""Encode, decode and round trip of each subject on the clock: the same chunks, streamed over and over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgevae.frames import Frames
from edgevae_bench import clock
from edgevae_bench.clock import Latency, Timed, WarmUp
from edgevae_bench.result import Operation
from edgevae_bench.subjects import AnyCodec

OPERATIONS: tuple[Operation, ...] = ("encode", "decode", "round_trip")


def time_subjects(
    codecs: Mapping[str, AnyCodec],
    chunks: Sequence[Frames],
    *,
    rounds: int,
    max_warm_up_rounds: int,
    seed: int,
    on_round: Callable[[], object] = lambda: None,
) -> tuple[WarmUp, dict[str, dict[Operation, Latency]]]:
    """Return how the warm-up ended and the latency of each operation of each subject.

    A sample is one chunk. Every subject streams through the same chunks, over and over, its state carried on and new at
    the first one. Encode and decode of a round follow each other; the round trip is their sum.

    Args:
        codecs: By name, opened.
        chunks: Whole chunks `[T, H, W, 3]` of one size.
        rounds: Samples to take.
        max_warm_up_rounds: Bound of the warm-up.
        seed: Of the order within the rounds.
        on_round: Called after each measured round.
    """
    timed = {name: _timed(codec, chunks) for name, codec in codecs.items()}
    warm = clock.warm_up(timed, seed=seed, max_rounds=max_warm_up_rounds)
    samples = clock.interleave(timed, rounds=rounds, seed=seed, on_round=on_round)
    latencies = {}
    for name, rows in samples.items():
        by_operation = [*zip(*rows, strict=True), [sum(row) for row in rows]]
        latencies[name] = dict(zip(OPERATIONS, map(clock.summarise, by_operation), strict=True))
    return warm, latencies


def _timed(codec: AnyCodec, chunks: Sequence[Frames]) -> Timed:
    """Return the stages of a subject; between them the chunk and the stream wait in `held`."""
    held: dict[str, Any] = {}  # Any: frames, latents and the subject's own state
    _, h, w, _ = chunks[0].shape

    def prepare(number: int) -> None:
        held["frames"] = chunks[number % len(chunks)]
        if number % len(chunks) == 0:
            held["state"] = codec.stream(height=h, width=w)

    def encode(_: int) -> None:
        held["latents"], held["state"] = codec.encode_chunk(held["frames"], held["state"])

    def decode(_: int) -> None:
        held["decoded"], held["state"] = codec.decode_chunk(held["latents"], held["state"])

    return Timed(prepare=prepare, stages={"encode": encode, "decode": decode})
