"""TensorRT and TensorRT-RTX: a graph as engines, one a frame size or range of sizes, from the cache or built now."""

from __future__ import annotations

import threading
import weakref
from types import TracebackType

import numpy as np

from edgevae.bundle import Bundle
from edgevae.cuda.arrays import DeviceArray, as_device_array, stream_handle
from edgevae.cuda.driver import Driver
from edgevae.cuda.opening import open_driver
from edgevae.engine.flavour import Flavour, open_flavour
from edgevae.engine.profile import Profile, Size
from edgevae.errors import InputError, OutOfMemoryError
from edgevae.runtime import engines
from edgevae.runtime.caches import Caches, DeviceState
from edgevae.runtime.device_memory import DeviceMemory
from edgevae.runtime.loaded_engine import LoadedEngine
from edgevae.runtime.session import Array, SessionState
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.spec import Precision, Role, TensorSpec


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
        self._given: weakref.WeakSet[DeviceMemory] = weakref.WeakSet()
        self._stream = driver.create_stream()
        self._loading = threading.Lock()
        self._closed = False
        try:
            for profile in options.profiles(cell_px=bundle.manifest.spec.spatial_factor):
                self._load(profile)
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
        source = self._array(data, self.graph.data, size, stream=handle, writable=False)
        target = self._target(out, size, like=source, stream=handle)
        engine = self._loaded(size) or self._load(Profile.static(size))
        state.caches.take(state.turn)
        try:
            engine.run(source, target, state, stream=handle)
        except OutOfMemoryError:  # no memory for buffers or a context: nothing ran
            state.caches.give_back(state.turn)
            raise
        if stream is None and handle is not None:
            self._driver.synchronize(handle)
        return (target if out is None else out), state.following()

    def close(self) -> None:
        """Free the engines and everything on the device, arrays that `run` gave too, after the work on it."""
        with self._loading:
            if self._closed:
                return
            self._closed = True
            for engine in self._engines:
                engine.close()
            self._engines = []
            for memory in list(self._given):
                memory.free()
            self._driver.destroy_stream(self._stream)
            self._driver.close()

    def __enter__(self) -> TensorRtSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _own(self, state: SessionState) -> DeviceState:
        if isinstance(state, DeviceState) and state.caches.owner is self:
            return state
        raise InputError(
            f"{self.graph.file}: got the state of another model, precision or backend; start with `Vae.stream`"
        )

    def _array(
        self, data: Array, spec: TensorSpec, size: Size, *, stream: int | None, writable: bool
    ) -> np.ndarray | DeviceArray:
        """Return data as an array that is what the graph takes, in host or device memory."""
        shape, dtype = spec.resolve(size.sizes()), np.dtype(spec.dtype)
        array: np.ndarray | DeviceArray
        if isinstance(data, np.ndarray):
            array = data
        else:
            assert stream is not None, "data that is not all numpy has a stream"
            array = _folded(data, as_device_array(data, stream=stream, writable=writable), shape)
        if array.dtype != dtype or tuple(array.shape) != shape:
            raise InputError(
                f"{spec.name}: got {array.dtype} {list(array.shape)}, expected {dtype} {list(shape)}"
            )
        if isinstance(array, DeviceArray) and array.device != self._driver.device:
            raise InputError(
                f"{spec.name}: is on cuda:{array.device}, expected {self.device}, where the engine is"
            )
        return array

    def _target(
        self, out: Array | None, size: Size, *, like: np.ndarray | DeviceArray, stream: int | None
    ) -> np.ndarray | DeviceArray:
        spec = self.graph.outputs[0]
        if out is not None:
            return self._array(out, spec, size, stream=stream, writable=True)
        shape, dtype = spec.resolve(size.sizes()), np.dtype(spec.dtype)
        if isinstance(like, np.ndarray):
            return np.empty(shape, dtype)
        memory = DeviceMemory(self._driver, int(np.prod(shape)) * dtype.itemsize)
        self._given.add(memory)
        return memory.array(shape, dtype)

    def _loaded(self, size: Size) -> LoadedEngine | None:
        if self._closed:
            raise InputError(f"{self.graph.file}: the session is closed; load the model again")
        fitting = [engine for engine in self._engines if engine.covers(size)]
        # An engine for this size alone is faster than one for many.
        return min(fitting, key=lambda e: Profile.static(size) not in e.profiles, default=None)

    def _load(self, profile: Profile) -> LoadedEngine:
        """Return the engine for a profile, loading it from the cache or building it first."""
        with self._loading:
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
            )
            self._engines.append(engine)
            return engine


def _folded(data: Array, array: DeviceArray | None, shape: tuple[int, ...]) -> DeviceArray:
    """Return an array `[B, T, ...]` or `[T, ...]` as `[B*T, ...]`, as the graphs take it: the same memory."""
    if array is None:
        raise InputError(
            f"got {type(data).__name__} in host memory, expected a numpy array or an array on the GPU"
        )
    if len(array.shape) == len(shape) + 1:
        return array.reshape((array.shape[0] * array.shape[1], *array.shape[2:]))
    return array


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
