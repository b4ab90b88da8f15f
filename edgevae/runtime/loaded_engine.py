"""An engine on the device: its execution contexts, as many as calls run at once, and its streams' caches."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from edgevae.cuda.driver import Driver
from edgevae.engine.flavour import Flavour, Log, is_short_of_memory
from edgevae.engine.profile import Profile, Size
from edgevae.errors import DeviceError, IncompatibleError, InputError, OutOfMemoryError
from edgevae.runtime.caches import Buffers, CachePool, DeviceState
from edgevae.runtime.lane import Lane
from edgevae.runtime.tensor_data import Data
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
        OutOfMemoryError: the device has not enough memory for it.
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
        self._runtime: Any = None  # Any: TensorRT's objects, here and below
        self.engine: Any = self._deserialize(plan)
        _require_tensors(self.engine, graph)
        self._stream = driver.create_stream()
        self._pool = CachePool(driver, graph.state, forget=self._forget, stream=self._stream)
        self._lanes: list[Lane] = []
        self._idle: list[Lane] = []
        self._opening = 0
        self._kept: list[object] = []
        self._changed = threading.Condition()
        self._closed = False

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Its execution contexts, busy or idle."""
        return tuple(self._lanes)

    def covers(self, size: Size) -> bool:
        """Return whether it takes frames of a size."""
        return any(profile.covers(size) for profile in self.profiles)

    def run(self, source: Data, target: Data, state: DeviceState, *, stream: int | None) -> None:
        """Run one call; see `Lane.run`. Without a stream, which numpy arrays do not need, it is on one of the engine's.

        Raises:
            InputError: the engine is closed.
            OutOfMemoryError: the device has not enough memory; other streams go on.
        """
        with self._lane(state) as lane:
            where = lane.stream if stream is None else stream
            buffers = self._pool.fill(state.caches, where)
            lane.run(source, target, buffers, turn=state.turn, stream=where)

    def new_context(self) -> Any:  # Any: TensorRT's execution context
        """Return a new execution context, its activation memory allocated.

        Raises:
            OutOfMemoryError: the device has not enough memory.
            DeviceError: TensorRT gives none for another reason.
        """
        self._log.clear()
        with self._driver.activate():
            if self._flavour.is_rtx:
                # A context's shape never changes here: have its kernels made for it now, not by and by while calls run.
                config = self.engine.create_runtime_config()
                strategies = self._flavour.module.DynamicShapesKernelSpecializationStrategy
                config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
                self._kept.append(config)  # nothing says that the context keeps it
                context = self.engine.create_execution_context(config)
            else:
                context = self.engine.create_execution_context()
        if context is None:
            raise self._refused("gives no execution context")
        return context

    def release(self) -> None:
        """Free what nobody uses now: idle contexts and the caches of ended streams."""
        with self._changed:
            while self._idle:
                self._discard(self._idle[0])
        self._pool.release()

    def close(self) -> None:
        """Free all memory, after the work on it; all of it is tried even where a step fails."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(
                lambda: len(self._idle) == len(self._lanes) and not self._opening
            )
            with contextlib.ExitStack() as steps:  # runs them from the last to the first
                steps.callback(self._drop_engine)
                steps.callback(self._driver.destroy_stream, self._stream)
                steps.callback(self._pool.close)
                for lane in self._lanes:
                    steps.callback(lane.close)
                self._lanes, self._idle = [], []

    def _deserialize(self, plan: bytes) -> Any:
        with self._driver.activate():
            self._runtime = self._flavour.module.Runtime(self._log.logger)
            if self._options.version_compatible:
                # Such a plan holds the lean runtime of its version: code, but ours, its digest checked.
                self._runtime.engine_host_code_allowed = True
            self._log.clear()
            engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            if is_short_of_memory(self._log.last):
                raise self._refused("cannot load the engine")
            raise IncompatibleError(
                f"{self.graph.file}: {self._flavour} cannot load its engine: {self._log.last}; "
                "build it again with `edgevae build --force`"
            )
        return engine

    def _drop_engine(self) -> None:
        with self._driver.activate():
            self._kept.clear()
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
                if len(self._lanes) + self._opening < self._options.contexts:
                    self._opening += 1
                    break
                if self._idle:
                    self._discard(self._idle[0])
                else:
                    self._changed.wait()
        return self._create(size)

    def _create(self, size: Size) -> Lane:
        """Return a new lane in the place that was taken for it; other calls go on meanwhile."""
        lane: Lane | None = None
        try:
            while lane is None:
                try:
                    lane = self._open(size)
                except OutOfMemoryError:
                    with self._changed:
                        if not self._idle:
                            raise
                        self._discard(self._idle[0])
        finally:
            with self._changed:
                self._opening -= 1
                if lane is not None:
                    self._lanes.append(lane)
                self._changed.notify_all()
        return lane

    def _open(self, size: Size) -> Lane:
        fitting = [i for i, profile in enumerate(self.profiles) if profile.covers(size)]
        index = min(fitting, key=lambda i: not self.profiles[i].is_static)
        return Lane(
            self.new_context(),
            profile=index,
            graph=self.graph,
            size=size,
            driver=self._driver,
            log=self._log,
            cuda_graph=self._options.cuda_graph,
            mapped=self._options.zero_copy,
        )

    def _refused(self, what: str) -> DeviceError:
        """Return why TensorRT gave nothing."""
        free, total = self._driver.memory()
        text = f"{self.graph.file}: {self._flavour} {what}: {self._log.last}"
        if not is_short_of_memory(self._log.last):
            return DeviceError(f"{text}; see `edgevae doctor`")
        return OutOfMemoryError(
            f"{text}; {free >> 20} of {total >> 20} MiB are free: use smaller frames, fewer contexts, or end other "
            "programs on the GPU"
        )

    def _discard(self, lane: Lane) -> None:
        """Close an idle lane; the caller holds the lock."""
        self._idle.remove(lane)
        self._lanes.remove(lane)
        lane.close()

    def _forget(self, buffers: Buffers) -> None:
        with self._changed:
            for lane in self._lanes:
                lane.forget(buffers)


def _require_tensors(engine: Any, graph: GraphSpec) -> None:  # Any: TensorRT's engine
    names = {engine.get_tensor_name(i) for i in range(engine.num_io_tensors)}
    expected = {t.name for t in (*graph.inputs, *graph.outputs)}
    if names != expected:
        raise IncompatibleError(
            f"{graph.file}: its engine has tensors {sorted(names)}, expected {sorted(expected)}; "
            "build it again with `edgevae build --force`"
        )
