"""One execution context with the stream and buffers it works in, for one frame size; used by one call at a time.

numpy in  -> page-locked -> copy --\\                          /--> copy -> page-locked -> numpy out
                                   +--> engine (enqueue) -----+
device array in -------------------/     reads set A         \\--> device array out
                                         writes set B
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import numpy as np

from edgevae.cuda.driver import Driver
from edgevae.engine.flavour import Log, is_short_of_memory
from edgevae.engine.profile import Size
from edgevae.errors import DeviceError, OutOfMemoryError
from edgevae.runtime.caches import Buffers
from edgevae.runtime.replays import Call, Replays
from edgevae.runtime.staging import Staging
from edgevae.runtime.tensor_data import Data
from edgevae.spec import GraphSpec, next_name

DEFAULT_STREAMS = (0, 1, 2)
"""Handles of the default streams: of the context, its legacy name, and of the thread."""


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
        OutOfMemoryError: the device has not enough memory.
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
        self._context: Any = context
        self._graph, self._driver, self._log, self._mapped = graph, driver, log, mapped
        self._input: Staging | None = None
        self._output: Staging | None = None
        self._unused: list[int] = []
        self._lock = threading.RLock()  # another stream's end may drop graphs while a call runs
        self.stream = driver.create_stream()
        self._begun, self._done = driver.create_event(), driver.create_event()
        self.replays = Replays(
            driver,
            self.stream,
            enqueue=self._enqueue,
            settle=self._settle,
            name=graph.file,
            enabled=cuda_graph,
        )
        try:
            with driver.activate():
                self._set_up(profile)
                self._place_unused_outputs()
        except BaseException:
            self.close()
            raise

    def run(self, source: Data, target: Data, buffers: Buffers, *, turn: int, stream: int) -> None:
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
            self.replays.run(call, where)
        driver.record(self._done, where)
        driver.record(buffers.ready, where)
        if where != stream:
            driver.wait(stream, self._done)
        if isinstance(source, np.ndarray) or isinstance(target, np.ndarray):
            driver.synchronize(where)
        if isinstance(target, np.ndarray):
            np.copyto(target, self._staging_out().array, casting="no")

    def knows(self, buffers: Buffers) -> bool:
        """Return whether the lane has seen calls with these caches."""
        with self._lock:
            return self.replays.knows(buffers.addresses)

    def forget(self, buffers: Buffers) -> None:
        """Drop the CUDA graphs that hold addresses of these caches."""
        with self._lock:
            self.replays.forget(buffers.addresses)

    def close(self) -> None:
        """Free everything, after the work on it; all of it is tried even where a step fails."""
        driver = self._driver
        with self._lock, contextlib.ExitStack() as steps:  # runs them from the last to the first
            steps.callback(driver.destroy_stream, self.stream)
            for event in (self._begun, self._done):
                steps.callback(driver.destroy_event, event)
            for address in self._unused:
                steps.callback(driver.free, address)
            for staging in (self._input, self._output):
                if staging is not None:
                    steps.callback(staging.free)
            steps.callback(self._drop_context)
            steps.callback(self.replays.clear)
            steps.callback(self._settle)
            self._input, self._output, self._unused = None, None, []

    def _drop_context(self) -> None:
        with self._driver.activate():
            self._context = None

    def _set_up(self, profile: int) -> None:
        """Tell the context its profile and shapes, once for all calls."""
        graph, context = self._graph, self._context
        self._log.clear()
        if profile and not context.set_optimization_profile_async(profile, self.stream):
            raise DeviceError(
                f"{graph.file}: TensorRT refuses optimization profile {profile} of its engine ({self._log.last}); "
                "build it again with `edgevae build --force`"
            )
        for spec in graph.inputs:
            shape = spec.resolve(self.size.sizes())
            if not context.set_input_shape(spec.name, shape):
                raise DeviceError(
                    f"{graph.file}: TensorRT refuses {spec.name} of shape {list(shape)}, expected as its engine was "
                    f"built for {self.size} ({self._log.last}); build it again with `edgevae build --force`"
                )
        self._driver.synchronize(self.stream)

    def _place_unused_outputs(self) -> None:
        """Give outputs that nobody reads, such as a log-variance, memory to be written to."""
        used = {self._graph.outputs[0].name, *(next_name(s.name) for s in self._graph.state)}
        for spec in self._graph.outputs:
            if spec.name not in used:
                count = int(np.prod(spec.resolve(self.size.sizes())))
                self._unused.append(self._driver.allocate(count * np.dtype(spec.dtype).itemsize))
                self._place(spec.name, self._unused[-1])

    def _call(self, source: Data, target: Data, buffers: Buffers, *, turn: int) -> Call:
        read, write = buffers.sets if turn % 2 == 0 else buffers.sets[::-1]
        into = self._staging_in() if isinstance(source, np.ndarray) else source
        onto = self._staging_out() if isinstance(target, np.ndarray) else target
        return Call(
            input=into.address,
            output=onto.address,
            from_host=isinstance(into, Staging) and not into.is_mapped,
            to_host=isinstance(onto, Staging) and not onto.is_mapped,
            read=tuple(read.values()),
            write=tuple(write.values()),
        )

    def _enqueue(self, call: Call, stream: int) -> None:
        driver, graph = self._driver, self._graph
        if call.from_host:
            staging = self._staging_in()
            driver.copy_to_device(call.input, staging.host_address, staging.nbytes, stream)
        self._place(graph.data.name, call.input)
        self._place(graph.outputs[0].name, call.output)
        for spec, read, write in zip(graph.state, call.read, call.write, strict=True):
            self._place(spec.name, read)
            self._place(next_name(spec.name), write)
        self._log.clear()
        if not self._context.execute_async_v3(stream):
            kind = OutOfMemoryError if is_short_of_memory(self._log.last) else DeviceError
            raise kind(
                f"{graph.file}: TensorRT did not run for {self.size}: {self._log.last}; see `edgevae doctor`"
            )
        if call.to_host:
            staging = self._staging_out()
            driver.copy_to_host(staging.host_address, call.output, staging.nbytes, stream)

    def _place(self, name: str, address: int) -> None:
        """Tell the context where a tensor is."""
        if not self._context.set_tensor_address(name, address):
            raise DeviceError(
                f"{self._graph.file}: TensorRT refuses address 0x{address:x} for {name}, expected device memory at a "
                f"multiple of 256 bytes ({self._log.last}); give another array"
            )

    def _staging_in(self) -> Staging:
        if self._input is None:
            self._input = Staging(self._driver, self._graph.data, self.size, mapped=self._mapped)
        return self._input

    def _staging_out(self) -> Staging:
        if self._output is None:
            spec = self._graph.outputs[0]
            self._output = Staging(self._driver, spec, self.size, mapped=self._mapped)
        return self._output

    def _settle(self) -> None:
        """Wait for the work of the last call, on whichever stream it is."""
        self._driver.wait(self.stream, self._done)
        self._driver.synchronize(self.stream)
