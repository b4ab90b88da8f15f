"""How far a build is, and Ctrl-C while it runs.

TensorRT reports nested phases, each with a number of steps. Here they become one number that only grows:

    Building engine              |=======|-------|-------|        1 of 3 steps, and half of the second
      Timing tactics                     |===|---|                  = (1 + 1/2) / 3 = 500 of 1000

A build runs in C++ and comes back to Python only through these reports. So Ctrl-C is noted when it comes, the next
report answers "stop", and `KeyboardInterrupt` is raised once TensorRT has returned.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told `(phase, done, total)`: what TensorRT is at, and how far the whole build is. May raise, which ends the build."""

TOTAL = 1000
"""What `done` grows to."""


class BuildMonitor:
    """Adds TensorRT's phases up, and asks it to stop.

    Args:
        trt: The TensorRT module.
        progress: Told how far the build is; None where nobody wants to know.
    """

    def __init__(self, trt: Any, progress: Progress | None) -> None:  # Any: bindings without types
        self._progress, self._done = progress, 0
        self._phases: dict[str, _Phase] = {}
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._stop = False
        self.monitor = self._make(trt)
        """An `IProgressMonitor`, for the builder's configuration."""

    def stop(self) -> None:
        """Ask TensorRT to end the build at its next report."""
        self._stop = True

    @property
    def is_stopped(self) -> bool:
        """Whether the build was asked to end."""
        return self._stop

    def raise_error(self) -> None:
        """Raise what `progress` raised during the build, if it did."""
        if self._error is not None:
            raise self._error

    def phase_start(self, name: str, parent: str | None, steps: int) -> None:
        """Note that a phase of so many steps begins, within another or by itself."""
        with self._lock:
            self._phases[name] = _Phase(parent, max(steps, 1))
        self._tell(name)

    def step_complete(self, name: str, step: int) -> bool:
        """Note that step `step`, counted from 0, is done, and return whether the build shall go on."""
        with self._lock:
            if name in self._phases:
                self._phases[name].done = step + 1
        self._tell(name)
        return not self._stop

    def phase_finish(self, name: str) -> None:
        """Note that a phase has ended, whether or not each of its steps was reported."""
        with self._lock:
            phase = self._phases.pop(name, None)
            if phase is not None and phase.parent is None and not self._stop:
                self._done = TOTAL
        self._tell(name)

    def _tell(self, phase: str) -> None:
        # An exception must not reach TensorRT, which would print it and go on.
        try:
            with self._lock:
                self._done = max(self._done, int(TOTAL * self._fraction(None)))
                done = self._done
            if self._progress is not None and not self._stop:
                self._progress(phase, done, TOTAL)
        except BaseException as error:  # noqa: BLE001  # raised again by raise_error
            self._error = self._error or error
            self._stop = True

    def _fraction(self, parent: str | None) -> float:
        """Return how much of the phases within `parent` is done, 0 to 1; the caller holds the lock."""
        inner = [
            min(1.0, (phase.done + self._fraction(name)) / phase.steps)
            for name, phase in self._phases.items()
            if phase.parent == parent
        ]
        return min(inner, default=0.0)

    def _make(self, trt: Any) -> Any:  # Any: an object of a class that is made here
        def start(monitor: object) -> None:
            trt.IProgressMonitor.__init__(monitor)

        methods = {
            "__init__": start,
            "phase_start": lambda _, name, parent, steps: self.phase_start(name, parent, steps),
            "step_complete": lambda _, name, step: self.step_complete(name, step),
            "phase_finish": lambda _, name: self.phase_finish(name),
        }
        # The base class is known only once TensorRT is imported, which this module must not do by itself.
        return type("Monitor", (trt.IProgressMonitor,), methods)()


class _Phase:
    """A phase that has begun and not ended."""

    def __init__(self, parent: str | None, steps: int) -> None:
        self.parent, self.steps, self.done = parent, steps, 0


@contextlib.contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on Ctrl-C within the block, and raise `KeyboardInterrupt` at its end; any other exception goes first.

    Python gives signals to its main thread only, so in another thread this changes nothing. A process that ignores
    SIGINT, as one started in the background by a shell does, goes on ignoring it.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    seen: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        # Raising here would throw into whatever Python line happens to run, even the first of a report to TensorRT.
        seen.append((number, frame))
        stop()

    signal.signal(signal.SIGINT, note)
    try:
        yield
    except Exception:
        if not seen:
            raise
    finally:
        signal.signal(signal.SIGINT, before)
    if seen:
        before(*seen[0])  # Python's own raises KeyboardInterrupt
        raise KeyboardInterrupt
