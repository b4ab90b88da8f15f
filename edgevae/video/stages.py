"""Two ways to work in another thread, with a bounded queue between, so that reading, inference and writing overlap.

    prefetch: a thread makes items, this thread takes them        file -> [thread] -> queue -> here
    Sink:     this thread gives items, a thread takes them        here -> queue -> [thread] -> file

In either an error of the thread is raised here, and the thread has ended when the `with` has, whatever happened.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

_DEPTH = 2
"""Items that wait in a queue: one being used, one ready; more would cost memory and gain nothing."""


class _End:
    """The last item of a queue, with the error that ended it, if one did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetch(items: Iterable[T]) -> Generator[T, None, None]:
    """Yield the items of an iterable that a thread runs ahead; close the generator to end the thread early."""
    ready: queue.Queue[T | _End] = queue.Queue(_DEPTH)
    stop = threading.Event()

    def run() -> None:
        end = _End()
        try:
            for item in items:
                ready.put(item)
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that takes the items
            end = _End(error)
        ready.put(end)

    thread = threading.Thread(target=run, name="edgevae-prefetch", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        _join(thread, meanwhile=lambda: _drain(ready))


class Sink(Generic[T]):
    """A thread that calls `take` for every item put, in order. A context manager.

    Leaving it well waits for all items; leaving it with an error discards those that wait.
    """

    def __init__(self, take: Callable[[T], None]) -> None:
        self._take = take
        self._items: queue.Queue[T | _End] = queue.Queue(_DEPTH)
        self._error: BaseException | None = None
        self._discard = False
        self._thread = threading.Thread(target=self._run, name="edgevae-sink", daemon=True)

    def __enter__(self) -> Sink[T]:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._discard = kind is not None
        self._items.put(_End())  # never blocks for long: the thread takes items even after an error
        try:
            _join(self._thread)
        except KeyboardInterrupt:
            self._discard = True
            _join(self._thread)
            raise
        if kind is None and self._error is not None:
            raise self._error

    def put(self, item: T) -> None:
        """Hand an item over; waits while the queue is full.

        Raises:
            Exception: whatever `take` raised for an earlier item.
        """
        if self._error is not None:
            raise self._error
        self._items.put(item)

    def _run(self) -> None:
        while not isinstance(item := self._items.get(), _End):
            if self._discard or self._error is not None:
                continue
            try:
                self._take(item)
            except BaseException as error:  # noqa: BLE001  # raised again in the thread that puts the items
                self._error = error


def _join(thread: threading.Thread, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Wait for a thread to end; a Ctrl-C meanwhile is raised when it has ended, since files are still in its hands."""
    interrupted: KeyboardInterrupt | None = None
    while thread.is_alive():
        try:
            meanwhile()
            thread.join(timeout=0.05)
        except KeyboardInterrupt as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted


def _drain(waiting: queue.Queue[T]) -> None:
    """Take what waits, so that a thread that wants to put more can go on and end."""
    with contextlib.suppress(queue.Empty):
        while True:
            waiting.get_nowait()
