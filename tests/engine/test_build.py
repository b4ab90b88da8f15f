"""Plans from NVIDIA's own builder, TensorRT for RTX, which needs no GPU; some ten seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgevae
from edgevae.bundle import Bundle
from edgevae.engine.build import BuildOptions, _configure, build_plan
from edgevae.engine.flavour import Flavour, Log
from edgevae.engine.profile import PRESETS, Profile, Size, parse_size
from edgevae.errors import (
    IncompatibleError,
    InputError,
    OutOfMemoryError,
    ParityError,
    UnavailableError,
)

MODELS = sorted(Path(edgevae.__file__).parent.glob("models/*/bundle"))
ASSETS = sorted((Path(__file__).parent.parent / "assets").glob("*.bundle"))
HALVES = ("encoder.fp16.onnx", "decoder.fp16.onnx")
GRAPHS = [
    (path, graph.file) for path in [*MODELS, *ASSETS] for graph in Bundle.open(path).manifest.graphs
]
SIZED = [(path, file) for path, file in GRAPHS if path in MODELS and file in HALVES]
A_VAE = next(path for path, file in SIZED if file == HALVES[0])
DYNAMIC = Profile(
    min=Size(height=64, width=64),
    opt=Size(height=360, width=640),
    max=Size(batch=2, height=1080, width=1920),
)


def options_of(*sizes: str, **settings) -> BuildOptions:
    """Return the options of static profiles."""
    return BuildOptions(profiles=tuple(Profile.static(parse_size(s)) for s in sizes), **settings)


def graph_of(path: Path, file: str):
    bundle = Bundle.open(path)
    return bundle.read(file), next(g for g in bundle.manifest.graphs if g.file == file)


@pytest.fixture
def decoder(tiny_bundle):
    return graph_of(tiny_bundle, "decoder.fp16.onnx")


def name_of(value: object) -> str:
    return f"{value.parent.name}-{value.name}" if isinstance(value, Path) else str(value)


@pytest.mark.parametrize(("path", "file"), GRAPHS, ids=name_of)
def test_every_graph_becomes_a_static_engine_in_the_arithmetic_of_its_name(rtx, path, file):
    model, graph = graph_of(path, file)
    plan = build_plan(model, graph, flavour=rtx, options=options_of("360p"))
    assert len(plan.data) > 10_000
    assert plan.timing_cache is None
    assert plan.seconds > 0
    if graph.precision == "fp16":
        assert plan.layers.half_share > 0.7
    else:
        assert plan.layers.fp16 == 0
        assert plan.layers.fp32 >= 2  # its convolutions; a fusion of senses has two


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("path", "file"), SIZED, ids=name_of)
def test_the_shipped_graphs_build_at_every_preset(rtx, path, file, preset):
    bundle = Bundle.open(path)
    size = parse_size(preset).in_cells(bundle.manifest.spec.spatial_factor)
    options = BuildOptions(profiles=(Profile.static(size),))
    assert build_plan(*graph_of(path, file), flavour=rtx, options=options).data


@pytest.mark.parametrize("file", ["encoder.fp16.onnx", "decoder.fp16.onnx", "decoder.fp32.onnx"])
def test_a_graph_builds_for_a_range_of_sizes(rtx, file):
    options = BuildOptions(profiles=(DYNAMIC,))
    assert build_plan(*graph_of(A_VAE, file), flavour=rtx, options=options).data


@pytest.mark.parametrize("file", ["encoder.fp16.onnx", "decoder.fp16.onnx"])
def test_one_engine_takes_several_profiles(rtx, file):
    sizes = [Profile.static(parse_size(p).in_cells(8)) for p in PRESETS]
    options = BuildOptions(profiles=(*sizes, DYNAMIC))
    one = build_plan(*graph_of(A_VAE, file), flavour=rtx, options=options_of("360p"))
    several = build_plan(*graph_of(A_VAE, file), flavour=rtx, options=options)
    assert len(several.data) > len(one.data)


def test_settings_that_rtx_has_are_taken(rtx, decoder):
    options = options_of("2x64x64", workspace_mib=256, level=0)
    assert build_plan(*decoder, flavour=rtx, options=options).data


@pytest.mark.parametrize(
    ("settings", "cache", "name"),
    [
        ({"version_compatible": True}, None, "version-compatible engines"),
        ({"hardware_compatible": True}, None, "the hardware-compatibility option"),
        ({}, b"measured", "a timing cache"),
    ],
)
def test_what_rtx_lacks_is_refused(rtx, decoder, settings, cache, name):
    with pytest.raises(InputError, match=rf"tensorrt_rtx .* has not: {name}.*; leave it away"):
        build_plan(
            *decoder, flavour=rtx, options=options_of("64x64", **settings), timing_cache=cache
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": 6}, "level: got 6, expected 0 to 5"),
        ({"workspace_mib": 0}, "workspace: got 0 MiB, expected at least 1"),
    ],
)
def test_settings_that_nobody_has_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        options_of("64x64", **settings)
    with pytest.raises(InputError, match="profiles: got none"):
        BuildOptions(profiles=())


def test_a_graph_that_is_none_is_refused_with_tensorrts_reason(rtx, decoder):
    with pytest.raises(
        IncompatibleError,
        match=r"^decoder.fp16.onnx: tensorrt_rtx \S+ cannot parse it: .+; report this graph$",
    ):
        build_plan(b"no graph", decoder[1], flavour=rtx, options=options_of("64x64"))


def test_a_graph_that_the_builder_refuses_is_named_with_its_reason(rtx, decoder):
    """A graph that needs a size which its input cannot have."""
    onnx = pytest.importorskip("onnx")
    helper, half = onnx.helper, onnx.TensorProto.FLOAT16
    nodes = [
        helper.make_node("Reshape", ["latents", "to"], ["a"]),
        helper.make_node("MatMul", ["a", "a"], ["frames"]),
    ]
    to = onnx.numpy_helper.from_array(np.array([7, -1]), "to")
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("latents", half, ["b", "c", "h", "w"])],
            [helper.make_tensor_value_info("frames", half, None)],
            [to],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
    )
    graph = replace(decoder[1], inputs=(replace(decoder[1].inputs[0], shape=(1, 4, 8, 9)),))
    with pytest.raises(IncompatibleError, match=r"cannot (parse|build) it.*report this graph"):
        build_plan(model.SerializeToString(), graph, flavour=rtx, options=options_of("64x64"))


def test_a_workspace_that_is_too_small_says_so(rtx):
    model, graph = graph_of(A_VAE, "decoder.fp16.onnx")
    options = options_of("1088x1920", workspace_mib=1)
    with pytest.raises(
        IncompatibleError, match=r"workspace limit.*give more than 1 MiB of workspace, or report"
    ):
        build_plan(model, graph, flavour=rtx, options=options)


def test_inputs_that_the_manifest_does_not_describe_are_refused(rtx, decoder):
    model, graph = decoder
    with pytest.raises(
        IncompatibleError, match=r"the graph's inputs are latents, .*, the manifest says latents;"
    ):
        build_plan(
            model,
            replace(graph, inputs=graph.inputs[:1]),
            flavour=rtx,
            options=options_of("64x64"),
        )


def test_an_fp32_graph_under_the_name_of_fp16_is_refused_before_the_build(rtx, tiny_bundle):
    model, graph = graph_of(tiny_bundle, "decoder.fp32.onnx")
    seen: list[str] = []
    with pytest.raises(ParityError, match=r"the parsed network: fp16 was asked for and 0 of \d+"):
        build_plan(
            model,
            replace(graph, precision="fp16"),
            flavour=rtx,
            options=options_of("64x64"),
            progress=lambda phase, done, total: seen.append(phase),
        )
    assert not seen


class NoEngine:
    """A builder's module that fails as on a full GPU; everything else is TensorRT's own."""

    def __init__(self, trt):
        self._trt = trt

    def __getattr__(self, name):
        return getattr(self._trt, name)

    def Builder(self, logger):
        real = self._trt.Builder(logger)

        class Full:
            def __getattr__(self, name):
                return getattr(real, name)

            def build_serialized_network(self, network, config):
                logger.log(
                    logger.ERROR, "Error Code 2: OutOfMemory (Requested size was 4294967296 bytes.)"
                )
                logger.log(logger.ERROR, "Error Code 10: no implementation for node")

        return Full()


def test_memory_that_runs_out_is_an_error_of_its_own(rtx, decoder):
    flavour = Flavour("tensorrt_rtx", rtx.version, NoEngine(rtx.module))
    with pytest.raises(
        OutOfMemoryError, match=r"not enough device memory to build it for 1x64x64 .*OutOfMemory"
    ):
        build_plan(*decoder, flavour=flavour, options=options_of("64x64"))


def test_full_tensorrt_is_not_touched_without_a_driver(rtx, decoder, monkeypatch):
    """Its builder's constructor would be a TypeError that says nothing."""

    def none():
        raise UnavailableError("no NVIDIA driver")

    probe = pytest.importorskip("edgevae.cuda.probe")
    monkeypatch.setattr(probe, "gpus", none)
    with pytest.raises(UnavailableError, match="no NVIDIA driver"):
        build_plan(
            *decoder, flavour=Flavour("tensorrt", "10.3.0", object()), options=options_of("64x64")
        )


@pytest.mark.filterwarnings("ignore:.*Timing cache:DeprecationWarning")
def test_the_timing_cache_of_full_tensorrt_goes_in_and_out(rtx, decoder, monkeypatch):
    """With the bindings of RTX in its place, whose timing cache is there and empty."""
    probe = pytest.importorskip("edgevae.cuda.probe")
    monkeypatch.setattr(probe, "gpus", tuple)
    flavour = Flavour("tensorrt", rtx.version, rtx.module)
    options = options_of("64x64", hardware_compatible=True)
    first = build_plan(*decoder, flavour=flavour, options=options)
    assert first.timing_cache
    again = build_plan(*decoder, flavour=flavour, options=options, timing_cache=first.timing_cache)
    assert again.timing_cache == first.timing_cache
    assert build_plan(*decoder, flavour=flavour, options=options, timing_cache=b"damaged").data


def test_rtx_builds_for_the_gpu_that_is_here_only_where_that_was_asked_for(rtx):
    builder = rtx.module.Builder(Log(rtx).logger)
    options = options_of("64x64")
    for_all = _configure(builder, rtx, options, for_this_gpu=False)
    assert (
        for_all.num_compute_capabilities == builder.create_builder_config().num_compute_capabilities
    )
    for_one = _configure(builder, rtx, options, for_this_gpu=True)
    assert for_one.num_compute_capabilities == 1
    assert for_one.get_compute_capability(0) == rtx.module.ComputeCapability.CURRENT
