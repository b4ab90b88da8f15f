"""Graphs beside a VAE's own: whatever its role, a part goes through the same checks as encoder and decoder."""

from __future__ import annotations

import copy
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from edgevae.bundle import Bundle
from edgevae.errors import InputError, ParityError
from edgevae.nn import load_checkpoint
from edgevae.nn.predictor import Predictor
from edgevae.nn.predictor_checkpoint import save_predictor
from edgevae.nn.predictor_config import PredictorConfig
from edgevae.nn.prior import Prior as OwnPrior
from edgevae.nn.prior_checkpoint import save_prior
from edgevae.nn.prior_config import PriorConfig
from edgevae.spec import TensorSpec
from edgevae_export import to_tensorrt
from edgevae_export.export_vae import _chunk
from edgevae_export.exportable import Source
from edgevae_export.own import OwnPart, OwnVae, open_checkpoint
from edgevae_export.parts import compare_files, half_part, reference
from edgevae_export.precision import halved
from edgevae_export.to_onnx import to_onnx
from edgevae_export.verify import Gates


class Prior:
    """The plainest prior: noise mixed over the channels, with a memory of the chunk before."""

    role, chunk_steps = "prior", 2
    state = (
        TensorSpec(name="prior_past", dtype="float32", shape=("batch", 4, "height/8", "width/8")),
    )

    def __init__(self) -> None:
        torch.manual_seed(2)
        self.conv = nn.Conv2d(12, 8, 3, padding=1)

    def module(self) -> nn.Module:
        return _Prior(copy.deepcopy(self.conv)).eval()


class _Prior(nn.Module):
    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, noise, *state):
        (past,) = state
        _, c, h, w = noise.shape
        both = torch.cat([noise.to(past.dtype).reshape(-1, 2 * c, h, w), past], 1)
        made = self.conv(both).reshape(-1, c, h, w)
        return made.float(), made.reshape(-1, 2 * c, h, w)[:, c:]


def predictor() -> OwnPart:
    torch.manual_seed(4)
    config = PredictorConfig(
        latent_channels=4, chunk_steps=2, fine_channels=2, channels=4, blocks=1, deep_blocks=1
    )
    network = Predictor(config)
    nn.init.kaiming_normal_(network.head.weight)
    return OwnPart(network)


@pytest.fixture
def vae(tiny_checkpoint) -> OwnVae:
    return OwnVae(load_checkpoint(tiny_checkpoint.with_name("tiny-image.checkpoint")))


@pytest.mark.parametrize("part", [predictor(), Prior()], ids=lambda p: p.role)
def test_a_part_is_exported_checked_and_built_by_the_road_of_all_graphs(part, vae, random):
    latents = {"real": random.standard_normal((6, 4, 6, 8), dtype=np.float32)}
    checked = reference(part, vae.spec, latents, chunk_frames=2)
    assert checked.expected["real"].shape == (6, 4, 6, 8)
    if part.role == "prior":
        assert not np.array_equal(checked.data["real"], latents["real"]), "noise of their shape"
    half = half_part(checked, gates=Gates())
    graph = checked.graph("fp16")
    files = {graph.file: to_onnx(halved(part.module(), half.pins), graph)}
    (found,) = compare_files([checked], files, ("fp16",), gates=Gates())
    assert (found.role, found.runner, found.precision) == (part.role, "onnxruntime", "fp16")
    pytest.importorskip("tensorrt_rtx")
    built = to_tensorrt.check_builds(files, [graph], cell_px=vae.spec.spatial_factor)
    assert "engine of" in built[graph.file]


def test_a_part_that_is_off_is_refused(vae, random):
    part = predictor()
    latents = {"noise": random.standard_normal((4, 4, 4, 4), dtype=np.float32)}
    checked = reference(part, vae.spec, latents, chunk_frames=2)
    with pytest.raises(
        ParityError, match=r"pytorch fp16 on latents of noise frames: those of the predictor differ"
    ):
        half_part(checked, gates=Gates(fp16_latents=1e-9))


def test_a_chunk_is_that_of_the_parts(vae):
    source = Source(vae, "model", "0", parts=(predictor(),))
    assert _chunk(source, None) == 2
    with pytest.raises(InputError, match="chunk frames: got 4, expected 2, with which the model's"):
        _chunk(source, 4)


def test_a_part_for_other_latents_or_of_other_chunks_is_refused(tiny_checkpoint, tmp_path):
    own = shutil.copytree(tiny_checkpoint.with_name("tiny-image.checkpoint"), tmp_path / "own")
    tiny = {"channels": 2, "dilations": (1,)}
    save_prior(OwnPrior(PriorConfig(latent_channels=3, **tiny)), own)
    with pytest.raises(
        InputError, match="its prior is of 3 channels and cells of 8 pixels, expected 4"
    ):
        open_checkpoint(own)
    save_prior(OwnPrior(PriorConfig(latent_channels=4, chunk_steps=4, **tiny)), own)
    assert [part.chunk_steps for part in open_checkpoint(own).parts] == [4]
    save_predictor(predictor()._network, own)
    with pytest.raises(InputError, match="predictor and prior make chunks of different lengths"):
        open_checkpoint(own)


def test_the_committed_predictor_was_checked_like_its_vae(tiny_predictor_bundle):
    import json

    bundle = Bundle.open(tiny_predictor_bundle)
    report = json.loads(bundle.read("verification.json"))
    assert {(p["role"], p["runner"], p["precision"]) for p in report["parts"]} == {
        ("predictor", "pytorch", "fp16"),
        ("predictor", "onnxruntime", "fp32"),
        ("predictor", "onnxruntime", "fp16"),
    }
    assert set(report["builds"]) == {g.file for g in bundle.manifest.graphs}
