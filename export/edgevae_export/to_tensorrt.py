"""NVIDIA's own verdict on a graph: TensorRT-RTX parses it and builds a strongly typed engine, which needs no GPU.

The engine is thrown away; engines are built where they run (`edgevae build`).
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from edgevae.engine.build import BuildOptions, build_plan
from edgevae.engine.flavour import open_flavour
from edgevae.engine.profile import Profile, Size
from edgevae.errors import IncompatibleError, ParityError
from edgevae.spec import GraphSpec

BUILDER = "tensorrt_rtx"
"""The TensorRT whose builder needs no GPU."""

PROFILE = Profile(
    min=Size(height=64, width=64),
    opt=Size(height=360, width=640),
    max=Size(batch=2, height=1080, width=1920),
)
"""The sizes of the check; one engine for all of them asks the most of a graph."""


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
    return importlib.util.find_spec(BUILDER) is not None


def check_build(model: bytes, graph: GraphSpec) -> BuildResult:
    """Return what TensorRT-RTX makes of a graph; `built=False` and `not installed` where it is not installed.

    Raises:
        ParityError: the parser or the builder refuses the graph, or its layers are not in half where they should be.
        UnavailableError: the builder is installed and cannot be loaded.
    """
    if not is_installed():
        return BuildResult(tensorrt="not installed", built=False, seconds=0.0, engine_bytes=0)
    flavour = open_flavour(BUILDER)
    try:
        plan = build_plan(model, graph, flavour=flavour, options=BuildOptions(profiles=(PROFILE,)))
    except IncompatibleError as error:
        # On a device the bundle does not fit the TensorRT there. Here the export has failed one of its checks.
        raise ParityError(str(error)) from error
    return BuildResult(
        tensorrt=str(flavour), built=True, seconds=plan.seconds, engine_bytes=len(plan.data)
    )
