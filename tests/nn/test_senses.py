"""A VAE of several senses in PyTorch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edgevae.errors import ConfigError, InputError
from edgevae.nn.posterior import LOG_VARIANCE_RANGE, Posterior, bounded, product_of_experts
from edgevae.nn.senses import MultimodalVae
from edgevae.nn.senses_checkpoint import is_senses_checkpoint, load_senses, save_senses
from edgevae.nn.senses_config import SensesConfig
from edgevae.nn.senses_graph import FusionGraph
from edgevae.senses import MISSING_LOG_VARIANCE, Sense, SensesSpec

SPEC = SensesSpec(
    senses=(
        Sense(name="left", kind="frames", shape=(2, 16, 16)),
        Sense(name="right", kind="frames", shape=(2, 8, 16)),
        Sense(name="tracks", kind="tracks", shape=(2, 3)),
    ),
    frames_per_second=10.0,
    window_frames=2,
)
TINY = SensesConfig(spec=SPEC, latent_channels=3, channels=(4,), hidden=5)


def posterior(seed: int, batch: int = 2) -> Posterior:
    made = torch.randn(2, batch, 3, 1, 1, generator=torch.Generator().manual_seed(seed))
    return Posterior(made[0], made[1])


def test_the_product_of_experts_is_the_normal_whose_density_is_their_product():
    experts = [posterior(1), posterior(2), posterior(3)]
    fused = product_of_experts(experts)
    at = torch.linspace(-4.0, 4.0, 4001, dtype=torch.float64)[:, None, None, None, None]
    density = -0.5 * at.square()
    for expert in experts:
        density = density - 0.5 * (at - expert.mean).square() / expert.log_variance.exp()
    share = torch.softmax(density, 0)
    mean = (share * at).sum(0)
    variance = (share * (at - mean).square()).sum(0)
    assert torch.allclose(fused.mean.double(), mean, atol=1e-4)
    assert torch.allclose(fused.log_variance.exp().double(), variance, atol=1e-4)


def test_the_order_of_experts_does_not_matter_and_none_is_the_prior():
    experts = [posterior(1), posterior(2), posterior(3)]
    one, other = product_of_experts(experts), product_of_experts(experts[::-1])
    assert torch.allclose(one.mean, other.mean, atol=1e-6)
    knows_nothing = Posterior(
        torch.zeros(2, 3, 1, 1), torch.full((2, 3, 1, 1), MISSING_LOG_VARIANCE)
    )
    assert torch.allclose(product_of_experts([knows_nothing]).log_variance, torch.zeros(2, 3, 1, 1))
    with_it, without = product_of_experts([*experts, knows_nothing]), product_of_experts(experts)
    assert torch.allclose(with_it.mean, without.mean, atol=1e-6)


def test_the_divergence_is_that_of_normals():
    q = posterior(4)
    normal = torch.distributions.Normal(q.mean, (0.5 * q.log_variance).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    assert torch.allclose(q.divergence(), expected.sum((1, 2, 3)), atol=1e-5)


def test_a_log_variance_outside_its_bounds_learns_what_brings_it_back_and_nothing_else():
    least, most = LOG_VARIANCE_RANGE
    value = torch.tensor([least - 1, least - 1, 0.0, 0.0, most + 1, most + 1], requires_grad=True)
    clamped = bounded(value)
    assert torch.equal(clamped, torch.clamp(value, least, most))
    assert torch.equal(bounded(value.detach()), clamped)
    clamped.backward(torch.tensor([-1.0, 1.0, -1.0, 1.0, 1.0, -1.0]))
    assert value.grad is not None
    assert value.grad.tolist() == [-1.0, 0.0, -1.0, 1.0, 1.0, 0.0]


@torch.no_grad()
def test_the_graph_of_the_fusion_is_the_product_of_experts():
    experts = [posterior(seed) for seed in range(3)]
    together = torch.cat([e.mean for e in experts] + [e.log_variance for e in experts], 1)
    (fused,) = FusionGraph(3, 3)(together)
    expected = product_of_experts(experts)
    assert torch.allclose(fused, torch.cat([*expected], 1), atol=1e-6)


@torch.no_grad()
def test_every_sense_has_a_posterior_within_bounds_and_is_decoded_to_its_own_shape():
    vae = MultimodalVae(TINY).eval()
    data = {
        "left": torch.randint(0, 256, (6, 16, 16, 3), dtype=torch.uint8),
        "right": torch.randint(0, 256, (6, 8, 16, 3), dtype=torch.uint8),
        "tracks": 1e6 * torch.randn(3, 2, 3, 2),
    }
    for name, found in vae.posteriors(data).items():
        assert found.mean.shape == (3, 3, 1, 1)
        assert found.log_variance.min() >= LOG_VARIANCE_RANGE[0]
        assert found.log_variance.max() <= LOG_VARIANCE_RANGE[1]
        assert vae.decode(found.mean, name).shape == data[name].shape


def test_a_checkpoint_comes_back_and_is_told_from_others(tmp_path, tiny_checkpoint):
    vae = MultimodalVae(TINY)
    save_senses(vae, tmp_path)
    assert is_senses_checkpoint(tmp_path)
    assert not is_senses_checkpoint(tiny_checkpoint)
    again = load_senses(tmp_path)
    assert again.config == TINY
    for name, value in vae.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    with pytest.raises(InputError, match=r"no config.json of a VAE of several senses in it"):
        load_senses(tiny_checkpoint)


@pytest.mark.parametrize(
    ("sense", "message"),
    [
        ({"shape": (2, 24, 16)}, "24 x 16, expected sides of 4 patches of 4 pixels"),
        ({"shape": (2, 16)}, r"shape \[2, 16\], expected \(frames, height, width\)"),
        ({"shape": (3, 16, 16)}, "3 frames, expected 2 of the window"),
        ({"name": "Left"}, "name 'Left', expected small letters"),
        ({"name": "latents"}, "none of frames, latents"),
        ({"name": "frames"}, "none of frames, latents"),
        ({"shape": (2, 2**16, 2**16)}, "expected at most 67108864 values a window"),
        (
            {"kind": "tracks", "shape": (2, 9)},
            "9 points in frames of 64 x 64, expected the motion of 16 blocks",
        ),
        ({"kind": "sound", "shape": (1, 8, 8)}, "8 bands, expected those of `sound`"),
    ],
)
def test_a_sense_that_cannot_be_is_refused(sense, message):
    with pytest.raises(ConfigError, match=message):
        SensesConfig(
            spec=SensesSpec(
                senses=(
                    Sense(**{"name": "left", "kind": "frames", "shape": (2, 16, 16), **sense}),
                ),
                frames_per_second=10.0,
                window_frames=2,
                tracks="motion",
            )
        )


@torch.no_grad()
def test_a_decoder_with_a_base_begins_at_the_mean_and_its_picture_stays_for_the_window():
    torch.manual_seed(3)
    vae = MultimodalVae(replace(TINY, has_base=True)).eval()
    means = {
        "left": torch.randn(2, 16, 16, 3),
        "right": torch.randn(2, 8, 16, 3),
        "tracks": torch.randn(2, 3, 2),
    }
    vae.begin_at(means)
    latents = torch.randn(5, 3, 1, 1)
    for sense in SPEC.senses:
        decoder = vae.decoders[sense.name]
        decoder.head.weight.zero_()
        decoder.head.bias.zero_()
        mean = means[sense.name]
        wanted = mean.mean(0).expand_as(mean) if sense.kind == "frames" else mean
        made = vae.decode(latents, sense.name)
        assert torch.allclose(made.reshape(5, *mean.shape), wanted)
        decoder.base.weight.normal_()
        moved = vae.decode(latents, sense.name)
        assert (moved[-1] - made[-1]).abs().max() > 0.1
        if sense.kind == "frames":
            first, second = moved.reshape(5, 2, *moved.shape[1:]).unbind(1)
            assert torch.equal(first, second)


@pytest.mark.parametrize("pace", [0.0, 1e-6, 1e6, float("inf"), float("nan")])
def test_a_pace_that_no_clip_has_is_refused(pace):
    with pytest.raises(
        ConfigError, match=r"frames a second and 2 a window, expected 0\.01 to 1000"
    ):
        SensesSpec(senses=SPEC.senses, frames_per_second=pace, window_frames=2)
