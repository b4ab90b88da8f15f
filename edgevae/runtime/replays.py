"""Calls that come again, as CUDA graphs: one launch in the place of a call's copies and its engine's kernels.

    1st time    enqueued plainly: TensorRT sets up what it sets up lazily
    2nd time    captured on the lane's stream, and launched from then on

A call is the same when every address is. Those of numpy data and caches come again with the turn of the caches, those
of arrays on the device when the caller uses his buffers again.
"""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from edgevae.cuda.driver import Driver
from edgevae.errors import DeviceError

MOST = 16
"""Calls that are remembered; the one that was used longest ago goes first."""

ATTEMPTS = 3
"""Captures that may fail, as another library's wait for the device makes them, before no other is tried."""

_logger = logging.getLogger("edgevae")


@dataclass(frozen=True)
class Call:
    """What one enqueue reads and writes; equal calls can be the same CUDA graph."""

    input: int
    """Address that the engine reads data from."""
    output: int
    """Address that the engine writes data to."""
    from_host: bool
    """Copy the input from the lane's page-locked memory first."""
    to_host: bool
    """Copy the output to the lane's page-locked memory afterwards."""
    read: tuple[int, ...]
    """Addresses of the caches to read, in the order of the graph's state."""
    write: tuple[int, ...]
    """Addresses of the caches to write, likewise."""


class Replays:
    """The CUDA graphs of one execution context. Not safe to share between threads; its owner holds a lock.

    Args:
        driver: The device.
        stream: The stream to capture on.
        enqueue: Enqueues a call on a stream.
        settle: Waits for the last call, so that a graph can be destroyed.
        name: Of the graph's file, for the log.
        enabled: Without it every call is enqueued plainly, as on a driver layer that cannot capture.
    """

    def __init__(
        self,
        driver: Driver,
        stream: int,
        *,
        enqueue: Callable[[Call, int], None],
        settle: Callable[[], None],
        name: str,
        enabled: bool,
    ) -> None:
        self._driver, self._stream, self._name = driver, stream, name
        self._enqueue, self._settle = enqueue, settle
        self._attempts = ATTEMPTS if enabled and driver.has_graphs else 0
        self._graphs: OrderedDict[Call, int | None] = OrderedDict()

    @property
    def count(self) -> int:
        """How many CUDA graphs there are."""
        return sum(graph is not None for graph in self._graphs.values())

    def run(self, call: Call, stream: int) -> None:
        """Enqueue a call on a stream, as a graph where there is one or can be one now.

        Raises:
            DeviceError: TensorRT or the driver refuses.
        """
        if not self._attempts:
            self._enqueue(call, stream)
            return
        graph = self._graphs.get(call)
        if graph is None and call in self._graphs:
            graph = self._capture(call)
        if graph is None:
            self._enqueue(call, stream)
        else:
            self._driver.launch(graph, stream)
        self._graphs[call] = graph
        self._graphs.move_to_end(call)
        if len(self._graphs) > MOST:
            self._drop(next(iter(self._graphs)))

    def knows(self, addresses: tuple[int, ...]) -> bool:
        """Return whether a remembered call reads caches at one of the addresses."""
        return any(set(addresses) & set(call.read) for call in self._graphs)

    def forget(self, addresses: tuple[int, ...]) -> None:
        """Drop the calls that touch caches at one of the addresses, which are about to be freed."""
        gone = set(addresses)
        self._drop(*[call for call in self._graphs if gone & {*call.read, *call.write}])

    def clear(self) -> None:
        """Drop all calls."""
        self._drop(*self._graphs)

    def _capture(self, call: Call) -> int | None:
        """Return the call as a CUDA graph; where that cannot be, say so and return None."""
        try:
            return self._record(call)
        except DeviceError as error:
            self._attempts -= 1
            then = "trying again" if self._attempts else "from now on calls are enqueued, slower"
            _logger.warning(
                "%s: a CUDA graph could not be captured (%s); %s", self._name, error, then
            )
            return None

    def _record(self, call: Call) -> int:
        self._driver.begin_capture(self._stream)
        try:
            self._enqueue(call, self._stream)
        except BaseException:
            with contextlib.suppress(DeviceError):  # the first error is the one to tell
                self._driver.destroy_graph(self._driver.end_capture(self._stream))
            raise
        return self._driver.end_capture(self._stream)

    def _drop(self, *calls: Call) -> None:
        graphs = [graph for graph in map(self._graphs.pop, calls) if graph is not None]
        if graphs:
            self._settle()
        for graph in graphs:
            self._driver.destroy_graph(graph)
