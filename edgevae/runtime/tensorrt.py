"""TensorRT and TensorRT-RTX: a graph as engines, one a frame size or range of sizes, from the cache or built now."""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from types import TracebackType

import numpy as np

from edgevae.bundle import Bundle
from edgevae.cuda.arrays import DeviceArray, stream_handle
from edgevae.cuda.driver import Driver
from edgevae.cuda.opening import open_driver
from edgevae.engine.flavour import Flavour, open_flavour
from edgevae.engine.profile import Profile, Size
from edgevae.errors import DeviceError, InputError, OutOfMemoryError
from edgevae.runtime import engines
from edgevae.runtime.caches import Caches, DeviceState
from edgevae.runtime.device_memory import DeviceMemory
from edgevae.runtime.loaded_engine import LoadedEngine
from edgevae.runtime.session import Array, SessionState
from edgevae.runtime.tensor_data import Data, take
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.spec import Precision, Role

_logger = logging.getLogger("edgevae")


class TensorRtSession:
    """A graph on an NVIDIA GPU. Safe to run from several threads at once, each with streams of its own.

    Data may be numpy arrays, or arrays on the device (`__dlpack__` or `__cuda_array_interface__`), which are used in
    place. Sizes without an engine get a static one at their first call, which takes a minute or so, once.

    Args:
        bundle: The model.
        role: Which of its graphs.
        precision: Which variant.
        flavour: `tensorrt` or `tensorrt_rtx`, opened.
        driver: The device; the session closes it.
        options: Sizes, cache and execution.

    Raises:
        IncompatibleError: an engine is not in the cache or stale, and `options.allow_build` is false.
        ParityError: a new engine does not reproduce its reference.
    """

    def __init__(
        self,
        bundle: Bundle,
        role: Role,
        *,
        precision: Precision,
        flavour: Flavour,
        driver: Driver,
        options: TensorRtOptions,
    ) -> None:
        self.graph = bundle.graph(role, precision)
        self._bundle, self._role, self._precision = bundle, role, precision
        self._flavour, self._driver, self._options = flavour, driver, options
        self._engines: list[LoadedEngine] = []
        self._memory = DeviceMemory(driver)
        self._stream = driver.create_stream()
        self._loading = threading.Lock()
        self._closed = False
        try:
            for profile in options.profiles(cell_px=bundle.manifest.spec.spatial_factor):
                self._load(profile, is_named=True)
        except BaseException:
            self.close()
            raise

    @property
    def backend(self) -> str:
        """`tensorrt` or `tensorrt_rtx`."""
        return self._flavour.name

    @property
    def device(self) -> str:
        """The GPU, such as `cuda:0`."""
        return f"cuda:{self._driver.device}"

    def is_ready(self, *, batch: int, height_px: int, width_px: int) -> bool:
        """Return whether an engine for the size is loaded."""
        return self._loaded(Size(batch=batch, height=height_px, width=width_px)) is not None

    def initial_state(self, *, batch: int, height_px: int, width_px: int) -> DeviceState:
        """Return the state at the first chunk; its memory is taken, zeroed, by the first call."""
        size = Size(batch=batch, height=height_px, width=width_px)
        return DeviceState(Caches(self, size), turn=0)

    def run(
        self,
        data: Array,
        state: SessionState,
        *,
        out: Array | None = None,
        stream: object = None,
    ) -> tuple[Array, DeviceState]:
        """Return the data output and the next state; see `Session.run`.

        Without `out` the output is where the data was: a new numpy array, or a new `DeviceArray`.

        Raises:
            InputError: the data or `out` is not of the stream's shape and dtype, or the state was used before.
            OutOfMemoryError: the device has not enough memory; session and state stay usable.
        """
        state = self._own(state)
        size = state.caches.size
        on_host = isinstance(data, np.ndarray) and (out is None or isinstance(out, np.ndarray))
        # Host data runs on the stream of whichever context is free; device arrays need one to be ordered on.
        handle = stream_handle(stream) if stream is not None else None if on_host else self._stream
        source = take(data, self.graph.data, size, device=self._driver.device, stream=handle)
        target = self._target(out, size, like=source, handle=handle, is_callers=stream is not None)
        state.caches.take(state.turn)
        try:
            self._execute(source, target, state, stream=handle)
        except BaseException:
            state.caches.give_back(state.turn)  # the set that it read is as it was
            raise
        if handle is not None and out is None and isinstance(target, DeviceArray):
            self._memory.made(target, handle)
        if stream is None and handle is not None:
            self._driver.synchronize(handle)
        return (target if out is None else out), state.following()

    def close(self) -> None:
        """Free the engines and everything on the device, arrays that `run` gave too, after the work on it.

        All of it is tried even where a step fails.
        """
        with self._loading:
            if self._closed:
                return
            self._closed = True
            with contextlib.ExitStack() as steps:  # runs them from the last to the first
                steps.callback(self._driver.close)
                steps.callback(self._driver.destroy_stream, self._stream)
                steps.callback(self._memory.close)
                for engine in self._engines:
                    steps.callback(engine.close)
                self._engines = []

    def __enter__(self) -> TensorRtSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except DeviceError:
            if error is None:
                raise
            # The first error is the one to tell.
            _logger.exception("%s: closing failed too", self.graph.file)

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(
                f"{self.graph.file}: not closed; its device memory is lost",
                ResourceWarning,
                stacklevel=2,
            )

    def _own(self, state: SessionState) -> DeviceState:
        if isinstance(state, DeviceState) and state.caches.owner is self:
            return state
        raise InputError(
            f"{self.graph.file}: got the state of another model, precision or backend; start with `Vae.stream`"
        )

    def _target(
        self,
        out: Array | None,
        size: Size,
        *,
        like: Data,
        handle: int | None,
        is_callers: bool,
    ) -> Data:
        """Return where the result goes: `out`, or a new array where the data is."""
        spec = self.graph.outputs[0]
        if out is not None:
            device = self._driver.device
            return take(out, spec, size, device=device, stream=handle, writable=True)
        shape, dtype = spec.resolve(size.sizes()), np.dtype(spec.dtype)
        if isinstance(like, np.ndarray):
            return np.empty(shape, dtype)
        return self._memory.new_array(shape, dtype, stream=handle if is_callers else None)

    def _execute(
        self, source: Data, target: Data, state: DeviceState, *, stream: int | None
    ) -> None:
        """Run a call; where memory is short, free what nobody uses and run it again."""
        try:
            self._engine(state.caches.size).run(source, target, state, stream=stream)
        except OutOfMemoryError:
            for loaded in list(self._engines):
                loaded.release()
            self._memory.release()
            self._engine(state.caches.size).run(source, target, state, stream=stream)

    def _engine(self, size: Size) -> LoadedEngine:
        """Return an engine that takes a size, loading or building one where none is loaded."""
        return self._loaded(size) or self._load(Profile.static(size), is_named=False)

    def _loaded(self, size: Size) -> LoadedEngine | None:
        if self._closed:
            raise InputError(f"{self.graph.file}: the session is closed; load the model again")
        fitting = [engine for engine in self._engines if engine.covers(size)]
        # An engine for this size alone is faster than one for many.
        return min(fitting, key=lambda e: Profile.static(size) not in e.profiles, default=None)

    def _load(self, profile: Profile, *, is_named: bool) -> LoadedEngine:
        """Return the engine for a profile, loading it from the cache or building it first."""
        with self._loading:
            if self._closed:
                raise InputError(f"{self.graph.file}: the session is closed; load the model again")
            # Another thread may have loaded it while this one waited.
            for engine in self._engines:
                if profile in engine.profiles:
                    return engine
            engine = engines.load_engine(
                self._bundle,
                self._role,
                precision=self._precision,
                flavour=self._flavour,
                driver=self._driver,
                profile=profile,
                options=self._options,
                exact=is_named,
            )
            self._engines.append(engine)
            return engine


def open_tensorrt(
    bundle: Bundle,
    role: Role,
    *,
    backend: str,
    device: int,
    precision: Precision,
    options: TensorRtOptions | None = None,
) -> TensorRtSession:
    """Return a session on a GPU.

    Args:
        bundle: The model.
        role: Which of its graphs.
        backend: `tensorrt` or `tensorrt_rtx`.
        device: Index of the GPU.
        precision: Which variant.
        options: Sizes, cache and execution.

    Raises:
        UnavailableError: no driver, no GPU of this index, or TensorRT or a CUDA layer for Python is not installed.
        IncompatibleError: see `TensorRtSession`.
    """
    options = options or TensorRtOptions()
    driver = open_driver(device, name=options.driver)
    try:
        flavour = open_flavour(backend)
    except BaseException:
        driver.close()
        raise
    return TensorRtSession(
        bundle, role, precision=precision, flavour=flavour, driver=driver, options=options
    )
