"""A codec that is slower than it must be: a regression planted on purpose, to see whether it is found."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from edgevae_bench.subjects import AnyCodec


class Pausing:
    """A codec that pauses after every call; everything else is the codec's.

    Args:
        codec: The codec.
        ratio: Length of the pause, as part of the call's time.
    """

    def __init__(self, codec: AnyCodec, ratio: float) -> None:
        self._codec, self._ratio = codec, ratio

    def __getattr__(self, name: str) -> Any:  # Any: whatever the codec has
        return getattr(self._codec, name)

    def encode_chunk(self, *arguments: Any, **named: Any) -> Any:  # Any: as the codec's
        """Encode, then pause."""
        return self._paused(self._codec.encode_chunk, arguments, named)

    def decode_chunk(self, *arguments: Any, **named: Any) -> Any:  # Any: as the codec's
        """Decode, then pause."""
        return self._paused(self._codec.decode_chunk, arguments, named)

    def _paused(
        self, call: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> Any:  # Any: as the codec's
        started = time.perf_counter()
        result = call(*arguments, **named)
        # Not time.sleep: it comes back late by more than a pause of some microseconds is long.
        until = time.perf_counter() + self._ratio * (time.perf_counter() - started)
        while time.perf_counter() < until:
            pass
        return result
