"""One execution context with the stream and buffers it works in, for one frame size; used by one call at a time.

    numpy in  -> page-locked -> copy --\\                          /--> copy -> page-locked -> numpy out
                                       +--> engine (enqueue) -----+
    device array in -------------------/     reads set A         \\--> device array out
                                             writes set B

The same call seen again (same addresses, same turn of the caches) is captured and replayed as one CUDA graph: copies
and engine in one launch. TensorRT wants a plain enqueue before a capture, which sets up what it sets up lazily.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevae.cuda.arrays import DeviceArray
from edgevae.cuda.driver import Driver, HostBuffer
from edgevae.engine.flavour import Log
from edgevae.engine.profile import Size
from edgevae.errors import DeviceError
from edgevae.runtime.caches import Buffers
from edgevae.spec import GraphSpec, TensorSpec, next_name

DEFAULT_STREAMS = (0, 1, 2)
"""Handles of the default streams: of the context, its legacy name, and of the thread."""

GRAPHS = 16
"""CUDA graphs that a lane keeps; the one that was used longest ago goes first."""

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


class Staging:
    """Page-locked host memory for one tensor, and device memory for it where the device cannot use the same."""

    def __init__(self, driver: Driver, spec: TensorSpec, size: Size, *, mapped: bool) -> None:
        shape, dtype = spec.resolve(size.sizes()), np.dtype(spec.dtype)
        self.nbytes = int(np.prod(shape)) * dtype.itemsize
        self.host: HostBuffer = driver.allocate_host(self.nbytes, mapped=mapped)
        self.array = self.host.array[: self.nbytes].view(dtype).reshape(shape)
        self.host_address = int(self.host.array.ctypes.data)
        self.is_mapped = self.host.device_address is not None and mapped
        try:
            self.address = (
                self.host.device_address or 0 if self.is_mapped else driver.allocate(self.nbytes)
            )
        except BaseException:
            driver.free_host(self.host)
            raise
        self._driver = driver

    def free(self) -> None:
        """Free both memories."""
        if not self.is_mapped:
            self._driver.free(self.address)
        del self.array
        self._driver.free_host(self.host)


class Lane:
    """One execution context at one size; see the module.

    Args:
        context: The TensorRT execution context; the lane's from now on.
        profile: Index of the optimization profile to use.
        graph: What the engine computes.
        size: The frame size of every call.
        driver: The device.
        log: Where TensorRT says what went wrong.
        cuda_graph: Capture calls that come again.
        mapped: Use mapped host memory for numpy data.

    Raises:
        DeviceError: TensorRT does not take the size.
    """

    def __init__(
        self,
        context: Any,  # Any: TensorRT's bindings, of either module
        *,
        profile: int,
        graph: GraphSpec,
        size: Size,
        driver: Driver,
        log: Log,
        cuda_graph: bool,
        mapped: bool,
    ) -> None:
        self.size = size
        self._graph, self._driver, self._log, self._mapped = graph, driver, log, mapped
        self._input: Staging | None = None
        self._output: Staging | None = None
        self._unused: list[int] = []
        self._graphs: OrderedDict[Call, int | None] = OrderedDict()
        self._captures = cuda_graph and driver.has_graphs
        self._lock = threading.Lock()  # another stream's end may drop graphs while a call runs
        self.stream = driver.create_stream()
        self._begun, self._done = driver.create_event(), driver.create_event()
        self._context: Any = context
        try:
            with driver.activate():
                self._set_up(profile)
                self._place_unused_outputs()
        except BaseException:
            self.close()
            raise

    def run(
        self,
        source: np.ndarray | DeviceArray,
        target: np.ndarray | DeviceArray,
        buffers: Buffers,
        *,
        turn: int,
        stream: int,
    ) -> None:
        """Run the graph once; returns when `target` holds the result if either is a numpy array, else at once.

        Args:
            source: The data input, of the lane's exact shape and dtype, C-contiguous.
            target: The data output, likewise.
            buffers: The stream's caches.
            turn: Even: read set A and write set B; odd: the other way round.
            stream: Where the work goes.

        Raises:
            DeviceError: TensorRT or the driver refuses.
        """
        driver = self._driver
        call = self._call(source, target, buffers, turn=turn)
        if isinstance(source, np.ndarray):
            # The last call that read this memory had a numpy array too, so it ended before it returned.
            np.copyto(self._staging_in().array, source, casting="no")
        # TensorRT is slow on a default stream: work beside it, between what it does before and after.
        where = self.stream if stream in DEFAULT_STREAMS else stream
        if where != stream:
            driver.record(self._begun, stream)
            driver.wait(where, self._begun)
        driver.wait(where, buffers.ready)
        driver.wait(where, self._done)
        with self._lock, driver.activate():
            self._enqueue_or_replay(call, where)
        driver.record(self._done, where)
        driver.record(buffers.ready, where)
        if where != stream:
            driver.wait(stream, self._done)
        if isinstance(source, np.ndarray) or isinstance(target, np.ndarray):
            driver.synchronize(where)
        if isinstance(target, np.ndarray):
            np.copyto(target, self._staging_out().array, casting="no")

    def knows(self, buffers: Buffers) -> bool:
        """Return whether the lane has a CUDA graph for these caches."""
        return any(set(buffers.addresses) & set(call.read) for call in self._graphs)

    def forget(self, buffers: Buffers) -> None:
        """Drop the CUDA graphs that hold addresses of these caches."""
        gone = set(buffers.addresses)
        with self._lock:
            self._drop(*[call for call in self._graphs if gone & {*call.read, *call.write}])

    def close(self) -> None:
        """Free everything, after the work on it."""
        driver = self._driver
        self._settle()
        self._drop(*self._graphs)
        with driver.activate():
            self._context = None
        for staging in (self._input, self._output):
            if staging is not None:
                staging.free()
        self._input = self._output = None
        for address in self._unused:
            driver.free(address)
        self._unused = []
        for event in (self._begun, self._done):
            driver.destroy_event(event)
        driver.destroy_stream(self.stream)

    def _set_up(self, profile: int) -> None:
        """Tell the context its profile and shapes, once for all calls."""
        if profile and not self._context.set_optimization_profile_async(profile, self.stream):
            raise DeviceError(f"{self._graph.file}: profile {profile} refused: {self._log.last}")
        for spec in self._graph.inputs:
            shape = spec.resolve(self.size.sizes())
            if not self._context.set_input_shape(spec.name, shape):
                raise DeviceError(
                    f"{self._graph.file}: TensorRT refuses {spec.name} of shape {list(shape)}: {self._log.last}"
                )
        self._driver.synchronize(self.stream)

    def _place_unused_outputs(self) -> None:
        """Give outputs that nobody reads, such as a log-variance, memory to be written to."""
        used = {self._graph.outputs[0].name, *(next_name(s.name) for s in self._graph.state)}
        for spec in self._graph.outputs:
            if spec.name not in used:
                count = int(np.prod(spec.resolve(self.size.sizes())))
                self._unused.append(self._driver.allocate(count * np.dtype(spec.dtype).itemsize))
                self._context.set_tensor_address(spec.name, self._unused[-1])

    def _call(
        self,
        source: np.ndarray | DeviceArray,
        target: np.ndarray | DeviceArray,
        buffers: Buffers,
        *,
        turn: int,
    ) -> Call:
        read, write = buffers.sets if turn % 2 == 0 else buffers.sets[::-1]
        from_host, to_host = isinstance(source, np.ndarray), isinstance(target, np.ndarray)
        staged_in, staged_out = (
            self._staging_in() if from_host else None,
            self._staging_out() if to_host else None,
        )
        return Call(
            input=staged_in.address if staged_in else source.address,  # type: ignore[union-attr]  # not numpy, then
            output=staged_out.address if staged_out else target.address,  # type: ignore[union-attr]  # likewise
            from_host=staged_in is not None and not staged_in.is_mapped,
            to_host=staged_out is not None and not staged_out.is_mapped,
            read=tuple(read.values()),
            write=tuple(write.values()),
        )

    def _enqueue_or_replay(self, call: Call, stream: int) -> None:
        if not self._captures:
            self._enqueue(call, stream)
            return
        graph = self._graphs.get(call)
        if graph is None and call in self._graphs:
            graph = self._capture(call)
        else:
            self._graphs.setdefault(call, None)
        if call in self._graphs:
            self._graphs.move_to_end(call)
        if graph is None:
            self._enqueue(call, stream)
        else:
            self._driver.launch(graph, stream)
        if len(self._graphs) > GRAPHS:
            self._drop(next(iter(self._graphs)))

    def _capture(self, call: Call) -> int | None:
        """Return the call as a CUDA graph; where that cannot be, say so and never try again."""
        driver = self._driver
        try:
            driver.begin_capture(self.stream)
            try:
                self._enqueue(call, self.stream)
            finally:
                graph = driver.end_capture(self.stream)
        except DeviceError as error:
            _logger.warning(
                "%s: no CUDA graph, calls are enqueued one by one (slower): %s",
                self._graph.file,
                error,
            )
            self._captures = False
            return None
        self._graphs[call] = graph
        return graph

    def _enqueue(self, call: Call, stream: int) -> None:
        driver, context, graph = self._driver, self._context, self._graph
        if call.from_host:
            staging = self._staging_in()
            driver.copy_to_device(call.input, staging.host_address, staging.nbytes, stream)
        context.set_tensor_address(graph.data.name, call.input)
        context.set_tensor_address(graph.outputs[0].name, call.output)
        for spec, read, write in zip(graph.state, call.read, call.write, strict=True):
            context.set_tensor_address(spec.name, read)
            context.set_tensor_address(next_name(spec.name), write)
        if not context.execute_async_v3(stream):
            raise DeviceError(f"{graph.file}: TensorRT refused to run: {self._log.last}")
        if call.to_host:
            staging = self._staging_out()
            driver.copy_to_host(staging.host_address, call.output, staging.nbytes, stream)

    def _staging_in(self) -> Staging:
        if self._input is None:
            self._input = Staging(self._driver, self._graph.data, self.size, mapped=self._mapped)
        return self._input

    def _staging_out(self) -> Staging:
        if self._output is None:
            spec = self._graph.outputs[0]
            self._output = Staging(self._driver, spec, self.size, mapped=self._mapped)
        return self._output

    def _drop(self, *calls: Call) -> None:
        graphs = [graph for graph in map(self._graphs.pop, calls) if graph is not None]
        if graphs:
            self._settle()
        for graph in graphs:
            self._driver.destroy_graph(graph)

    def _settle(self) -> None:
        """Wait for the work of the last call, on whichever stream it is."""
        self._driver.wait(self.stream, self._done)
        self._driver.synchronize(self.stream)
