"""TAEHV in chunks with state gives what its published structure, restated plainly, gives for a whole clip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from edgevae_export import taehv
from edgevae_export.runs import torch_runs
from edgevae_export.user_module import open_module


def conv(weights, name, x, **options):
    weight = weights[f"{name}.weight"]
    return F.conv2d(x, weight, weights.get(f"{name}.bias"), **options)


def plain(weights, role, x, *, growths):
    """The network over all frames of a clip `[T, C, H, W]`, block by block, by the numbers in the weights' names."""
    x = torch.tanh(x / 3) * 3 if role == "decoder" else x
    for i in sorted({int(n.split(".")[1]) for n in weights if n.startswith(role)}):
        name = f"{role}.{i}"
        if (
            f"{name}.conv.0.weight" in weights
        ):  # a memory block; before the first frame there is nothing
            seen = torch.cat([x, torch.cat([torch.zeros_like(x[:1]), x[:-1]])], dim=1)
            for j in (0, 2, 4):
                seen = conv(weights, f"{name}.conv.{j}", seen, padding=1)
                seen = seen.relu() if j < 4 else seen
            x = (seen + x).relu()
        elif (
            f"{name}.conv.weight" in weights and role == "encoder"
        ):  # frames beside each other in channels
            x = conv(
                weights,
                f"{name}.conv",
                x.reshape(-1, *weights[f"{name}.conv.weight"].shape[1:2], *x.shape[2:]),
            )
        elif f"{name}.conv.weight" in weights:
            channels = x.shape[1]
            x = conv(weights, f"{name}.conv", x.repeat_interleave(2, 2).repeat_interleave(2, 3))
            x = x[:, -next(growths) * channels :].reshape(-1, channels, *x.shape[2:])
        else:
            halves = role == "encoder" and f"{name}.bias" not in weights
            x = x.relu() if role == "decoder" and i == 22 else x
            x = conv(weights, name, x, padding=1, stride=2 if halves else 1)
            x = x.relu() if (role, i) in (("encoder", 0), ("decoder", 1)) else x
    return x


@pytest.fixture(scope="module")
def weights():
    """Random weights of Wan 2.1's, as published: a growth by 2 where only the last frame is used."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = taehv.taew2_1().state_dict()
        found["decoder.7.conv.weight"] = torch.randn(512, 256, 1, 1) / 16
    return {
        name: value.clone() * (1 if name.endswith("bias") else 1.6) for name, value in found.items()
    }


@torch.no_grad()
@pytest.mark.parametrize("chunk", [4, 8])
def test_chunks_with_state_give_the_whole_clip(weights, chunk, noise, tmp_path):
    save_file(weights, tmp_path / "weights.safetensors")
    source = open_module("edgevae_export.taehv:taew2_1", tmp_path / "weights.safetensors")
    clip = noise(8, 32, 48, 3)
    pixels = torch.from_numpy(clip).float().permute(0, 3, 1, 2) / 255
    latents = plain(weights, "encoder", pixels, growths=iter(()))
    frames = plain(weights, "decoder", latents, growths=iter((1, 2, 2))).clamp(0, 1) * 255
    runs = torch_runs(source.exportable, precision="fp32", chunk_frames=chunk)
    assert latents.shape == (2, 16, 4, 6)
    assert latents.std() > 0.05
    assert np.abs(runs["encoder"](clip) - latents.numpy()).max() <= 1e-4
    decoded = runs["decoder"](latents.numpy())
    assert decoded.shape == clip.shape
    assert decoded.std() > 5
    assert np.abs(decoded - frames.permute(0, 2, 3, 1).numpy()).max() <= 0.51


@torch.no_grad()
def test_a_pixel_beyond_the_halo_has_no_influence():
    network = taehv.taew2_1().eval()
    halo = network.spec.encoder_halo_px
    pixels = torch.rand(4, 3, 16, halo + 64)
    other = pixels.clone()
    other[:, :, :, :8] = 0
    sizes = {"batch": 1, "height": 16, "width": halo + 64}
    state = [torch.zeros(s.resolve(sizes)) for s in network.spec.encoder_state]
    one, two = (network.encode(p, *state)[0] for p in (pixels, other))
    assert torch.equal(one[..., halo // 8 + 1 :], two[..., halo // 8 + 1 :])
    assert not torch.equal(one, two)


@pytest.mark.parametrize("build", [taehv.taew2_2, taehv.taehv1_5, taehv.taeltx])
@torch.no_grad()
def test_larger_patches_and_time_factors_have_the_shapes_of_their_specification(build):
    network = build().eval()
    spec = network.spec
    sizes = {"batch": 1, "height": 2 * spec.spatial_factor, "width": 3 * spec.spatial_factor}
    pixels = torch.rand(spec.temporal_factor, 3, sizes["height"], sizes["width"])
    for role, data in (("encoder", pixels), ("decoder", torch.rand(1, spec.latent_channels, 2, 3))):
        state = [torch.zeros(s.resolve(sizes)) for s in spec.state(role)]
        call = network.encode if role == "encoder" else network.decode
        result, *following = call(data, *state)
        assert [s.shape for s in following] == [s.shape for s in state]
        wanted = (1, spec.latent_channels, 2, 3) if role == "encoder" else pixels.shape
        assert result.shape == wanted
