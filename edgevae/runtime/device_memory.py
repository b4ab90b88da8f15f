"""Device memory that a session gives away as arrays: it lives until nobody holds it, or the session closes.

An array may end at any moment and in any thread, as Python's garbage collector pleases: even between the beginning and
the end of a capture, where no memory may be freed. So the end is only noted, and the memory is freed before the next
array is made.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import deque

import numpy as np

from edgevae.cuda.arrays import DeviceArray
from edgevae.cuda.driver import Driver


class _Owner:
    """Keeps an array's memory; one for each allocation."""


class DeviceMemory:
    """The arrays that one session gave and that are not freed yet.

    Args:
        driver: Where the memory is; stays the caller's.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._stream = driver.create_stream()
        self._made: dict[int, int] = {}
        self._ended: deque[int] = deque()

    def new_array(
        self, shape: tuple[int, ...], dtype: np.dtype, *, stream: int | None
    ) -> DeviceArray:
        """Return a new array, its content as it comes; to be followed by `made`.

        Args:
            shape: Its axes.
            dtype: Of its elements.
            stream: The stream that makes its content; None if that is done when its user sees it.

        Raises:
            OutOfMemoryError: the device has not enough memory.
        """
        self.release()
        event = self._driver.create_event()
        try:
            address = self._driver.allocate(int(np.prod(shape)) * dtype.itemsize)
        except BaseException:
            self._driver.destroy_event(event)
            raise
        self._made[address] = event
        owner = _Owner()
        weakref.finalize(owner, self._ended.append, address).atexit = False
        return DeviceArray(address, shape, dtype, self._driver.device, owner=owner, stream=stream)

    def made(self, array: DeviceArray, stream: int) -> None:
        """Note that the work on a stream so far makes an array's content."""
        self._driver.record(self._made[array.address], stream)

    def release(self) -> None:
        """Free the memory of arrays that ended, after the work that made them."""
        while True:
            try:
                address = self._ended.popleft()
            except IndexError:
                return
            self._free(address)

    def close(self) -> None:
        """Free all memory; arrays of it must not be used after. All of it is tried even where a step fails."""
        with contextlib.ExitStack() as steps:  # runs them from the last to the first
            steps.callback(self._driver.destroy_stream, self._stream)
            for address in list(self._made):
                steps.callback(self._free, address)

    def _free(self, address: int) -> None:
        event = self._made.pop(address, None)
        if event is None:
            return  # the session closed before its array ended
        with contextlib.ExitStack() as steps:
            steps.callback(self._driver.destroy_event, event)
            steps.callback(self._driver.free, address)
            self._driver.wait(self._stream, event)
            self._driver.synchronize(self._stream)
