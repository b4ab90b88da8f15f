"""`edgevae build`: what it asks the builder for, what it prints, and how it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from edgevae.cli.build import command
from edgevae.engine.cache import Built, EngineCache, EngineKey
from edgevae.engine.flavour import Flavour
from edgevae.engine.inspection import LayerTypes
from edgevae.errors import IncompatibleError, InputError, UnavailableError


@pytest.fixture
def run(tiny_bundle):
    """A function that runs `edgevae build` on the tiny bundle and returns stdout, stderr and the error."""

    def invoke(*arguments: str, bundle: Path = tiny_bundle):
        result = CliRunner().invoke(command, [str(bundle), *arguments])
        return result.stdout, result.stderr, result.exception

    return invoke


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """A GPU and a TensorRT that are none: engines of four bytes are cached. Gives the keys that were asked for."""
    asked: list[tuple[EngineKey, int, bool]] = []

    def prepare(bundle, role, *, precision, flavour, device, options, force, progress):
        graph = bundle.graph(role, precision)
        key = EngineKey(
            model=bundle.manifest.name,
            role=role,
            precision=precision,
            graph_sha256=bundle.manifest.files[graph.file].sha256,
            tensorrt=flavour.name,
            tensorrt_version=flavour.version,
            gpu="Orin",
            compute_capability="8.7",
            multiprocessors=16,
            driver="540",
            cuda="12.6",
            options=options,
        )
        asked.append((key, device, force))
        progress("Timing tactics", 500, 1000)
        built = Built(
            plan=b"plan",
            layers=LayerTypes(fp16=40, fp32=4),
            seconds=12.5,
            parity={"golden_psnr_dB": 61.25},
        )
        return EngineCache(tmp_path).find_or_build(key, lambda: built, force=force)

    def open_flavour(name: str) -> Flavour:
        if name == "tensorrt_rtx":
            return Flavour(name, "1.7.1.116", object())
        raise UnavailableError(f"{name}: not installed")

    gpus = (SimpleNamespace(index=0, name="Orin"), SimpleNamespace(index=1, name="RTX 4090"))
    monkeypatch.setitem(sys.modules, "edgevae.runtime.engines", SimpleNamespace(prepare=prepare))
    monkeypatch.setitem(sys.modules, "edgevae.cuda.probe", SimpleNamespace(gpus=lambda: gpus))
    monkeypatch.setattr("edgevae.engine.flavour.open_flavour", open_flavour)
    return asked


def test_encoder_and_decoder_are_built_in_half_at_360p_by_default(gpu, run):
    out, err, error = run()
    assert error is None
    assert [(k.role, k.precision, str(k.options), d, f) for k, d, f in gpu] == [
        ("encoder", "fp16", "1x360x640", 0, False),
        ("decoder", "fp16", "1x360x640", 0, False),
    ]
    assert "encoder fp16 1x360x640: 40 of 44 layers in half, golden_psnr_dB 61.25, 4 bytes, " in out
    assert "built in 12.5 s\n" in out
    assert out.count("engine.plan\n") == 2
    assert "building with tensorrt_rtx 1.7.1.116 (tensorrt: not installed)" in err


def test_an_engine_from_the_cache_is_called_so(gpu, run, monkeypatch):
    monkeypatch.setattr(
        "edgevae.engine.cache.time",
        SimpleNamespace(strftime=lambda *_: "2026-01-01T00:00:00Z", gmtime=lambda: None),
    )
    assert "in the cache since 2026-01-01T00:00:00Z" in run()[0]


def test_sizes_make_an_engine_each_or_one_with_a_profile_each(gpu, run):
    run("--size", "360p", "--size", "2x64x96", "--size", "360p")
    assert [str(k.options) for k, _, _ in gpu[::2]] == ["1x360x640", "2x64x96"]
    gpu.clear()
    run("--size", "360p", "--size", "2x64x96", "--one-engine")
    assert [str(k.options) for k, _, _ in gpu[::2]] == ["1x360x640 + 2x64x96"]


def test_shapes_make_an_engine_for_a_range(gpu, run):
    shapes = ("--min-shapes", "64x64", "--opt-shapes", "360p", "--max-shapes", "2x1080x1920")
    run(*shapes)
    assert [str(k.options) for k, _, _ in gpu[::2]] == ["1x64x64..1x360x640..2x1080x1920"]
    gpu.clear()
    run(*shapes, "--size", "480p")
    assert len(gpu) == 4


def test_settings_device_and_force_are_passed_on(gpu, run):
    settings = ("--workspace-mib", "512", "--level", "5", "--version-compatible")
    run(*settings, "--hardware-compatible", "--device", "cuda:1", "--force", "--precision", "fp32")
    key, device, force = gpu[0]
    assert (device, force, key.precision) == (1, True, "fp32")
    options = key.options
    assert (options.workspace_mib, options.level) == (512, 5)
    assert (options.version_compatible, options.hardware_compatible) == (True, True)


def test_a_size_that_is_no_whole_cells_is_rounded_up_saying_so(gpu, run):
    err = run("--size", "361x641")[1]
    assert "1x361x641 is built as 1x36" in err
    assert str(gpu[0][0].options) != "1x361x641"


def test_a_model_of_several_senses_is_built_for_the_size_of_its_windows_and_no_other(
    gpu, run, tiny_senses_bundle
):
    assert run(bundle=tiny_senses_bundle)[2] is None
    assert {str(k.options) for k, _, _ in gpu} == {"1x16x16"}
    assert len(gpu) == 7
    for size in ("360p", "2x16x16"):
        error = run("--size", size, bundle=tiny_senses_bundle)[2]
        assert isinstance(error, InputError)
        assert "windows of a model of several senses have one size" in str(error)


def test_the_json_is_one_line_with_every_figure(gpu, run):
    lines = run("--json")[0].splitlines()
    assert len(lines) == 1
    result = json.loads(lines[0])
    assert (result["tensorrt"], result["tensorrt_version"]) == ("tensorrt_rtx", "1.7.1.116")
    engine = result["engines"][1]
    assert (engine["built"], engine["key"]["role"]) == (True, "decoder")
    assert engine["layers"] == {"fp16": 40, "fp32": 4, "other": 0, "untold": 0}
    assert engine["parity"] == {"golden_psnr_dB": 61.25}
    assert Path(engine["path"]).read_bytes() == b"plan"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "cpu"), "device: got 'cpu', expected cuda or cuda:N"),
        (("--size", "4k"), "size: got '4k', expected HEIGHTxWIDTH"),
        (("--max-shapes", "360p"), "--min-shapes, --opt-shapes and --max-shapes: got 1 of them"),
        (
            ("--min-shapes", "720p", "--opt-shapes", "360p", "--max-shapes", "1080p"),
            "profile: height is min 720, opt 360, max 1080",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(gpu, run, arguments, message):
    error = run(*arguments)[2]
    assert isinstance(error, InputError)
    assert message in str(error)
    assert not gpu


def test_a_gpu_that_is_not_there_is_named_with_those_that_are(gpu, run):
    error = run("--device", "cuda:2")[2]
    assert isinstance(error, UnavailableError)
    assert str(error) == "device: got cuda:2, this machine has cuda:0 (Orin), cuda:1 (RTX 4090)"


def test_without_a_gpu_the_reason_is_given_before_anything_is_built(gpu, run, monkeypatch):
    def none():
        raise UnavailableError("no NVIDIA driver: libcuda.so.1 is not here")

    monkeypatch.setitem(sys.modules, "edgevae.cuda.probe", SimpleNamespace(gpus=none))
    error = run()[2]
    assert (str(error), error.exit_code) == ("no NVIDIA driver: libcuda.so.1 is not here", 5)
    assert not gpu


def test_a_tensorrt_that_was_asked_for_by_name_is_not_replaced(gpu, run):
    error = run("--backend", "tensorrt")[2]
    assert (str(error), error.exit_code) == ("tensorrt: not installed", 5)
    assert not gpu


def test_where_no_tensorrt_is_here_each_reason_is_given(gpu, run, monkeypatch):
    def none(name: str) -> Flavour:
        raise UnavailableError(f"{name}: not installed")

    monkeypatch.setattr("edgevae.engine.flavour.open_flavour", none)
    assert str(run()[2]) == "tensorrt: not installed; tensorrt_rtx: not installed"


def test_a_check_builds_for_real_needs_no_gpu_and_keeps_nothing(run, tmp_path, monkeypatch):
    pytest.importorskip("tensorrt_rtx", reason="edgevae[tensorrt-rtx] is not installed")
    monkeypatch.setenv("EDGEVAE_CACHE_DIR", str(tmp_path / "cache"))
    out, err, error = run("--check", "--size", "64x64", "--size", "360p", "--one-engine")
    assert error is None
    assert "building with tensorrt_rtx" in err
    assert "decoder.fp16.onnx    1x64x64 + 1x360x640 " in out
    assert "builds tiny-video fp16; nothing was kept" in out
    assert not (tmp_path / "cache").exists()
    result = json.loads(run("--check", "--size", "64x64", "--precision", "fp32", "--json")[0])
    assert [g["file"] for g in result["graphs"]] == ["encoder.fp32.onnx", "decoder.fp32.onnx"]
    assert result["graphs"][0]["layers_fp16"] == 0


def test_a_check_refuses_what_the_builder_refuses(run, own_bundle, monkeypatch):
    pytest.importorskip("tensorrt_rtx", reason="edgevae[tensorrt-rtx] is not installed")
    monkeypatch.setattr("edgevae.bundle.Bundle.read", lambda *_: b"no graph")
    error = run("--check")[2]
    assert isinstance(error, IncompatibleError)
    assert str(error).startswith("encoder.fp16.onnx: tensorrt_rtx ")
    assert isinstance(run("--check", "--version-compatible")[2], InputError)
