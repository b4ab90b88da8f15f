"""An engine on the device: its execution contexts, as many as calls run at once, and its streams' caches."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from edgevae.cuda.arrays import DeviceArray
from edgevae.cuda.driver import Driver
from edgevae.engine.flavour import Flavour, Log
from edgevae.engine.profile import Profile, Size
from edgevae.errors import IncompatibleError, InputError, OutOfMemoryError
from edgevae.runtime.caches import Buffers, CachePool, DeviceState
from edgevae.runtime.lane import Lane
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.spec import GraphSpec


class LoadedEngine:
    """One engine, ready to run; safe to use from several threads.

    Args:
        plan: What TensorRT built, its digest already checked.
        graph: What it computes; the engine must agree.
        profiles: What it was built for, in order.
        flavour: The TensorRT that built it.
        driver: The device; stays the caller's.
        options: How to run it.

    Raises:
        IncompatibleError: TensorRT cannot load the plan, or its tensors are not those of the graph.
    """

    def __init__(
        self,
        plan: bytes,
        graph: GraphSpec,
        *,
        profiles: tuple[Profile, ...],
        flavour: Flavour,
        driver: Driver,
        options: TensorRtOptions,
    ) -> None:
        self.graph, self.profiles = graph, profiles
        self._driver, self._flavour, self._options = driver, flavour, options
        self._log = Log(flavour)
        with driver.activate():
            self._runtime: Any = flavour.module.Runtime(self._log.logger)  # Any: TensorRT's objects
            if options.version_compatible:
                # Such a plan holds the lean runtime of its version: code, but ours, its digest checked.
                self._runtime.engine_host_code_allowed = True
            self.engine: Any = self._runtime.deserialize_cuda_engine(plan)
        if self.engine is None:
            raise IncompatibleError(
                f"{graph.file}: {flavour.name} {flavour.version} cannot load its engine: {self._log.last}; "
                "build it again with `edgevae build --force`"
            )
        _require_tensors(self.engine, graph)
        self._pool = CachePool(driver, graph.state, forget=self._forget)
        self._lanes: list[Lane] = []
        self._idle: list[Lane] = []
        self._changed = threading.Condition()
        self._closed = False

    def covers(self, size: Size) -> bool:
        """Return whether it takes frames of a size."""
        return any(profile.covers(size) for profile in self.profiles)

    def run(
        self,
        source: np.ndarray | DeviceArray,
        target: np.ndarray | DeviceArray,
        state: DeviceState,
        *,
        stream: int | None,
    ) -> None:
        """Run one call; see `Lane.run`. Without a stream, which numpy arrays do not need, it is on one of the engine's.

        Raises:
            InputError: the engine is closed.
            OutOfMemoryError: the device has not enough memory; other streams go on.
        """
        with self._lane(state) as lane:
            where = lane.stream if stream is None else stream
            buffers = self._pool.fill(state.caches, where)
            lane.run(source, target, buffers, turn=state.turn, stream=where)

    def close(self) -> None:
        """Free all memory, after the work on it."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: len(self._idle) == len(self._lanes))
            for lane in self._lanes:
                lane.close()
            self._lanes, self._idle = [], []
        self._pool.close()
        with self._driver.activate():
            self.engine = None
            self._runtime = None

    @contextlib.contextmanager
    def _lane(self, state: DeviceState) -> Iterator[Lane]:
        """Yield a lane for the state's size that nobody else uses meanwhile."""
        lane = self._acquire(state.caches.size, state.caches.buffers)
        try:
            yield lane
        finally:
            with self._changed:
                self._idle.append(lane)
                self._changed.notify_all()

    def _acquire(self, size: Size, buffers: Buffers | None) -> Lane:
        with self._changed:
            while True:
                if self._closed:
                    raise InputError(
                        f"{self.graph.file}: the session is closed; load the model again"
                    )
                fit = [lane for lane in self._idle if lane.size == size]
                if fit:
                    # One that has this stream's CUDA graphs, else the one that was used last.
                    known = [lane for lane in fit if buffers and lane.knows(buffers)]
                    lane = (known or fit)[-1]
                    self._idle.remove(lane)
                    return lane
                if len(self._lanes) < self._options.contexts or self._idle:
                    return self._create(size)
                self._changed.wait()

    def _create(self, size: Size) -> Lane:
        """Return a new lane, in the place of an idle one of another size where the limit or the memory asks for it."""
        if len(self._lanes) >= self._options.contexts:
            self._discard(self._idle[0])
        while True:
            try:
                lane = self._open(size)
            except OutOfMemoryError:
                if not self._idle:
                    raise
                self._discard(self._idle[0])
            else:
                self._lanes.append(lane)
                return lane

    def _open(self, size: Size) -> Lane:
        fitting = [i for i, profile in enumerate(self.profiles) if profile.covers(size)]
        index = min(fitting, key=lambda i: not self.profiles[i].is_static)
        return Lane(
            self._new_context(size),
            profile=index,
            graph=self.graph,
            size=size,
            driver=self._driver,
            log=self._log,
            cuda_graph=self._options.cuda_graph,
            mapped=self._options.zero_copy,
        )

    def _new_context(self, size: Size) -> Any:  # Any: TensorRT's execution context
        with self._driver.activate():
            if self._flavour.is_rtx:
                # A lane's shape never changes: have its kernels made for it now, not by and by while calls run.
                config = self.engine.create_runtime_config()
                strategies = self._flavour.module.DynamicShapesKernelSpecializationStrategy
                config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
                context = self.engine.create_execution_context(config)
            else:
                context = self.engine.create_execution_context()
        if context is None:
            free, total = self._driver.memory()
            raise OutOfMemoryError(
                f"{self.graph.file}: no execution context for {size} ({self._log.last}); {free >> 20} of "
                f"{total >> 20} MiB are free; use smaller frames, fewer contexts or another process's memory"
            )
        return context

    def _discard(self, lane: Lane) -> None:
        self._idle.remove(lane)
        self._lanes.remove(lane)
        lane.close()

    def _forget(self, buffers: Buffers) -> None:
        for lane in list(self._lanes):
            lane.forget(buffers)


def _require_tensors(engine: Any, graph: GraphSpec) -> None:  # Any: TensorRT's engine
    names = {engine.get_tensor_name(i) for i in range(engine.num_io_tensors)}
    expected = {t.name for t in (*graph.inputs, *graph.outputs)}
    if names != expected:
        raise IncompatibleError(
            f"{graph.file}: its engine has tensors {sorted(names)}, expected {sorted(expected)}; "
            "build it again with `edgevae build --force`"
        )
