"""A VAE of several senses exported: each graph by the road of all parts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import edgevae
from edgevae.bundle import Bundle
from edgevae.errors import InputError, ParityError
from edgevae.nn.posterior import product_of_experts
from edgevae.nn.senses import MultimodalVae, target
from edgevae.nn.senses_checkpoint import save_senses
from edgevae.nn.senses_config import SensesConfig
from edgevae.senses import Sense, SensesSpec
from edgevae_export.export import export_bundle
from edgevae_export.own_senses import open_senses
from edgevae_export.senses import references, steps
from edgevae_export.sources import open_senses_source, open_source
from edgevae_export.verify import Gates

SPEC = SensesSpec(
    senses=(
        Sense(name="left", kind="frames", shape=(2, 16, 16)),
        Sense(name="right", kind="frames", shape=(2, 16, 16)),
    ),
    frames_per_second=10.0,
    window_frames=2,
)


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(5)
    vae = MultimodalVae(SensesConfig(spec=SPEC, latent_channels=3, channels=(4,), hidden=6))
    for half in (*vae.encoders.values(), *vae.decoders.values()):
        torch.nn.init.kaiming_normal_(half.head.weight)
    save_senses(vae, tmp_path / "two-cameras")
    return tmp_path / "two-cameras"


@pytest.fixture
def checkpoint_that_sees_motion(tmp_path):
    torch.manual_seed(6)
    config = SensesConfig(
        spec=SPEC, latent_channels=3, channels=(4,), hidden=6, sees_motion=True, has_base=True
    )
    save_senses(MultimodalVae(config), tmp_path / "moving")
    return tmp_path / "moving"


def test_a_model_that_sees_motion_is_exported_in_both_precisions(
    checkpoint_that_sees_motion, tmp_path
):
    bundle, result = export_bundle(
        checkpoint_that_sees_motion, tmp_path / "out.bundle", precisions=("fp32", "fp16")
    )
    assert {p.role for p in result.parts} == set(bundle.roles)
    # Its arithmetic is in float32, and no layer had to be.
    assert result.fp16_kept_layers == ()


@torch.no_grad()
def test_the_exported_graphs_give_what_pytorch_gives(checkpoint, tmp_path, random):
    told: list[str] = []
    bundle, result = export_bundle(
        checkpoint, tmp_path / "out.bundle", precisions=("fp32",), step=told.append
    )
    assert len(told) == steps(("fp32",), senses=2)
    assert bundle.manifest.format_version == 4
    assert bundle.manifest.senses == SPEC
    assert {p.role for p in result.parts} == set(bundle.roles)
    vae = open_senses(checkpoint, name="x").vae
    clip = {n: random.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8) for n in ("left", "right")}
    data = {n: torch.from_numpy(c) for n, c in clip.items()}
    with edgevae.load_multimodal(bundle.path) as runtime:
        for given in (clip, {"right": clip["right"]}):
            experts = vae.posteriors({n: data[n] for n in given})
            own, found = product_of_experts([*experts.values()]), runtime.posterior(given)
            assert np.allclose(found.mean, own.mean, atol=1e-4)
            assert np.allclose(found.log_variance, own.log_variance, atol=1e-4)
            levels = (vae.decode(own.mean, "left") * 127.5 + 127.5).clamp(0, 255).numpy()
            assert np.abs(runtime.decode(found.mean, "left") - levels).max() <= 0.51
    assert target(vae.config, SPEC.senses[0], data["left"]).abs().max() <= 1.0


def test_a_graph_that_is_off_its_gate_is_refused_and_nothing_is_written(checkpoint, tmp_path):
    gates = Gates(fp16_latents=1e-9)
    with pytest.raises(
        ParityError, match=r"pytorch fp16 on \w+ frames: posterior of the encoder.left differ by"
    ):
        export_bundle(checkpoint, tmp_path / "out.bundle", gates=gates)
    assert not (tmp_path / "out.bundle").exists()


def test_options_of_plain_vaes_and_plain_commands_are_refused(
    checkpoint, tmp_path, tiny_checkpoint
):
    with pytest.raises(InputError, match="chunk frames: two-cameras has several senses"):
        export_bundle(checkpoint, tmp_path / "out", chunk_frames=2)
    with pytest.raises(InputError, match="is a VAE of several senses, expected one of frames"):
        open_source(checkpoint)
    assert open_senses_source(tiny_checkpoint) is None
    assert open_senses_source("no such thing") is None


def test_the_fusion_is_also_checked_where_senses_are_missing(checkpoint):
    *_, fusion, _, _ = references(open_senses(checkpoint, name="x"))
    assert set(fusion.data) == {"real", "noise", "low", "high", "one of the"}


def test_the_committed_bundle_has_every_graph_checked_in_both_precisions_and_built(
    tiny_senses_bundle,
):
    bundle = Bundle.open(tiny_senses_bundle)
    report = json.loads(bundle.read("verification.json"))
    roles = {"fusion"} | {
        f"{w}.{s}" for w in ("encoder", "decoder") for s in ("video", "sound", "tracks")
    }
    runs = {("pytorch", "fp16"), ("onnxruntime", "fp32"), ("onnxruntime", "fp16")}
    found = {(p["role"], p["runner"], p["precision"]) for p in report["parts"]}
    assert found == {(role, *run) for role in roles for run in runs}
    assert set(report["builds"]) == {g.file for g in bundle.manifest.graphs}
