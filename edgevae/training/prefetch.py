"""Batches made ahead in a thread beside the steps, and how long the steps had to wait for them."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

_AHEAD = 4
"""Batches that are ready at most: they bridge the decoding of a frame or a slow clip, and cost little memory."""

_Ready: TypeAlias = "queue.Queue[Tensor | BaseException | None]"


class Prefetch:
    """The batches of a loader, in its order, made while the step before runs.

    One thread, because a part of the data is decoded once and in order; NumPy and PyTorch let go of Python's lock
    while they work. On a machine with a GPU the batches are in pinned memory, from where they are copied beside
    the work of the device.

    Args:
        loader: Makes batches; is begun anew by every iteration, which ends the one before.
    """

    def __init__(self, loader: Iterable[Tensor]) -> None:
        self.loader = loader
        self.waited_s = 0.0
        """Time that whoever takes the batches has waited for them, since this object was made."""
        self._thread: threading.Thread | None = None
        self._left = threading.Event()
        self._ready: _Ready = queue.Queue(_AHEAD)

    def __iter__(self) -> Iterator[Tensor]:
        self.close()
        self._left, self._ready = threading.Event(), queue.Queue(_AHEAD)
        ready = self._ready
        arguments = (iter(self.loader), ready, self._left)
        self._thread = threading.Thread(target=_make, args=arguments, name="batches", daemon=True)
        self._thread.start()
        while (batch := self._next(ready)) is not None:
            yield batch

    def close(self) -> None:
        """End the thread, so that nothing but the caller takes clips from the source any more."""
        self._left.set()
        while self._thread is not None and self._thread.is_alive():
            with contextlib.suppress(queue.Empty):  # make room: the thread may wait for it
                self._ready.get_nowait()
            self._thread.join(0.01)
        self._thread = None

    def _next(self, ready: _Ready) -> Tensor | None:
        begun = time.perf_counter()
        item = ready.get()
        self.waited_s += time.perf_counter() - begun
        if isinstance(item, BaseException):
            raise item
        return item


def _make(batches: Iterator[Tensor], ready: _Ready, left: threading.Event) -> None:
    pinned = torch.cuda.is_available()
    try:
        for batch in batches:
            ready.put(batch.pin_memory() if pinned else batch)
            if left.is_set():
                return
        ready.put(None)
    except BaseException as error:  # noqa: BLE001 # raised again by whoever takes the batches
        ready.put(error)
