"""NVIDIA's own verdict on a graph: TensorRT-RTX parses it and builds a strongly typed engine, which needs no GPU.

The engine is thrown away; engines are built where they run (`edgevae build`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
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


def check_build(model: bytes, graph: GraphSpec, *, cell_px: int = 8) -> BuildResult:
    """Return what TensorRT-RTX makes of a graph; `built=False` and `not installed` where it is not installed.

    Args:
        model: The ONNX file.
        graph: Its description.
        cell_px: Pixels per latent cell, which frames are a multiple of.

    Raises:
        ParityError: the parser or the builder refuses the graph, or its layers are not in half where they should be.
        UnavailableError: the builder is installed and cannot be loaded.
    """
    if not is_installed():
        return BuildResult(tensorrt="not installed", built=False, seconds=0.0, engine_bytes=0)
    flavour = open_flavour(BUILDER)
    try:
        options = BuildOptions(profiles=(_in_cells(PROFILE, cell_px=cell_px),))
        plan = build_plan(model, graph, flavour=flavour, options=options)
    except IncompatibleError as error:
        # On a device the bundle does not fit the TensorRT there. Here the export has failed one of its checks.
        raise ParityError(str(error)) from error
    return BuildResult(
        tensorrt=str(flavour), built=True, seconds=plan.seconds, engine_bytes=len(plan.data)
    )


def check_builds(
    files: Mapping[str, bytes], graphs: Sequence[GraphSpec], *, cell_px: int
) -> dict[str, str]:
    """Return what TensorRT-RTX made of each graph, in words.

    Raises:
        ParityError: as `check_build`.
    """
    said = dict[str, str]()
    for graph in graphs:
        built = check_build(files[graph.file], graph, cell_px=cell_px)
        said[graph.file] = (
            f"{built.tensorrt}, engine of {built.engine_bytes} bytes"
            if built.built
            else built.tensorrt
        )
    return said


def _in_cells(profile: Profile, *, cell_px: int) -> Profile:
    least, best, most = (s.in_cells(cell_px) for s in (profile.min, profile.opt, profile.max))
    return Profile(min=least, opt=best, max=most)
