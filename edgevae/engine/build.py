"""One graph to a plan, the serialized TensorRT engine: parse, set sizes, build.

    ONNX bytes -> strongly typed network -> optimization profiles -> plan
                        |
                        +-- types counted, before minutes are spent on it

Only calls that TensorRT 10.3 to 11 and TensorRT for RTX share are made, so there is one path for all of them.
"""

from __future__ import annotations

import time
from dataclasses import MISSING, dataclass, fields
from typing import Any

from edgevae.engine.flavour import Flavour, Log, is_short_of_memory
from edgevae.engine.inspection import LayerTypes, half_share_of_all, inspect_network, require_half
from edgevae.engine.profile import Profile
from edgevae.engine.progress import BuildMonitor, Progress, interruptible
from edgevae.errors import IncompatibleError, InputError, OutOfMemoryError
from edgevae.spec import GraphSpec

__all__ = ["BuildOptions", "Plan", "Progress", "build_plan"]


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What an engine is built for, and how."""

    profiles: tuple[Profile, ...]
    """The frame sizes it takes, in whole latent cells. A single static one makes a static engine, the fastest."""
    workspace_mib: int | None = None
    """Most device memory that a layer may use beside its tensors; None leaves it to TensorRT."""
    level: int | None = None
    """TensorRT's builder optimization level, 0 (fast to build) to 5 (fast to run); None is TensorRT's default."""
    version_compatible: bool = False
    """Later versions of TensorRT can run the engine, somewhat slower."""
    hardware_compatible: bool = False
    """Every GPU from Ampere on can run the engine, somewhat slower."""

    def __post_init__(self) -> None:
        if not self.profiles:
            raise InputError("profiles: got none, expected at least one size to build for")
        if self.level is not None and not 0 <= self.level <= 5:
            raise InputError(f"level: got {self.level}, expected 0 to 5")
        if self.workspace_mib is not None and self.workspace_mib < 1:
            raise InputError(f"workspace: got {self.workspace_mib} MiB, expected at least 1")

    def __str__(self) -> str:
        return " + ".join(map(str, self.profiles))

    def keeps(self, wanted: BuildOptions) -> bool:
        """Return whether every setting, sizes aside, that other options ask for is the same here."""
        asked = {f.name: getattr(wanted, f.name) for f in fields(self) if f.default is not MISSING}
        asked = {name: value for name, value in asked.items() if value not in (None, False)}
        return all(getattr(self, name) == value for name, value in asked.items())


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A serialized engine, good for the GPU, driver and TensorRT that it was built with."""

    data: bytes
    """The plan itself."""
    layers: LayerTypes
    """Types of the network's layers, which strong typing makes the engine's."""
    seconds: float
    """How long parsing and building took."""
    timing_cache: bytes | None
    """What the builder measured, for the next build on the same GPU; None where the flavour has no timing cache."""
    half_share: float
    """How many of all layers of the network are in half, 0 to 1, small ones included."""


def build_plan(
    model: bytes,
    graph: GraphSpec,
    *,
    flavour: Flavour,
    options: BuildOptions,
    for_this_gpu: bool = False,
    timing_cache: bytes | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Return the engine of a graph, for the GPU that is current in this thread.

    Ctrl-C ends the build at TensorRT's next report, and `KeyboardInterrupt` leaves this function. It comes in the main
    thread only; from another thread raise an exception in `progress` instead, which ends the build in the same way.

    Args:
        model: The ONNX graph, whose digest was checked.
        graph: Its description.
        flavour: The TensorRT to build with.
        options: Sizes and settings.
        for_this_gpu: For RTX, which needs no GPU to build: build for the current one alone, not for all from Ampere on.
        timing_cache: What an earlier build on the same GPU and TensorRT measured.
        progress: Told how far the build is.

    Raises:
        UnavailableError: full TensorRT, and no NVIDIA driver or GPU.
        InputError: an option that TensorRT for RTX does not have.
        IncompatibleError: TensorRT cannot parse or build the graph.
        ParityError: the graph should be fp16, and too few of its layers are.
        OutOfMemoryError: the device has not enough memory to build it.
    """
    _refuse_what_cannot_be(flavour, options, timing_cache)
    monitor = BuildMonitor(flavour.module, progress)
    with interruptible(monitor.stop):
        return _build(model, graph, flavour, options, for_this_gpu, timing_cache, monitor)


def _build(
    model: bytes,
    graph: GraphSpec,
    flavour: Flavour,
    options: BuildOptions,
    for_this_gpu: bool,
    timing_cache: bytes | None,
    monitor: BuildMonitor,
) -> Plan:
    started, log, where = time.perf_counter(), Log(flavour), f"{graph.file}: {flavour}"
    builder = flavour.module.Builder(log.logger)
    # The parser owns the network's weights, so it has to live until the plan is there.
    network, parser = _parse(builder, model, flavour, log, where=where)
    layers, half_share = inspect_network(network), half_share_of_all(network)
    if graph.precision == "fp16":
        require_half(layers, what=f"{where}: the parsed network")
    config = _configure(builder, flavour, options, for_this_gpu=for_this_gpu)
    config.progress_monitor = monitor.monitor
    _set_sizes(builder, network, config, graph, options.profiles, where=where)
    cache = _timing_cache(config, flavour, timing_cache)
    log.clear()
    plan = builder.build_serialized_network(network, config)
    del parser
    monitor.raise_error()
    if plan is None:
        raise _failure(where, options, log)
    return Plan(
        data=bytes(plan),
        layers=layers,
        seconds=round(time.perf_counter() - started, 2),
        timing_cache=None if cache is None else bytes(cache.serialize()),
        half_share=half_share,
    )


def _parse(
    builder: Any, model: bytes, flavour: Flavour, log: Log, *, where: str
) -> tuple[Any, Any]:  # Any: bindings
    """Return a graph as a strongly typed network, and the parser that made it."""
    trt = flavour.module
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log.logger)
    if not parser.parse(model):
        reasons = [str(parser.get_error(i).desc()) for i in range(parser.num_errors)]
        why = " ".join("; ".join(reasons).split()) or log.last
        raise IncompatibleError(f"{where} cannot parse it: {why}; report this graph")
    return network, parser


def _configure(
    builder: Any, flavour: Flavour, options: BuildOptions, *, for_this_gpu: bool
) -> Any:  # Any: bindings
    """Return the builder's configuration, without sizes."""
    trt, config = flavour.module, builder.create_builder_config()
    # So that the inspector tells types.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # On by default, TF32 keeps 10 bits of a float32 that was asked for as float32.
    config.clear_flag(trt.BuilderFlag.TF32)
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if options.level is not None:
        config.builder_optimization_level = options.level
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if flavour.is_rtx:
        # An engine that allocates for itself while it runs cannot be captured as a CUDA graph (RTX 1.2 release notes).
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if flavour.is_rtx and for_this_gpu:
        # Otherwise for every GPU from Ampere on: not for Turing's, and for no GPU exactly.
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.CURRENT, 0)
    return config


def _set_sizes(
    builder: Any,  # Any: bindings, here and below
    network: Any,
    config: Any,
    graph: GraphSpec,
    profiles: tuple[Profile, ...],
    *,
    where: str,
) -> None:
    """Give the network's inputs their sizes: fixed where there is one static profile, else as optimization profiles."""
    inputs = {network.get_input(i).name: network.get_input(i) for i in range(network.num_inputs)}
    if set(inputs) != {spec.name for spec in graph.inputs}:
        raise IncompatibleError(
            f"{where}: the graph's inputs are {', '.join(inputs)}, the manifest says "
            f"{', '.join(spec.name for spec in graph.inputs)}; export the bundle again"
        )
    if len(profiles) == 1 and profiles[0].is_static:
        for spec in graph.inputs:
            inputs[spec.name].shape = spec.resolve(profiles[0].opt.sizes())
        return
    for sizes in profiles:
        profile = builder.create_optimization_profile()
        for spec in graph.inputs:
            shapes = [spec.resolve(size.sizes()) for size in (sizes.min, sizes.opt, sizes.max)]
            profile.set_shape(spec.name, *shapes)
        if config.add_optimization_profile(profile) < 0:
            raise IncompatibleError(f"{where} refuses the profile {sizes}; report this graph")


def _timing_cache(config: Any, flavour: Flavour, data: bytes | None) -> Any:  # Any: bindings
    """Give the builder what was measured before, and return what it adds to; None for RTX, which measures nothing."""
    if flavour.is_rtx:
        return None
    cache = config.create_timing_cache(data or b"")
    if cache is None or not config.set_timing_cache(cache, False):
        # Of another GPU or version: TensorRT says so, and starts an empty one.
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _failure(where: str, options: BuildOptions, log: Log) -> IncompatibleError | OutOfMemoryError:
    """Return why there is no engine."""
    short = [error for error in log.errors if is_short_of_memory(error)]
    if short:
        return OutOfMemoryError(
            f"{where} has not enough device memory to build it for {options} ({short[-1]}); end other programs on the "
            "GPU, build for smaller frames, or limit the workspace (--workspace-mib)"
        )
    what_to_do = "report this graph"
    if options.workspace_mib is not None:
        what_to_do = f"give more than {options.workspace_mib} MiB of workspace, or {what_to_do}"
    return IncompatibleError(f"{where} cannot build it for {options}: {log.last}; {what_to_do}")


def _refuse_what_cannot_be(
    flavour: Flavour, options: BuildOptions, timing_cache: bytes | None
) -> None:
    """Refuse what the flavour lacks: RTX some settings, full TensorRT a machine without a GPU."""
    if not flavour.is_rtx:
        from edgevae.cuda.probe import gpus

        gpus()  # without a driver the builder's constructor is a TypeError that says nothing
        return
    for asked, name in (
        (options.version_compatible, "version-compatible engines"),
        (
            options.hardware_compatible,
            "the hardware-compatibility option (its engines run on every RTX GPU anyway)",
        ),
        (timing_cache is not None, "a timing cache"),
    ):
        if asked:
            raise InputError(f"{flavour} has not: {name}; leave it away, or use full TensorRT")
