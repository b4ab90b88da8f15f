"""ONNX Runtime on a GPU: its CUDA or TensorRT provider, with the state in two sets of values on the device.

    call 0   reads A, writes B          Data is bound where it is: numpy arrays as host memory, which ONNX Runtime
    call 1   reads B, writes A          copies in and out through memory that it keeps, arrays on the GPU by address.
    call 2   reads A, writes B          The state is bound as values on the device and never leaves it.

The same code runs on the CPU provider with `device=None`, which is how it is tested where there is no GPU.
"""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Any

import numpy as np

from edgevae.engine.profile import Size
from edgevae.errors import InputError
from edgevae.runtime import providers
from edgevae.runtime.bound_array import Bound, GpuArrays, bind_numpy
from edgevae.runtime.caches import Caches, DeviceState
from edgevae.runtime.onnxruntime import CPU, import_onnxruntime
from edgevae.runtime.provider_session import open_on_provider, run_error
from edgevae.runtime.session import Array, SessionState
from edgevae.spec import GraphSpec, TensorSpec, next_name


class ValueCaches(Caches):
    """The caches of one stream as values of ONNX Runtime's, which frees them with the last one who holds the state."""

    sets: tuple[list[Any], list[Any]] | None = None  # Any: onnxruntime.OrtValue
    """Set A and set B, in the order of the graph's state; allocated by the first call."""


class OnnxRuntimeCudaSession:
    """A graph in one of ONNX Runtime's GPU providers. Safe to run from several threads, each with streams of its own.

    A call returns when its work is done. Nothing is allocated per call but the output that it returns.

    Args:
        model: The ONNX file, its digest already checked.
        graph: Its description; the file must agree.
        provider: ONNX Runtime's name of the provider that must run it.
        device: Index of the GPU; None is the CPU provider.
        threads: CPU threads for what the provider leaves to the CPU.

    Raises:
        UnavailableError: onnxruntime-gpu is not installed, or the provider does not come up or leaves a convolution to
            the CPU.
        IncompatibleError: ONNX Runtime cannot load the graph, or its tensors are not those of the description.
    """

    def __init__(
        self,
        model: bytes,
        graph: GraphSpec,
        *,
        provider: str = providers.CUDA,
        device: int | None = 0,
        threads: int | None = None,
    ) -> None:
        self._ort = import_onnxruntime("gpu")
        self._session: Any = open_on_provider(  # Any: onnxruntime has no stubs
            self._ort, model, graph, provider=provider, device=device, threads=threads
        )
        self.graph = graph
        # What runs and where is what the session says, not what was asked for.
        self._provider: str = self._session.get_providers()[0]
        own = self._session.get_provider_options().get(self._provider, {})
        # A provider that is a plugin lists no options; it was opened with the index all the same.
        index = int(own.get("device_id", device or 0))
        self._place = ("cpu", 0) if self._provider == CPU else ("cuda", index)
        self._bindings: deque[Any] = deque()  # Any: onnxruntime.IOBinding
        self._gpu_arrays = None if self._provider == CPU else GpuArrays(self._place[1])

    @property
    def backend(self) -> str:
        """`onnxruntime` or `onnxruntime_tensorrt`."""
        names = {provider: name for name, provider in providers.PROVIDERS.items()}
        return names.get(self._provider, "onnxruntime")

    @property
    def device(self) -> str:
        """The GPU, such as `cuda:0`."""
        kind, index = self._place
        return kind if kind == "cpu" else f"{kind}:{index}"

    def initial_state(self, *, batch: int, height_px: int, width_px: int) -> DeviceState:
        """Return the state at the first chunk; its memory is taken, zeroed, by the first call."""
        size = Size(batch=batch, height=height_px, width=width_px)
        return DeviceState(ValueCaches(self, size), turn=0)

    def is_ready(self, *, batch: int, height_px: int, width_px: int) -> bool:
        """Return True: one graph takes every size; TensorRT's provider builds for a new one at its first call."""
        return True

    def run(
        self,
        data: Array,
        state: SessionState,
        *,
        out: Array | None = None,
        stream: object = None,
    ) -> tuple[Array, DeviceState]:
        """Return the data output and the next state; see `Session.run`.

        Without `out` the output is where the data was. ONNX Runtime has a CUDA stream of its own: work on the caller's
        is waited for, and the output is whole when the call returns.

        Raises:
            InputError: the data or `out` is not of the stream's shape and dtype, or the state was used before.
            UnavailableError: an array on the GPU was given, and no CUDA layer for Python is installed.
            OutOfMemoryError: the device has not enough memory; session and state stay usable.
        """
        session = self._session
        if session is None:
            raise InputError(f"{self.graph.file}: the session is closed; load the model again")
        caches, turn = self._own(state)
        sizes = caches.size.sizes()
        source = self._bind(data, self.graph.data, sizes, stream=stream, writable=False)
        result, target = self._target(out, sizes, like=source, stream=stream)
        caches.take(turn)
        try:
            self._execute(session, source, target, caches, turn)
        except BaseException:
            caches.give_back(turn)  # the set that it read is as it was
            raise
        return result, DeviceState(caches, turn + 1)

    def close(self) -> None:
        """Free the graph; states are freed with those who hold them."""
        self._session = None
        self._bindings.clear()
        if self._gpu_arrays is not None:
            self._gpu_arrays.close()

    def __enter__(self) -> OnnxRuntimeCudaSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _own(self, state: SessionState) -> tuple[ValueCaches, int]:
        if isinstance(state, DeviceState) and state.caches.owner is self:
            assert isinstance(state.caches, ValueCaches), "this session makes no others"
            return state.caches, state.turn
        raise InputError(
            f"{self.graph.file}: got the state of another model, precision or backend; start with `Vae.stream`"
        )

    def _bind(
        self,
        array: Array,
        spec: TensorSpec,
        sizes: dict[str, int],
        *,
        stream: object,
        writable: bool,
    ) -> Bound:
        shape = spec.resolve(sizes)
        if isinstance(array, np.ndarray):
            return bind_numpy(array, spec, shape, writable=writable)
        if self._gpu_arrays is None:
            raise InputError(f"{spec.name}: got {type(array).__name__}, expected a numpy array")
        return self._gpu_arrays.bind(array, spec, shape, stream=stream, writable=writable)

    def _target(
        self, out: Array | None, sizes: dict[str, int], *, like: Bound, stream: object
    ) -> tuple[Array, Bound]:
        """Return what the caller gets, and the same memory as it is bound."""
        spec = self.graph.outputs[0]
        if out is not None:
            return out, self._bind(out, spec, sizes, stream=stream, writable=True)
        shape, dtype = spec.resolve(sizes), np.dtype(spec.dtype)
        if isinstance(like.owner, np.ndarray) or self._gpu_arrays is None:
            array = np.empty(shape, dtype)
            return array, bind_numpy(array, spec, shape, writable=True)
        return self._gpu_arrays.wrap(self._value(shape, dtype), shape, dtype)

    def _value(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:  # Any: onnxruntime.OrtValue
        """Return new memory on the device, as it comes."""
        try:
            return self._ort.OrtValue.ortvalue_from_shape_and_type(shape, dtype.type, *self._place)
        except Exception as error:  # onnxruntime's exceptions share no base class but this
            raise run_error(error, self.graph.file, self.device) from error

    def _execute(
        self,
        session: Any,  # Any: onnxruntime.InferenceSession
        source: Bound,
        target: Bound,
        caches: ValueCaches,
        turn: int,
    ) -> None:
        sets = self._filled(caches)
        try:
            binding = self._bindings.popleft()
        except IndexError:
            binding = session.io_binding()
        try:
            binding.bind_input(self.graph.data.name, *source.arguments)
            binding.bind_output(self.graph.outputs[0].name, *target.arguments)
            for spec, past, following in zip(
                self.graph.state, sets[turn % 2], sets[1 - turn % 2], strict=True
            ):
                binding.bind_ortvalue_input(spec.name, past)
                binding.bind_ortvalue_output(next_name(spec.name), following)
            # Returns when the provider's stream is done, copies to the host among its work.
            session.run_with_iobinding(binding)
        except Exception as error:  # onnxruntime's exceptions share no base class but this
            raise run_error(error, self.graph.file, self.device) from error
        finally:
            # It would keep the caches of a stream that has ended.
            binding.clear_binding_inputs()
            binding.clear_binding_outputs()
            self._bindings.append(binding)

    def _filled(
        self, caches: ValueCaches
    ) -> tuple[list[Any], list[Any]]:  # Any: onnxruntime.OrtValue
        """Return the stream's caches; at its first call they are taken, and the set that is read is zero."""
        if caches.sets is None:
            shapes = [(s.resolve(caches.size.sizes()), np.dtype(s.dtype)) for s in self.graph.state]
            one, other = ([self._value(*shape) for shape in shapes] for _ in range(2))
            for value, (shape, dtype) in zip(one, shapes, strict=True):
                value.update_inplace(np.zeros(shape, dtype))
            caches.sets = (one, other)
        return caches.sets
