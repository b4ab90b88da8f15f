"""NVIDIA's own verdict on a graph: TensorRT-RTX parses it and builds a strongly typed engine, which needs no GPU.

The engine is thrown away; engines are built where they run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from edgevae.errors import ParityError
from edgevae.spec import GraphSpec

PROFILE_PX = {
    "min": {"batch": 1, "height": 64, "width": 64},
    "opt": {"batch": 1, "height": 360, "width": 640},
    "max": {"batch": 2, "height": 1080, "width": 1920},
}
"""The optimization profile of the check."""


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """What the builder said."""

    tensorrt: str
    """`tensorrt_rtx` and its version, or `not installed`."""
    built: bool
    """Whether an engine was built."""
    seconds: float
    """How long that took."""
    engine_bytes: int
    """Its size."""


def is_installed() -> bool:
    """Return whether the builder is here."""
    try:
        import tensorrt_rtx  # noqa: F401  # asked for its presence only
    except ImportError:
        return False
    return True


def check_build(model: bytes, graph: GraphSpec) -> BuildResult:
    """Return what TensorRT-RTX makes of a graph; `built=False` and `not installed` where it is not installed.

    Raises:
        ParityError: the parser or the builder refuses the graph.
    """
    if not is_installed():
        return BuildResult(tensorrt="not installed", built=False, seconds=0.0, engine_bytes=0)
    import tensorrt_rtx as trt

    log = _Log(trt)
    builder = trt.Builder(log.logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log.logger)
    started = time.perf_counter()
    if not parser.parse(model):
        errors = "; ".join(str(parser.get_error(i).desc()) for i in range(parser.num_errors))
        raise ParityError(
            f"{graph.file}: TensorRT-RTX {trt.__version__} cannot parse it: {errors}; report this graph"
        )
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for spec in graph.inputs:
        shapes = [spec.resolve(PROFILE_PX[kind]) for kind in ("min", "opt", "max")]
        profile.set_shape(spec.name, *shapes)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ParityError(
            f"{graph.file}: TensorRT-RTX {trt.__version__} cannot build it: {log.last}; report this graph"
        )
    return BuildResult(
        tensorrt=f"tensorrt_rtx {trt.__version__}",
        built=True,
        seconds=round(time.perf_counter() - started, 2),
        engine_bytes=plan.nbytes,
    )


class _Log:
    """The last error that TensorRT logged; its `logger` prints nothing."""

    def __init__(self, trt: Any) -> None:  # Any: the module, whose bindings have no usable stubs
        self.last = "no reason given"
        log, errors = self, (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR)

        def note(_: object, severity: object, message: str) -> None:
            if severity in errors:
                log.last = message.strip().replace("\n", " ")

        def start(logger: object) -> None:
            trt.ILogger.__init__(logger)

        # The base class is known only once TensorRT is imported, which this module must not do by itself.
        self.logger = type("Logger", (trt.ILogger,), {"log": note, "__init__": start})()
