"""The state of one stream on a device: two sets of buffers that change roles from call to call.

    call 0   reads A, writes B          a call's state: DeviceState(caches, turn)
    call 1   reads B, writes A          turn even: read A, write B; odd: read B, write A
    call 2   reads A, writes B

Nothing is copied: the engine is told other addresses. So a state is good for one call only, because the call after it
writes over what it stood for; using it again is an error, never a wrong result.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgevae.cuda.driver import Driver
from edgevae.engine.profile import Size
from edgevae.errors import InputError, OutOfMemoryError
from edgevae.spec import TensorSpec

IDLE_SETS = 4
"""Buffer sets of ended streams that are kept for the next one."""


@dataclass(frozen=True, eq=False)
class Buffers:
    """Device memory of both sets, and the event after which it may be touched again."""

    size: Size
    """The frame size that it is for."""
    sets: tuple[dict[str, int], dict[str, int]]
    """Addresses by the name of the state input: set A and set B."""
    bytes_of: dict[str, int]
    """Size of each cache."""
    ready: int
    """Event: the work that used the memory last is done."""

    @property
    def addresses(self) -> tuple[int, ...]:
        """All addresses; two streams never share one."""
        return tuple(a for one in self.sets for a in one.values())


class Caches:
    """The caches of one stream. They are allocated at its first call, and given back when nobody holds its state."""

    def __init__(self, owner: object, size: Size) -> None:
        self.owner, self.size = owner, size
        self.buffers: Buffers | None = None
        self._turn = 0
        self._lock = threading.Lock()

    def take(self, turn: int) -> None:
        """Mark the state of a turn as used.

        Raises:
            InputError: it was used before.
        """
        with self._lock:
            if turn != self._turn:
                raise InputError(
                    f"state: got that of call {turn}, expected that of call {self._turn}: on a GPU a call writes over "
                    "the state before it; pass each returned state on once, and start another stream with `Vae.stream`"
                )
            self._turn += 1

    def give_back(self, turn: int) -> None:
        """Make the state of a turn usable again, after a call that failed before it touched the caches."""
        with self._lock:
            self._turn = turn


@dataclass(frozen=True)
class DeviceState:
    """The state before one call of one stream; good for one call."""

    caches: Caches
    """The stream's memory."""
    turn: int
    """How many calls came before."""

    def following(self) -> DeviceState:
        """Return the state after the call."""
        return DeviceState(self.caches, self.turn + 1)


class CachePool:
    """Device memory for streams' caches, kept for the next stream of the same size when one ends.

    Args:
        driver: Where the memory is.
        state: The state inputs of the graph.
        forget: Told of buffers before they are freed, so that graphs that hold their addresses go first.
        stream: A stream to wait on for the work of others.
    """

    def __init__(
        self,
        driver: Driver,
        state: tuple[TensorSpec, ...],
        *,
        forget: Callable[[Buffers], None],
        stream: int,
    ) -> None:
        self._driver, self._state, self._forget, self._stream = driver, state, forget, stream
        # Appended to by finalizers, which run in any thread at any moment: a deque needs no lock for that.
        self._idle: dict[Size, deque[Buffers]] = defaultdict(deque)
        self._all: set[Buffers] = set()
        self._closed = False

    def fill(self, caches: Caches, stream: int) -> Buffers:
        """Return the stream's buffers; at its first call they are taken, and set to zero on a CUDA stream.

        Raises:
            OutOfMemoryError: the device has not enough memory.
        """
        if caches.buffers is None:
            buffers = self._take(caches.size)
            caches.buffers = buffers
            weakref.finalize(caches, self._release, buffers).atexit = False
            self._driver.wait(stream, buffers.ready)
            for name, address in buffers.sets[0].items():
                self._driver.set_zero(address, buffers.bytes_of[name], stream)
            self._driver.record(buffers.ready, stream)
        return caches.buffers

    def release(self) -> None:
        """Free the buffers of ended streams."""
        self._trim(0)

    def close(self) -> None:
        """Free all memory; all of it is tried even where the driver refuses."""
        self._closed = True
        with contextlib.ExitStack() as steps:
            for buffers in list(self._all):
                steps.callback(self._free, buffers)

    def _take(self, size: Size) -> Buffers:
        try:
            return self._idle[size].popleft()
        except IndexError:
            pass
        self._trim(IDLE_SETS)
        try:
            return self._allocate(size)
        except OutOfMemoryError:
            if not self._trim(0):
                raise
            return self._allocate(size)

    def _trim(self, most: int) -> bool:
        """Free buffers of ended streams until at most so many are kept, and return whether any was freed."""
        freed = False
        while sum(map(len, list(self._idle.values()))) > most:
            longest = max(list(self._idle.values()), key=len)
            try:
                buffers = longest.popleft()
            except IndexError:  # another thread took it
                continue
            self._free(buffers)
            freed = True
        return freed

    def _allocate(self, size: Size) -> Buffers:
        bytes_of = {
            s.name: int(np.prod(s.resolve(size.sizes()))) * np.dtype(s.dtype).itemsize
            for s in self._state
        }
        sets: tuple[dict[str, int], dict[str, int]] = ({}, {})
        try:
            for one in sets:
                for name, nbytes in bytes_of.items():
                    one[name] = self._driver.allocate(nbytes)
            ready = self._driver.create_event()
        except BaseException:
            for address in [a for one in sets for a in one.values()]:
                self._driver.free(address)
            raise
        buffers = Buffers(size, sets, bytes_of, ready)
        self._all.add(buffers)
        return buffers

    def _release(self, buffers: Buffers) -> None:
        if not self._closed:
            self._idle[buffers.size].append(buffers)

    def _free(self, buffers: Buffers) -> None:
        self._all.discard(buffers)
        with contextlib.ExitStack() as steps:  # runs them from the last to the first
            steps.callback(self._driver.destroy_event, buffers.ready)
            for address in buffers.addresses:
                steps.callback(self._driver.free, address)
            steps.callback(self._wait_for, buffers)
            steps.callback(self._forget, buffers)

    def _wait_for(self, buffers: Buffers) -> None:
        """Wait for the last work on buffers, on whichever stream it is."""
        self._driver.wait(self._stream, buffers.ready)
        self._driver.synchronize(self._stream)
