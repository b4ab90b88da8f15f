"""VAEs of diffusers become bundles that give what diffusers gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import edgevae
from edgevae.errors import InputError, IntegrityError, UnavailableError
from edgevae_export.diffusers.families import FAMILIES, NOT_YET, adapt
from edgevae_export.diffusers.loading import download
from edgevae_export.diffusers.small_models import SMALL_MODELS, make
from edgevae_export.export import export_bundle
from edgevae_export.precision import Peaks, choose_pins, halved
from edgevae_export.runs import torch_runs, whole_runs
from edgevae_export.sources import open_source

pytest.importorskip("diffusers", reason="diffusers is in the diffusers extra")


@pytest.fixture(scope="module")
def foreign():
    """A function that returns a family's model as what is exported; made once."""
    made: dict[str, object] = {}

    def get(name: str):
        if name not in made:
            class_name = SMALL_MODELS[name].class_name
            made[name] = adapt(make(name), class_name=class_name, where=name)
        return made[name]

    return get


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A function that returns a folder of a model as diffusers writes it."""

    def get(name: str) -> Path:
        path: Path = tmp_path_factory.mktemp(name) / "vae"
        make(name).save_pretrained(path)
        return path

    return get


@pytest.mark.parametrize(
    ("name", "chunk", "frames"),
    [
        ("tiny", 1, 2),
        ("kl", 1, 2),
        ("kl-flux", 1, 2),
        ("kl-flux2", 1, 2),
        ("asymmetric", 1, 2),
        ("dc", 1, 2),
        ("hunyuan-image", 1, 2),
        ("qwen", 1, 2),
        ("wan", 4, 9),
        ("wan", 8, 13),
        ("wan", 4, 1),
        ("wan-residual", 4, 5),
        ("wan-residual", 8, 13),
    ],
)
def test_what_is_exported_gives_what_diffusers_gives_for_the_whole_clip(
    name, chunk, frames, foreign, noise
):
    vae, clip = foreign(name), noise(frames, 32, 48, 3)
    theirs, ours = whole_runs(vae), torch_runs(vae, precision="fp32", chunk_frames=chunk)
    latents = theirs["encoder"](clip)
    assert 0.03 < latents.std() < 30
    assert np.abs(ours["encoder"](clip) - latents).max() <= 1e-4
    decoded = theirs["decoder"](latents)
    assert decoded.shape == clip.shape
    assert decoded.std() > 5
    assert np.abs(ours["decoder"](latents).astype(int) - decoded).max() <= 1


@pytest.mark.parametrize("name", ["kl", "dc", "wan", "wan-residual"])
def test_half_precision_is_near_and_finite(name, foreign, noise):
    vae, clip = foreign(name), noise(5, 32, 48, 3)
    chunk = vae.spec.temporal_factor
    exact, half = (torch_runs(vae, precision=p, chunk_frames=chunk) for p in ("fp32", "fp16"))
    latents = exact["encoder"](clip)
    assert np.abs(half["encoder"](clip) - latents).max() <= 3e-2
    assert np.abs(half["decoder"](latents).astype(int) - exact["decoder"](latents)).max() <= 8


def test_scaling_and_shift_are_in_the_specification(foreign):
    spec = foreign("kl-flux").spec
    assert (spec.spatial_factor, spec.latent_channels) == (8, 16)
    assert spec.latent_mean == (0.1159,) * 16
    assert spec.latent_std == pytest.approx((1 / 0.3611,) * 16)
    patched = foreign("kl-flux2").spec
    assert (patched.spatial_factor, patched.latent_channels) == (16, 16)
    assert min(patched.latent_std) < 0.8 * max(patched.latent_std)
    assert foreign("wan").spec.latent_std == (0.5, 1.0, 1.0, 2.0)
    assert foreign("kl").spec.encoder_halo_px is None


@pytest.mark.parametrize("role", ["encoder", "decoder"])
def test_a_pixel_or_cell_beyond_the_halo_of_a_tiny_autoencoder_has_no_influence(
    role, foreign, random
):
    vae = foreign("tiny")
    cells = vae.spec.encoder_halo_px // 8 if role == "encoder" else vae.spec.decoder_halo_cells
    wide = 4 * cells
    if role == "encoder":
        data = random.integers(0, 256, (1, 16, 8 * wide, 3), dtype=np.uint8)
    else:
        data = random.standard_normal((1, 4, 2, wide)).astype(np.float32)
    run = torch_runs(vae, precision="fp32", chunk_frames=1)[role]
    scale, axis = (8, 2) if role == "encoder" else (1, 3)
    other = data.copy()
    np.moveaxis(other, axis, 0)[: cells * scale] = 0
    one, two = (np.moveaxis(run(d), 3 if role == "encoder" else 2, 0) for d in (data, other))
    beyond = 2 * cells if role == "encoder" else 2 * cells * 8
    assert (one[beyond:] == two[beyond:]).all()
    assert (one[: beyond // 4] != two[: beyond // 4]).any()


def test_filler_before_a_clip_has_no_influence_and_later_frames_have_none_on_earlier_latents(
    foreign, noise
):
    vae = foreign("wan")
    module = vae.graph_module("encoder", chunk_frames=8)
    clip = noise(8, 16, 24, 3)
    other = clip.copy()
    other[:3] = noise(3, 16, 24, 3)
    later = clip.copy()
    later[4:] = noise(4, 16, 24, 3)
    sizes = {"batch": 1, "height": 16, "width": 24}
    state = [torch.zeros(s.resolve(sizes)) for s in vae.spec.encoder_state]
    with torch.inference_mode():
        a, b, c = (module(torch.from_numpy(x), *state)[0] for x in (clip, other, later))
    assert torch.equal(a, b)
    assert torch.equal(a[:1], c[:1])
    assert not torch.equal(a[1:], c[1:])


@torch.no_grad()
def test_a_planted_overflow_is_measured_and_its_layers_are_not_half(foreign, noise):
    vae = adapt(make("kl"), class_name="AutoencoderKL", where="kl")
    # The residual stream, ahead of a normalisation which undoes the scale: as in SDXL's decoder.
    block = vae.decoder.decoder.up_blocks[3].resnets[0]
    block.conv2.weight *= 1e6
    measured: dict = {role: Peaks() for role in ("encoder", "decoder")}
    exact = torch_runs(vae, precision="fp32", chunk_frames=1, peaks=measured)
    latents = exact["encoder"](noise(2, 32, 48, 3))
    expected = exact["decoder"](latents)
    module = vae.graph_module("decoder", chunk_frames=1)
    assert not halved(module).network.decoder.up_blocks[3].resnets[0].conv2.weight.isfinite().all()
    pins = choose_pins(module, measured["decoder"])
    conv2 = "network.decoder.up_blocks.3.resnets.0.conv2"
    assert conv2 in pins.kept & pins.widened
    assert len(pins.kept) < 12
    run = torch_runs(
        vae, precision="fp16", chunk_frames=1, pins={"encoder": pins, "decoder": pins}
    )["decoder"]
    assert np.abs(run(latents).astype(int) - expected).max() <= 3


@pytest.mark.parametrize("name", ["tiny", "wan-short"])
def test_a_folder_of_diffusers_becomes_a_bundle_that_runs(name, folder, tmp_path, noise):
    path = folder(name)
    bundle, result = export_bundle(path, tmp_path / "out", precisions=("fp32",))
    assert bundle.manifest.name == path.parent.name
    assert {c.runner for c in result.comparisons} == {"onnxruntime", "diffusers"}
    clip = noise(7, 20, 30, 3)
    with edgevae.load(tmp_path / "out") as vae:
        latents = vae.encode(clip)
        steps = 7 if name == "tiny" else 3
        assert latents.shape == (steps, 4, 3, 4)
        whole = vae.decode(latents, frames=7, size=(20, 30))
        assert whole.shape == clip.shape
        state, parts = vae.stream(height=20, width=30), []
        for chunk in edgevae.chunks(
            [clip], chunk_frames=vae.chunk_frames, lead_frames=vae.spec.lead_frames
        ):
            coded, state = vae.encode_chunk(chunk, state)
            frames, state = vae.decode_chunk(coded, state)
            parts.append(frames[: len(chunk)])
        assert (np.concatenate(parts) == whole).all()
        with pytest.raises(InputError, match="got 8, expected"):
            vae.decode(latents[:1], frames=8)
        if name == "wan-short":
            with pytest.raises(InputError, match="at most the 1 of one first chunk"):
                vae.encode_chunk(clip[:2], vae.stream(height=20, width=30))


def test_a_pipelines_folder_is_opened_at_its_vae_and_named_after_it(folder):
    source = open_source(folder("tiny").parent)
    assert source.library == "diffusers"
    assert source.name.startswith("tiny")
    assert not source.exportable.has_log_variance


@pytest.mark.parametrize("class_name", sorted(NOT_YET))
def test_a_family_that_cannot_be_exported_yet_says_why(class_name, tmp_path):
    import diffusers

    assert hasattr(diffusers, class_name)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": class_name}))
    with pytest.raises(InputError, match=f"{class_name} of diffusers cannot be exported yet: "):
        open_source(tmp_path)
    assert class_name not in FAMILIES


def test_what_is_no_vae_of_diffusers_or_damaged_is_refused(folder, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "UNet2DConditionModel"}))
    with pytest.raises(InputError, match="UNet2DConditionModel of diffusers cannot be exported"):
        open_source(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderTiny"}))
    with pytest.raises(InputError, match="diffusers cannot load it"):
        open_source(tmp_path)
    vae = make("tiny")
    with torch.no_grad():
        vae.encoder.layers[0].weight[0, 0, 0, 0] = float("nan")
    vae.save_pretrained(tmp_path / "nan")
    with pytest.raises(IntegrityError, match=r"tensor 'encoder.layers.0.weight' has values"):
        open_source(tmp_path / "nan")


def test_a_log_variance_that_there_is_not_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="has no log-variance, its encoder gives latents alone"):
        export_bundle(folder("tiny"), tmp_path / "out", log_variance=True)


def test_a_name_on_the_hub_must_be_complete_and_is_never_guessed(tmp_path):
    with pytest.raises(InputError, match="expected hub:owner/model or hub:owner/model/folder"):
        download("hub:model")
    with pytest.raises(InputError, match="no such path and no shipped model"):
        open_source("owner/model")


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UnavailableError, match="hub:owner/model: cannot be downloaded"):
        download("hub:owner/model")
