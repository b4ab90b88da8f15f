"""A module of your own becomes a bundle, or is refused with what is missing."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

import edgevae
from edgevae.errors import ConfigError, InputError, IntegrityError
from edgevae_export.export import export_bundle
from edgevae_export.user_module import open_module

NETWORK = """
import torch
from torch import nn
from edgevae.spec import VaeSpec

class Net(nn.Module):
    spec = VaeSpec(
        temporal_factor=1, spatial_factor=4, latent_channels={channels}, encoder_halo_px=0,
        decoder_halo_cells=0, encoder_state=(), decoder_state=(),
        latent_mean=(0.5,) * {channels}, latent_std=(2.0,) * {channels},
    )

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 5, 4, stride=4)
        self.up = nn.ConvTranspose2d(5, 3, 4, stride=4)

    def encode(self, pixels):
        return self.down(pixels)

    def decode(self, latents):
        return self.up(latents)

def build():
    torch.manual_seed(0)
    return Net()

def half():
    return nn.Conv2d(3, 3, 1)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with modules of a user, which is the current one."""
    for name, channels in (("mynet", 5), ("liar", 6)):
        (tmp_path / f"{name}.py").write_text(NETWORK.format(channels=channels))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_halo_that_is_too_small_is_refused(here):
    wider = NETWORK.replace("3, 5, 4, stride=4", "3, 5, 6, stride=4, padding=1")
    (here / "wide.py").write_text(wider.format(channels=5))
    with pytest.raises(ConfigError, match="--module wide:build: encoder_halo_px is 0, but what is"):
        open_module("wide:build", None)
    (here / "right.py").write_text(wider.replace("halo_px=0", "halo_px=4").format(channels=5))
    assert open_module("right:build", None).exportable.spec.encoder_halo_px == 4


def test_a_module_of_your_own_becomes_a_bundle_that_runs(here, noise):
    source = open_module("mynet:build", None)
    weights = {n: t * 0.5 for n, t in torch.nn.Module.state_dict(_module(source)).items()}
    save_file(weights, here / "mynet.safetensors")
    again = open_module("mynet:build", here / "mynet.safetensors")
    assert again.weights_sha256 != source.weights_sha256
    export_bundle(again, here / "out", precisions=("fp32",))
    with edgevae.load(here / "out") as vae:
        assert vae.name == "mynet"
        frames = noise(2, 9, 14, 3)
        assert vae.encode(frames).shape == (2, 5, 3, 4)
        assert vae.reconstruct(frames).shape == frames.shape


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mynet", "expected package.mod:build"),
        ("nothing_here:build", "No module named 'nothing_here'; it is searched in"),
        ("mynet:absent", "has no attribute 'absent'"),
        ("mynet:half", "gives a Conv2d without encode, decode, spec; expected a torch.nn.Module"),
        ("liar:build", "encode fails on|encode gives, with frames channels last"),
    ],
)
def test_a_module_that_is_not_what_an_export_needs_is_refused(name, message, here):
    with pytest.raises(InputError, match=message):
        open_module(name, None)


def test_weights_that_are_missing_damaged_or_of_another_module_are_refused(here):
    with pytest.raises(InputError, match="no such file; expected weights in safetensors"):
        open_module("mynet:build", here / "absent.safetensors")
    (here / "damaged.safetensors").write_bytes(b"\\x00" * 20)
    with pytest.raises(IntegrityError, match="damaged, or no safetensors file"):
        open_module("mynet:build", here / "damaged.safetensors")
    save_file({"down.weight": torch.zeros(5, 3, 4, 4)}, here / "part.safetensors")
    with pytest.raises(InputError, match=r"does not fit the module: .*up\.weight"):
        open_module("mynet:build", here / "part.safetensors")


def _module(source) -> torch.nn.Module:
    return source.exportable.encoder.module
