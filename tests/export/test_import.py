"""ONNX files of somebody else become bundles that give what the files gave, or are refused before they can do harm."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

import edgevae
from edgevae.errors import ConfigError, InputError, UnavailableError
from edgevae.files import sha256
from edgevae.frames import Frames
from edgevae_export import autocast, import_child, verify
from edgevae_export.import_bundle import import_bundle
from edgevae_export.import_command import command
from edgevae_export.import_spec import ImportSpec, read_import_spec
from edgevae_export.inspect_onnx import parse, tensors
from edgevae_export.wrap_onnx import wrap

_spec = importlib.util.spec_from_file_location(
    "foreign_onnx", Path(__file__).with_name("foreign_onnx.py")
)
assert _spec is not None
assert _spec.loader is not None
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)


@pytest.fixture
def spec(tmp_path):
    """A function that returns the spec that a dictionary says."""

    def get(data: dict) -> ImportSpec:
        path = tmp_path / "given.json"
        path.write_text(json.dumps(data))
        return read_import_spec(path)

    return get


def theirs(model: onnx.ModelProto, **inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found: list[np.ndarray] = session.run(None, inputs)
    return found


def pixels(frames: Frames) -> np.ndarray:
    return frames.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1


def test_a_pair_becomes_a_bundle_that_gives_what_the_files_give_at_any_size(tmp_path, noise):
    arguments = files.write(tmp_path)
    out = tmp_path / "out"
    result = CliRunner().invoke(
        command, [*arguments, "-o", str(out), "--precision", "fp32"], catch_exceptions=False
    )
    assert "against the graphs as they were given, in ONNX Runtime" in result.stdout
    assert "no fp16 graphs" not in result.stdout, "fp32 was asked for"
    clip = noise(3, 20, 36, 3)
    vae_spec = files.SPEC["vae"]
    mean, std = (np.reshape(vae_spec[f"latent_{n}"], (-1, 1, 1)) for n in ("mean", "std"))
    (moments,) = theirs(files.encoder(), pixels=pixels(clip))
    with edgevae.load(out) as vae:
        latents = vae.encode(clip)
        assert np.abs(latents - (moments - mean) / std).max() <= 1e-5
        (again,) = theirs(files.decoder(), z=(latents * std + mean).astype(np.float32))
        levels = np.round(np.clip(again * 127.5 + 127.5, 0, 255)).transpose(0, 2, 3, 1)
        decoded = vae.decode(latents)
        assert decoded.std() > 10
        assert np.abs(decoded - levels).max() <= 1
        assert vae.encode(clip[:, :13, :9]).shape == (3, 5, 4, 3)
    opened = edgevae.bundle.Bundle.open(out)
    assert json.loads(opened.read("verification.json"))["builds"].keys() == {
        f"{role}.fp32.onnx" for role in ("encoder", "decoder")
    }
    graph = onnx.load_from_string(opened.read("encoder.fp32.onnx"))
    assert [(o.domain, o.version) for o in graph.opset_import] == [("", 20)]


def test_a_pair_with_memory_streams(tmp_path, noise):
    arguments = files.write(tmp_path, memory=True)
    bundle, _ = import_bundle(*arguments[:2], tmp_path / "out", spec=arguments[3])
    assert bundle.manifest.name == tmp_path.name
    clip = noise(3, 8, 12, 3)
    with edgevae.load(tmp_path / "out") as vae:
        whole = vae.encode(clip)
        alone = np.concatenate([vae.encode(clip[n : n + 1]) for n in range(3)])
        state, parts = vae.stream(height=8, width=12), []
        for n in range(3):
            latents, state = vae.encode_chunk(clip[n : n + 1], state)
            parts.append(latents)
    assert (np.concatenate(parts) == whole).all()
    assert (whole[0] == alone[0]).all()
    assert np.abs(whole[1:] - alone[1:]).max() > 0.1


@pytest.mark.parametrize("opset", [11, 13, 18, 20])
@pytest.mark.parametrize("pixel_range", ["-1..1", "0..1"])
@pytest.mark.parametrize("gives", ["latents", "moments"])
def test_wrapping_is_arithmetic_at_the_boundary_and_nothing_else(
    opset, pixel_range, gives, spec, noise
):
    meaning = spec({**files.SPEC, "pixel_range": pixel_range, "encoder_gives": gives})
    graph = meaning.graph("encoder")
    model = files.encoder(opset=opset, channels=5 if gives == "latents" else 10)
    wrapped = wrap(model, ["pixels"], ["moments"], meaning, graph)
    onnx.checker.check_model(wrapped, full_check=True)
    clip = noise(2, 8, 12, 3)
    given = pixels(clip) if pixel_range == "-1..1" else (pixels(clip) + 1) / 2
    expected = theirs(model, pixels=given)[0][:, :5]
    mean, std = (
        np.reshape(getattr(meaning.vae, f"latent_{n}"), (-1, 1, 1)) for n in ("mean", "std")
    )
    (got,) = theirs(wrapped, frames=clip)
    assert np.abs(got - (expected - mean) / std).max() <= 1e-5


def external() -> onnx.ModelProto:
    model = files.encoder()
    weight = model.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")
    weight.ClearField("raw_data")
    return model


def computed_scales() -> onnx.ModelProto:
    model = files.decoder()
    model.graph.node.insert(0, helper.make_node("Identity", ["scales"], ["computed"]))
    model.graph.node[1].input[2] = "computed"
    return model


def hidden_in_a_branch() -> onnx.ModelProto:
    model = files.encoder()
    inner = helper.make_graph(
        [helper.make_node("Call", [], ["out"], domain="evil.ops")], "then", [], []
    )
    model.graph.node.add(op_type="If", input=["c"], output=["o"]).attribute.append(
        helper.make_attribute("then_branch", inner)
    )
    return model


def unknown_operator() -> onnx.ModelProto:
    model = files.encoder()
    model.graph.node[0].op_type = "NoSuchOperator"
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (external, "tensor 'w' is in another file"),
        (computed_scales, "Resize '' computes its 'computed'; expected constants"),
        (hidden_in_a_branch, "has operators of 'evil.ops', expected only ONNX's own"),
        (lambda: files.encoder(domain="com.microsoft"), "has operators of 'com.microsoft'"),
        (lambda: files.encoder(opset=9), "is of opset 9, expected 11 to 25"),
        (unknown_operator, "not valid ONNX: .*NoSuchOperator"),
    ],
)
def test_what_may_not_be_opened_is_refused(model, message):
    data = model().SerializeToString()
    with pytest.raises(InputError, match=message):
        parse(data, sha256(data))


def test_bytes_that_are_no_model_or_not_those_that_were_read_are_refused():
    with pytest.raises(InputError, match="no ONNX file"):
        parse(b"\xff" * 100, sha256(b"\xff" * 100))
    with pytest.raises(InputError, match="no ONNX file: there is no operator in it"):
        parse(b"", sha256(b""))
    with pytest.raises(InputError, match="changed while it was read"):
        parse(b"", sha256(b"something else"))


def fixed_size() -> onnx.ModelProto:
    model = files.encoder()
    model.graph.input[0].CopyFrom(files.value("pixels", 3, dims=("n", 512, "w")))
    return model


def half() -> onnx.ModelProto:
    model = files.encoder()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    return model


@pytest.mark.parametrize(
    ("model", "streaming", "message"),
    [
        (
            fixed_size,
            False,
            "axis 2 of input 'pixels' is always 512; export the graph with dynamic",
        ),
        (half, False, "tensor 'pixels' is FLOAT16 of 4 axes, expected FLOAT of 4"),
        (
            files.decoder,
            False,
            "input 'z' of the encoder has 5 channels, expected 3 of pixels; are",
        ),
        (files.encoder, True, "has inputs pixels, expected the data and 1 of state"),
        (lambda: files.encoder(memory=True), False, "has inputs pixels, past, expected the data"),
    ],
)
def test_tensors_that_are_not_those_of_the_spec_are_refused(model, streaming, message, spec):
    meaning = spec(files.streaming_spec() if streaming else files.SPEC)
    with pytest.raises(InputError, match=message):
        tensors(model(), meaning.graph("encoder"))


def test_state_is_found_by_name_or_taken_in_order(spec):
    graph = spec(files.streaming_spec()).graph("encoder")
    named = files.encoder(memory=True)
    assert tensors(named, graph) == (["pixels", "past"], ["moments", "next_past"])
    for values in (named.graph.input, named.graph.output):
        for value in values:
            value.name = f"their_{value.name}"
    assert tensors(named, graph)[1] == ["their_next_past", "their_moments"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_range": "0..255"}, "pixel_range: got '0..255', expected one of '-1..1', '0..1'"),
        ({"halo": 3}, "unknown key 'halo'"),
        ({"chunk_frames": 0}, "chunk_frames is 0, expected a multiple of the temporal factor 1"),
        (
            {"vae": {**files.SPEC["vae"], "temporal_factor": 4, "lead_frames": 3}},
            "lead_frames is 3, expected 0",
        ),
    ],
)
def test_a_spec_that_cannot_be_is_refused(change, message, spec):
    with pytest.raises(ConfigError, match=message):
        spec({**files.SPEC, **change})


def test_a_file_that_gives_other_shapes_than_its_spec_says_leaves_no_bundle(tmp_path):
    unit = {"latent_channels": 4, "latent_mean": [0.0] * 4, "latent_std": [1.0] * 4}
    vae = {**files.SPEC["vae"], **unit}
    arguments = files.write(tmp_path, spec={**files.SPEC, "vae": vae})
    with pytest.raises(
        InputError,
        match=r"encoder.onnx: output 'moments' is \[1, 5, 6, 10\] .* says \[1, 4, 6, 10\]",
    ):
        import_bundle(*arguments[:2], tmp_path / "out", spec=arguments[3])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("key", "wrong"), [("encoder_halo_px", 0), ("decoder_halo_cells", 0)])
def test_a_halo_that_is_too_small_is_refused_and_leaves_no_bundle(key, wrong, tmp_path):
    right = {**files.SPEC["vae"], "encoder_halo_px": 4, "decoder_halo_cells": 1}
    arguments = files.write(tmp_path, spec={**files.SPEC, "vae": {**right, key: wrong}})
    onnx.save(files.encoder(reach=1), tmp_path / "encoder.onnx")
    with pytest.raises(
        ConfigError, match=f"spec.json: {key} is 0, but what is further away changes"
    ):
        import_bundle(*arguments[:2], tmp_path / "out", spec=arguments[3])
    assert not (tmp_path / "out").exists()


def test_a_file_that_ends_the_process_that_opens_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(import_child, "_RUN", "import os; os.abort()  # {request}")
    arguments = files.write(tmp_path)
    with pytest.raises(InputError, match=r"crashed with SIGABRT.*damaged or not safe to open"):
        import_bundle(*arguments[:2], tmp_path / "out", spec=arguments[3])


@pytest.mark.skipif(autocast.is_installed(), reason="AutoCast is here")
def test_half_precision_that_cannot_be_had_is_an_error_where_it_is_asked_for(tmp_path):
    arguments = files.write(tmp_path)
    with pytest.raises(UnavailableError, match=r"fp16: nvidia-modelopt .*edgevae\[autocast\]"):
        import_bundle(
            *arguments[:2], tmp_path / "out", spec=arguments[3], precisions=("fp32", "fp16")
        )


@pytest.mark.skipif(autocast.is_installed(), reason="AutoCast is here")
def test_without_autocast_the_command_writes_fp32_and_says_so(tmp_path):
    arguments = [*files.write(tmp_path), "-o", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    said = json.loads(result.stdout)
    assert said["precisions"] == ["fp32"]
    assert said["fp16_missing"] == autocast.MISSING


@pytest.mark.skipif(not autocast.is_installed(), reason="AutoCast is in the autocast extra")
def test_autocast_makes_half_graphs_that_stream(tmp_path, noise):
    arguments = files.write(tmp_path, memory=True)
    gates = verify.Gates(fp16_psnr_dB=45.0, fp16_psnr_change_dB=1.0)  # of so few layers
    both = {"precisions": ("fp32", "fp16"), "gates": gates}
    import_bundle(*arguments[:2], tmp_path / "out", spec=arguments[3], **both)
    clip = noise(3, 8, 12, 3)
    with (
        edgevae.load(tmp_path / "out", precision="fp16") as half,
        edgevae.load(tmp_path / "out", precision="fp32") as exact,
    ):
        assert 0 < np.abs(half.encode(clip) - exact.encode(clip)).max() < 3e-2


def test_the_spec_in_the_documentation_is_one(spec):
    page = Path(__file__).parents[2].joinpath("docs", "foreign.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", page, re.S)
    meaning = spec(json.loads(block))
    assert meaning.graph("decoder").inputs[0].shape == ("batch", 4, "height/8", "width/8")
