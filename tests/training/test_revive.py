"""Layers that have died are found, and begin anew without changing what the network does."""

from __future__ import annotations

import pytest
import torch

from edgevae.errors import InputError
from edgevae.nn.checkpoint import build
from edgevae.nn.config import VaeConfig
from edgevae.training import fit
from edgevae.training.alive import alive_shares
from edgevae.training.config import TrainConfig
from edgevae.training.module import reconstruct
from edgevae.training.revive import revive

CONFIG = VaeConfig(
    kind="video",
    components=24,
    encoder_channels=(0, 0, 8),
    encoder_blocks=(0, 0, 2),
    decoder_channels=(8, 0, 0),
    decoder_blocks=(2, 0, 0),
    latent_channels=4,
)


@pytest.fixture
def clips():
    return [torch.rand(1, 8, 3, 32, 40) * 2 - 1 for _ in range(2)]


@pytest.fixture
def vae():
    """A network whose every branch says something."""
    network = build(CONFIG)
    for name, weight in network.named_parameters():
        if name.endswith("conv2.weight"):
            torch.nn.init.normal_(weight, std=0.1)
        if name.endswith("conv2.bias"):
            torch.nn.init.zeros_(weight)
    return network


def test_a_network_that_is_alive_is_left_alone(vae, clips):
    alive = alive_shares(vae, clips)
    before = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    assert min(alive.values()) > 0.02
    assert revive(vae, alive, seed=0) == ()
    assert all(torch.equal(before[name], tensor) for name, tensor in vae.state_dict().items())


def test_a_branch_that_has_died_lives_again_and_the_result_stays(vae, clips):
    with torch.no_grad():
        vae.encoder.network.layers[0].conv2.bias.fill_(-1e3)  # nothing gets through its ReLU
        vae.decoder.network.layers[1].conv1.bias.fill_(-1e3)  # nor through the first one of this
    before = [reconstruct(vae, clip) for clip in clips]
    drawn = revive(vae, alive_shares(vae, clips), seed=0)
    assert drawn == (
        "encoder.stem",
        "encoder.network.layers.0",
        "encoder.network.layers.1",
        "decoder.network.layers.1",
    )
    assert min(alive_shares(vae, clips).values()) > 0.02
    torch.testing.assert_close([reconstruct(vae, c) for c in clips], before, atol=1e-5, rtol=0)
    loss = reconstruct(vae, clips[0]).square().mean()
    loss.backward()
    assert float(vae.encoder.head.weight.grad.abs().max()) > 0, "the branch cannot learn"


def test_a_run_says_once_which_layers_have_died(tmp_path, capsys):
    config = TrainConfig(
        model=CONFIG,
        crop_px=32,
        clip_frames=8,
        batch_clips=2,
        steps=6,
        learning_rate=10.0,
        warmup_steps=0,
        clip_norm=0.0,
        principal_patches=0,
        val_every_steps=2,
        val_clips=2,
        val_crop_px=32,
        val_frames=8,
        ema_decay=0.0,
    )
    fit.start(config, "moving-digits", run=tmp_path / "run")
    said = [line for line in capsys.readouterr().err.splitlines() if "is dead" in line]
    assert said, "at this rate everything dies"
    assert len({line.split(": ")[1] for line in said}) == len(said)
    assert "lower the learning rate" in said[0]


def test_networks_on_pixels_are_refused(tiny_run, clips):
    network = build(tiny_run.model)
    with pytest.raises(InputError, match="got a network on pixels, expected one on patches"):
        revive(network, {}, seed=0)
