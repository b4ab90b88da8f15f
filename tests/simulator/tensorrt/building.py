"""The simulated builder: parses with onnx, and packs the graph with its profiles as a plan."""

from __future__ import annotations

import enum
import json
import os
import time
from types import SimpleNamespace

import onnx
from onnx import helper, shape_inference

from tensorrt.logger import ILogger, register
from tensorrt.types import DataType

_MAGIC = b"simulated plan\n"


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class BuilderFlag(enum.Enum):
    TF32 = 0
    VERSION_COMPATIBLE = 1


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class ProfilingVerbosity(enum.Enum):
    LAYER_NAMES_ONLY = 0
    DETAILED = 2


class HardwareCompatibilityLevel(enum.Enum):
    NONE = 0
    AMPERE_PLUS = 1


class IProgressMonitor:
    def __init__(self) -> None:
        pass


def pack(model: bytes, profiles: list[dict[str, list[list[int]]]]) -> bytes:
    """Return a plan: the graph and, for each profile, min, opt and max shape of every input."""
    head = json.dumps(profiles).encode()
    return _MAGIC + len(head).to_bytes(4, "little") + head + model


def unpack(data: bytes) -> tuple[bytes, list[dict[str, list[list[int]]]]] | None:
    """Return what `pack` was given, or None where the bytes are no plan."""
    if not data.startswith(_MAGIC):
        return None
    start = len(_MAGIC) + 4
    end = start + int.from_bytes(data[start - 4 : start], "little")
    return data[end:], json.loads(data[start:end])


def layers_of(model: bytes) -> list[SimpleNamespace]:
    """Return a graph's layers with the types of their outputs."""
    graph = shape_inference.infer_shapes(onnx.load_from_string(model)).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}
    kinds = {
        "Cast": "CAST",
        "Constant": "CONSTANT",
        "Conv": "CONVOLUTION",
        "MatMul": "MATRIX_MULTIPLY",
    }
    return [
        SimpleNamespace(
            name=node.name,
            type=SimpleNamespace(name=kinds.get(node.op_type, "ELEMENTWISE")),
            outputs=[
                SimpleNamespace(dtype=DataType(str(helper.tensor_dtype_to_np_dtype(types[name]))))
                for name in node.output
                if name in types
            ],
        )
        for node in graph.node
    ]


class INetworkDefinition:
    def __init__(self) -> None:
        self.model = b""
        self._inputs: list[SimpleNamespace] = []
        self._layers: list[SimpleNamespace] = []

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    def get_input(self, index: int) -> SimpleNamespace:
        return self._inputs[index]

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    def get_layer(self, index: int) -> SimpleNamespace:
        layer = self._layers[index]
        return SimpleNamespace(
            name=layer.name,
            type=layer.type,
            num_outputs=len(layer.outputs),
            get_output=layer.outputs.__getitem__,
        )

    def take(self, model: bytes) -> None:
        """Become the network of a graph."""
        graph = onnx.load_from_string(model).graph
        self.model, self._layers = model, layers_of(model)
        for value in graph.input:
            dims = [d.dim_value or -1 for d in value.type.tensor_type.shape.dim]
            self._inputs.append(SimpleNamespace(name=value.name, shape=tuple(dims)))


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: object) -> None:
        self._network, self._errors = network, list[str]()

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(desc=lambda: self._errors[index])

    def parse(self, model: bytes) -> bool:
        try:
            self._network.take(bytes(model))
        except Exception as error:  # noqa: BLE001  # whatever onnx says of it
            self._errors.append(f"simulated: {error}")
            return False
        return True


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[list[int]]] = {}

    def set_shape(
        self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]
    ) -> None:
        self.shapes[input] = [list(min), list(opt), list(max)]


class IBuilderConfig:
    def __init__(self) -> None:
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.builder_optimization_level = 3
        self.hardware_compatibility_level = HardwareCompatibilityLevel.NONE
        self.progress_monitor: IProgressMonitor | None = None
        self.profiles: list[IOptimizationProfile] = []

    def set_flag(self, flag: BuilderFlag) -> None:
        assert isinstance(flag, BuilderFlag)

    def clear_flag(self, flag: BuilderFlag) -> None:
        assert isinstance(flag, BuilderFlag)

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        assert isinstance(pool, MemoryPoolType)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> SimpleNamespace | None:
        return SimpleNamespace(serialize=lambda: b"simulated timing cache")

    def set_timing_cache(self, cache: object, ignore_mismatch: bool) -> bool:
        return True


class Builder:
    def __init__(self, logger: ILogger) -> None:
        import simulator

        if not simulator.has_context():
            raise TypeError("pybind11::init(): factory function returned nullptr")
        register(self, logger)

    def create_network(self, flags: int) -> INetworkDefinition:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> bytes | None:
        monitor, steps = config.progress_monitor, 5
        if monitor is not None:
            monitor.phase_start("simulated build", None, steps)
        for step in range(steps):
            time.sleep(float(os.environ.get("EDGEVAE_SIMULATED_BUILD_S", "0")) / steps)
            if monitor is not None and not monitor.step_complete("simulated build", step):
                return None
        if monitor is not None:
            monitor.phase_finish("simulated build")
        profiles = [profile.shapes for profile in config.profiles]
        if not profiles:
            inputs = [network.get_input(i) for i in range(network.num_inputs)]
            profiles = [{i.name: [list(i.shape)] * 3 for i in inputs}]
        return pack(network.model, profiles)
