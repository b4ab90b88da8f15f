"""A generator exported as a decoder alone, and run without its network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import edgevae
from edgevae.bundle import Bundle
from edgevae.cli.info import command
from edgevae.errors import InputError, ParityError
from edgevae.files import sha256
from edgevae.nn.generator import Generator
from edgevae.nn.generator_checkpoint import load_generator, save_generator
from edgevae.nn.generator_config import GeneratorConfig
from edgevae.runtime.shipped import locate
from edgevae_export.decoder_checks import SIZES, CheckedDecoder
from edgevae_export.export import export_bundle
from edgevae_export.own_generator import OwnGenerator
from edgevae_export.sources import open_source
from edgevae_export.to_tensorrt import is_installed
from edgevae_export.verify import Gates


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(1)
    generator = Generator(GeneratorConfig(look_channels=6, channels=2)).eval()
    with torch.no_grad():
        generator.looks.head.weight.mul_(4.0)
        generator.looks.head.bias.add_(0.5)
    folder = tmp_path_factory.mktemp("gan") / "blots"
    save_generator(generator, folder)
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    return export_bundle(checkpoint, tmp_path_factory.mktemp("gan") / "blots.bundle")


def test_every_graph_is_within_its_gate_and_one_that_tensorrt_builds(exported):
    bundle, result = exported
    assert bundle.roles == ("decoder",)
    assert bundle.precisions == ("fp32", "fp16")
    assert bundle.manifest.name == "blots"
    runners = {(c.runner, c.precision) for c in result.comparisons}
    assert runners == {
        ("whole clip", "fp32"),
        ("onnxruntime", "fp32"),
        ("pytorch", "fp16"),
        ("onnxruntime", "fp16"),
    }
    assert {c.sample for c in result.comparisons} == set(SIZES)
    assert max(c.frames_max_levels for c in result.comparisons if c.precision == "fp32") <= 1
    if is_installed():
        assert all("engine of" in said for said in result.builds.values())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_runtime_makes_the_clips_of_the_network(checkpoint, exported, precision):
    bundle, _ = exported
    with edgevae.load_generator(bundle.path, precision=precision) as generator:
        clips = generator.generate(frames=10, count=3, seed=5)
        state = generator.stream(count=3, seed=5)
        noise, _ = generator.latents(state)
        assert generator.generate(frames=4, size=(40, 72)).shape == (1, 4, 40, 72, 3)
    with torch.no_grad():
        network = load_generator(checkpoint)
        said = network(torch.from_numpy(noise[:, 0, :, 0, 0]), 10)
    wanted = np.rint(255.0 * said.numpy())
    assert clips.shape == (3, 10, 64, 64, 3)
    assert np.abs(clips[..., 1] - wanted).max() <= (1 if precision == "fp32" else 8)
    assert clips.std() > 20


def test_what_is_no_vae_says_so(exported, checkpoint, tmp_path):
    with pytest.raises(InputError, match="has no encoder"):
        edgevae.load(exported[0].path)
    with pytest.raises(InputError, match="has no log-variance"):
        export_bundle(checkpoint, tmp_path / "one", log_variance=True)
    with pytest.raises(InputError, match="multiple of the temporal factor 4"):
        export_bundle(checkpoint, tmp_path / "one", chunk_frames=6)
    with pytest.raises(InputError, match="has a decoder alone"):
        OwnGenerator(load_generator(checkpoint)).graph_module("encoder", chunk_frames=4)
    assert open_source(checkpoint).picture_px == (64, 64)


def test_layers_are_kept_in_float32_from_the_last_one_on_until_half_precision_passes(checkpoint):
    loose = CheckedDecoder(OwnGenerator(load_generator(checkpoint)), 4, Gates())
    reached = min(found.frames_psnr_dB for found in loose.find_pins())
    assert (loose.pins.kept, loose.search_runs) == (frozenset(), 1)
    strict = Gates(fp16_psnr_dB=reached + 0.1)
    checked = CheckedDecoder(OwnGenerator(load_generator(checkpoint)), 4, strict)
    assert min(found.frames_psnr_dB for found in checked.find_pins()) > reached
    assert "generator.looks.head" in checked.pins.kept
    assert checked.search_runs == len(checked.pins.kept) + 1
    assert set(checked.because) == checked.pins.kept


def test_the_shipped_generator_is_of_the_shipped_checkpoint_and_shows_two_digits():
    bundle, folder = (
        Bundle.open(locate("edgevae-gan-digits")),
        locate("edgevae-gan-digits", part="checkpoint"),
    )
    weights = (folder / "model.safetensors").read_bytes()
    assert bundle.manifest.checkpoint_sha256 == sha256(weights)
    with edgevae.load_generator("edgevae-gan-digits") as generator:
        clips = generator.generate(frames=40, count=6, seed=1)
    lit = (clips[..., 0] > 127).mean((1, 2, 3))
    assert ((lit > 0.01) & (lit < 0.15)).all(), "two digits on black"
    early, late = clips[:, :20].mean((1, 2, 3, 4)), clips[:, 20:].mean((1, 2, 3, 4))
    assert np.allclose(early, late, rtol=0.25), "and as much of them at the end"


def test_info_says_what_a_checkpoint_of_a_generator_makes(checkpoint):
    said = CliRunner().invoke(command, [str(checkpoint)]).stdout
    assert "checkpoint, generator of sprites," in said
    assert "decoder 3 caches" in said


def test_a_graph_that_makes_other_frames_is_refused_and_nothing_is_written(checkpoint, tmp_path):
    class Wrong(OwnGenerator):
        def whole_clip(self, role, data):
            return 255 - super().whole_clip(role, data)

    source = replace(open_source(checkpoint), exportable=Wrong(load_generator(checkpoint)))
    with pytest.raises(ParityError, match="whole clip fp32 on noise frames: frames differ"):
        export_bundle(source, tmp_path / "wrong", precisions=("fp32",))
    assert not (tmp_path / "wrong").exists()
