"""A simulation of the part of TensorRT's Python API that edgevae uses, for machines without a GPU.

An "engine" is the ONNX graph; a context runs it with ONNX Runtime, as a host function on the simulated driver's stream:
later than the call, from the memory that the addresses name at that moment. So a missing synchronisation, a stale
address, a state that is read after it was written over, or a context used by two streams at once gives wrong frames or
a counted violation here as it would there.

It checks our calls and their order. It says nothing about TensorRT's own behaviour, accuracy or speed; that the calls
exist in the real bindings is checked by tests/bindings.
"""

from __future__ import annotations

import enum
import json
import threading

import numpy as np

from tensorrt.building import (
    Builder,
    BuilderFlag,
    HardwareCompatibilityLevel,
    IProgressMonitor,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    OnnxParser,
    ProfilingVerbosity,
    layers_of,
    unpack,
)
from tensorrt.logger import ILogger, register, say, violations
from tensorrt.types import DataType

__all__ = [
    "Builder",
    "BuilderFlag",
    "DataType",
    "HardwareCompatibilityLevel",
    "ILogger",
    "IProgressMonitor",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "ProfilingVerbosity",
    "violations",
]

__version__ = "10.99.0"


class TensorIOMode(enum.Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        register(self, logger)
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, plan: bytes) -> ICudaEngine | None:
        unpacked = unpack(bytes(plan))
        if unpacked is None:
            say(ILogger.ERROR, "simulated: magic tag does not match")
            return None
        return ICudaEngine(*unpacked, runtime=self)


class ICudaEngine:
    def __init__(self, model: bytes, profiles: list, *, runtime: Runtime) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self.model, self.profiles, self._runtime = model, profiles, runtime
        self.inputs = {t.name: t for t in self.session.get_inputs()}
        self.outputs = {t.name: t for t in self.session.get_outputs()}
        self.num_io_tensors = len(self.inputs) + len(self.outputs)
        self.num_optimization_profiles = len(profiles)

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType(_dtype((self.inputs | self.outputs)[name].type).name)

    def create_execution_context(self) -> IExecutionContext:
        return IExecutionContext(self)

    def create_engine_inspector(self) -> EngineInspector:
        return EngineInspector(self)


class LayerInformationFormat(enum.Enum):
    ONELINE = 0
    JSON = 1


class EngineInspector:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine

    def get_engine_information(self, form: LayerInformationFormat) -> str:
        assert form is LayerInformationFormat.JSON
        words = {"HALF": "Half", "FLOAT": "Float", "UINT8": "UInt8"}
        layers = [
            {
                "Name": layer.name,
                "LayerType": layer.type.name.title(),
                "Outputs": [
                    {"Format/Datatype": words.get(o.dtype.name, "Int64")} for o in layer.outputs
                ],
            }
            for layer in layers_of(self._engine.model)
        ]
        return json.dumps({"Layers": layers})


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._profile = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._enqueued = False
        self._calling, self._running = threading.Lock(), threading.Lock()

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        if not 0 <= index < len(self._engine.profiles) or not stream:
            return False
        self._profile, self._shapes = index, {}
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self._engine.profiles[self._profile][name]
        if len(shape) != len(least) or not all(
            a <= n <= b for a, n, b in zip(least, shape, most, strict=True)
        ):
            say(ILogger.ERROR, f"simulated: {name} {shape} is outside of {least}..{most}")
            return False
        self._shapes[name] = tuple(shape)
        return True

    def infer_shapes(self) -> list[str]:
        return [name for name in self._engine.inputs if name not in self._shapes]

    def set_tensor_address(self, name: str, address: int) -> bool:
        if name not in self._engine.inputs and name not in self._engine.outputs:
            return False
        self._addresses[name] = int(address)
        return True

    def execute_async_v3(self, stream: int) -> bool:
        import simulator

        if not self._calling.acquire(blocking=False):
            violations.append("one execution context was called by two threads at once")
            return False
        try:
            missing = self.infer_shapes() or [
                n for n in (*self._engine.inputs, *self._engine.outputs) if n not in self._addresses
            ]
            if missing or not stream:
                say(ILogger.ERROR, f"simulated: {missing} or the stream is not set")
                return False
            if simulator.is_capturing(stream) and not self._enqueued:
                violations.append("captured before the first plain enqueue")
            self._enqueued = True
            shapes, addresses = dict(self._shapes), dict(self._addresses)
            simulator.enqueue_host(stream, lambda: self._run(shapes, addresses))
            return True
        finally:
            self._calling.release()

    def _run(self, shapes: dict[str, tuple[int, ...]], addresses: dict[str, int]) -> None:
        import simulator

        if not self._running.acquire(blocking=False):
            violations.append("one execution context ran on two streams at once")
            return
        try:
            feeds = {}
            for name, tensor in self._engine.inputs.items():
                dtype, shape = _dtype(tensor.type), shapes[name]
                nbytes = int(np.prod(shape)) * dtype.itemsize
                feeds[name] = simulator.view(addresses[name], nbytes).view(dtype).reshape(shape)
            # Not copied: an engine reads while it writes, so a set of caches that is both shows.
            names = list(self._engine.outputs)
            for name, value in zip(names, self._engine.session.run(names, feeds), strict=True):
                flat = np.ascontiguousarray(value).view(np.uint8).reshape(-1)
                np.copyto(simulator.view(addresses[name], flat.size), flat)
        except Exception as error:  # noqa: BLE001  # a callback of the driver has nowhere to raise to
            violations.append(f"{type(error).__name__}: {error}")
        finally:
            self._running.release()


def _dtype(name: str) -> np.dtype:
    return np.dtype(
        {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(float16)": "float16"}[name]
    )
