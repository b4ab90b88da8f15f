"""What every loaded bundle has: a name, a digest, and sessions that are closed together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar

from edgevae.bundle import Bundle

L = TypeVar("L", bound="LoadedModel")


class LoadedModel:
    """A bundle whose graphs are loaded; a context manager, which closes all of them even where one fails to."""

    def __init__(
        self,
        bundle: Bundle,
        owned: Iterable[AbstractContextManager[Any]],  # Any: what it gives on entering is not used
    ) -> None:
        self._bundle, self._owned = bundle, tuple(owned)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._bundle.manifest.name

    @property
    def digest(self) -> str:
        """sha256 of the bundle's manifest, which stands for every byte of the bundle."""
        return self._bundle.digest

    @property
    def latent_channels(self) -> int:
        """C of the latents."""
        return self._bundle.manifest.spec.latent_channels

    def close(self) -> None:
        """Free the graphs; nothing can run any more."""
        self.__exit__(None, None, None)

    def __enter__(self: L) -> L:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ends = contextlib.ExitStack()
        for one in reversed(self._owned):  # the first of them is closed first
            ends.push(one)
        ends.__exit__(kind, error, trace)  # each is told of the error that there was
