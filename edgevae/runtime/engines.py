"""Engines for a bundle on this device: taken from the cache, or built, checked and then cached."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace

from edgevae.bundle import Bundle
from edgevae.cuda.driver import Driver
from edgevae.cuda.opening import open_driver
from edgevae.cuda.probe import gpus
from edgevae.engine.build import BuildOptions, build_plan
from edgevae.engine.cache import Built, CachedEngine, EngineCache, EngineKey
from edgevae.engine.flavour import Flavour
from edgevae.engine.inspection import LEAST_HALF, inspect_engine, require_half
from edgevae.engine.profile import Profile
from edgevae.engine.progress import Progress
from edgevae.engine.timing_cache import read_timing_cache, write_timing_cache
from edgevae.runtime.loaded_engine import LoadedEngine
from edgevae.runtime.parity import check_engine, references
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.spec import GraphSpec, Precision, Role

_logger = logging.getLogger("edgevae")


def prepare(
    bundle: Bundle,
    role: Role,
    *,
    precision: Precision,
    flavour: Flavour,
    device: int,
    options: BuildOptions,
    allow_build: bool = True,
    force: bool = False,
    progress: Progress | None = None,
) -> CachedEngine:
    """Return the engine of one graph with exactly these profiles and options, building it where it is not cached.

    Args:
        bundle: The model.
        role: Which of its graphs.
        precision: Which variant.
        flavour: The TensorRT to build with.
        device: Index of the GPU.
        options: Profiles and what to ask of the builder.
        allow_build: Without it an engine that is missing or stale is an error.
        force: Build even where the cache has the engine.
        progress: Told of the build's phases.

    Raises:
        UnavailableError: no driver, or no CUDA layer for Python.
        IncompatibleError: TensorRT refuses the graph; or the engine is missing or stale and may not be built.
        ParityError: the engine does not reproduce its reference, or does not run in half where it should.
    """
    graph, compatible = bundle.graph(role, precision), options.version_compatible
    run = TensorRtOptions(allow_build=allow_build, progress=progress, version_compatible=compatible)
    with contextlib.closing(open_driver(device)) as driver:
        return _prepare(
            bundle, graph, flavour=flavour, driver=driver, build=options, run=run, force=force
        )


def load_engine(
    bundle: Bundle,
    role: Role,
    *,
    precision: Precision,
    flavour: Flavour,
    driver: Driver,
    profile: Profile,
    options: TensorRtOptions,
    exact: bool = False,
) -> LoadedEngine:
    """Return an engine that takes a profile's sizes, on the device.

    Args:
        bundle: The model.
        role: Which of its graphs.
        precision: Which variant.
        flavour: The TensorRT to run it with.
        driver: The device.
        profile: The sizes.
        options: How to build and run it.
        exact: Take an engine of this very profile only; else any cached one for its best size, a static one first.

    Raises:
        EdgeVaeError: as `prepare`.
    """
    graph = bundle.graph(role, precision)
    build = BuildOptions(
        profiles=(profile,),
        workspace_mib=options.workspace_mib,
        level=options.level,
        version_compatible=options.version_compatible,
        hardware_compatible=options.hardware_compatible,
    )
    key = engine_key(bundle, graph, flavour=flavour, device=driver.device, options=build)
    cached = EngineCache().best(key, profile.opt, exact=exact)
    if cached is None:
        cached = _prepare(bundle, graph, flavour=flavour, driver=driver, build=build, run=options)
    return _load(cached.plan, graph, cached.record.key.options, flavour, driver, options)


def engine_key(
    bundle: Bundle, graph: GraphSpec, *, flavour: Flavour, device: int, options: BuildOptions
) -> EngineKey:
    """Return all that an engine of a graph depends on, on this device."""
    gpu = gpus()[device]
    return EngineKey(
        model=bundle.manifest.name,
        role=graph.role,
        precision=graph.precision,
        graph_sha256=bundle.manifest.files[graph.file].sha256,
        tensorrt=flavour.name,
        tensorrt_version=flavour.version,
        gpu=gpu.name,
        compute_capability=".".join(map(str, gpu.compute_capability)),
        multiprocessors=gpu.multiprocessors,
        cuda=".".join(map(str, gpu.cuda_version)),
        driver=gpu.driver.split(".")[0],
        options=options,
    )


def _prepare(
    bundle: Bundle,
    graph: GraphSpec,
    *,
    flavour: Flavour,
    driver: Driver,
    build: BuildOptions,
    run: TensorRtOptions,
    force: bool = False,
) -> CachedEngine:
    cache = EngineCache()
    key = engine_key(bundle, graph, flavour=flavour, device=driver.device, options=build)

    def make() -> Built:
        sizes = ", ".join(map(str, build.profiles))
        _logger.warning(
            "%s %s %s: building a %s engine for %s on %s, once; this can take minutes",
            bundle.manifest.name,
            graph.precision,
            graph.role,
            flavour.name,
            sizes,
            key.gpu,
        )
        return _build(bundle, graph, cache, key, flavour=flavour, driver=driver, run=run)

    return cache.find_or_build(key, make, allow_build=run.allow_build, force=force)


def _build(
    bundle: Bundle,
    graph: GraphSpec,
    cache: EngineCache,
    key: EngineKey,
    *,
    flavour: Flavour,
    driver: Driver,
    run: TensorRtOptions,
) -> Built:
    """Return a new engine, inspected and checked on the device."""
    # Before the build, so that a reference that cannot be had is not told after minutes.
    expected = references(bundle, graph, key.options.profiles)
    with driver.activate():
        plan = build_plan(
            bundle.read(graph.file),
            graph,
            flavour=flavour,
            options=key.options,
            for_this_gpu=flavour.has_target(key.compute_capability),
            timing_cache=None if flavour.is_rtx else read_timing_cache(cache.folder, key),
            progress=run.progress,
        )
    if plan.timing_cache is not None:
        write_timing_cache(cache.folder, key, plan.timing_cache)
    # One context, plain enqueues: the check needs no more.
    check = replace(run, sizes=(), contexts=1, cuda_graph=False, zero_copy=False)
    engine = _load(plan.data, graph, key.options, flavour, driver, check)
    try:
        with driver.activate():
            layers = inspect_engine(engine.engine, flavour)
        if graph.precision == "fp16":
            what, least = f"{graph.file}: {flavour}: the engine", LEAST_HALF * plan.half_share
            require_half(layers, what=what, is_built=True, least=least)
        parity = check_engine(engine, expected)
    finally:
        engine.close()
    return Built(plan=plan.data, layers=layers, parity=parity, seconds=plan.seconds)


def _load(
    plan: bytes,
    graph: GraphSpec,
    build: BuildOptions,
    flavour: Flavour,
    driver: Driver,
    options: TensorRtOptions,
) -> LoadedEngine:
    return LoadedEngine(
        plan,
        graph,
        profiles=build.profiles,
        flavour=flavour,
        driver=driver,
        options=replace(options, version_compatible=build.version_compatible),
    )
