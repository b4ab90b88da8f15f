"""The properties that the design stands on, for every preset and both kinds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edgevae.errors import ConfigError
from edgevae.nn import PRESETS, ImageVae, VideoVae, preset
from edgevae.nn.decoder import interleave
from edgevae.nn.vae import Vae, initial_state

KINDS = {"video": VideoVae, "image": ImageVae}
SIZES = ("xs", "s")
"""One that works on pixels and one that works on patches."""


def random_vae(kind: str, size: str = "xs") -> Vae:
    """Return a network in which every layer has an effect, with activations of about 1."""
    torch.manual_seed(3)
    vae = KINDS[kind].from_preset(size)
    for parameter in vae.parameters():
        if parameter.ndim == 4 and not parameter.any():
            torch.nn.init.kaiming_normal_(parameter)
            parameter.data *= 0.5
    return vae.eval()


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


def clips(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5)) * 2 - 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", PRESETS)
def test_shapes_and_state_are_those_of_the_spec(kind, size):
    vae = KINDS[kind].from_preset(size).eval()
    spec = vae.spec
    x = clips(2, 4, 3, 16, 24)
    posterior, state = vae.encode(x)
    assert posterior.mean.shape == vae.latent_shape(x) == (2, 4 // spec.temporal_factor, 16, 2, 3)
    frames, decoder_state = vae.decode(posterior.mean)
    assert frames.shape == x.shape
    sizes = {"batch": 2, "height": 16, "width": 24}
    assert [tuple(s.shape) for s in state] == [s.resolve(sizes) for s in spec.encoder_state]
    assert [tuple(s.shape) for s in decoder_state] == [s.resolve(sizes) for s in spec.decoder_state]
    assert bool(spec.encoder_state) == bool(spec.decoder_state) == (kind == "video")


@pytest.mark.parametrize("size", SIZES)
def test_a_video_model_is_causal_later_frames_change_no_earlier_chunk(size):
    vae = random_vae("video", size)
    x = clips(1, 12, 3, 32, 32)
    y = x.clone()
    y[:, 8:] = -y[:, 8:]
    one, other = vae.encode(x)[0].mean, vae.encode(y)[0].mean
    assert torch.equal(one[:, :2], other[:, :2])
    assert not torch.allclose(one[:, 2:], other[:, 2:])
    a, b = vae.decode(one)[0], vae.decode(other)[0]
    assert torch.equal(a[:, :8], b[:, :8])
    assert not torch.allclose(a[:, 8:], b[:, 8:])


@pytest.mark.parametrize("size", SIZES)
def test_earlier_frames_do_change_later_chunks(size):
    vae = random_vae("video", size)
    x = clips(1, 8, 3, 32, 32)
    y = x.clone()
    y[:, 3] = -y[:, 3]
    one, other = vae.encode(x)[0].mean, vae.encode(y)[0].mean
    assert not torch.allclose(one[:, 1], other[:, 1]), "the memory has no effect"


@pytest.mark.parametrize("chunk", [4, 8])
@pytest.mark.parametrize("size", SIZES)
def test_streaming_chunk_by_chunk_equals_the_whole_clip(chunk, size):
    vae = random_vae("video", size)
    x = clips(2, 16, 3, 24, 40)
    whole = vae.encode(x)[0].mean
    frames = vae.decode(whole)[0]
    encoder, decoder, latents, decoded = None, None, [], []
    for first in range(0, 16, chunk):
        posterior, encoder = vae.encode(x[:, first : first + chunk], encoder)
        part, decoder = vae.decode(posterior.mean, decoder)
        latents.append(posterior.mean)
        decoded.append(part)
    torch.testing.assert_close(torch.cat(latents, 1), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat(decoded, 1), frames, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_an_image_model_treats_every_frame_alone(size):
    vae = random_vae("image", size)
    x = clips(1, 3, 3, 16, 16)
    whole = vae.encode(x)[0].mean
    alone = torch.cat([vae.encode(x[:, t : t + 1])[0].mean for t in range(3)], 1)
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_the_encoder_sees_just_as_far_as_its_halo(kind, size):
    vae = random_vae(kind, size)
    halo, width = vae.spec.encoder_halo_px, 4 * vae.spec.encoder_halo_px
    x = clips(1, 8, 3, 16, width)
    base = vae.encode(x)[0].mean
    seen = []
    for column in range(width // 2, width // 2 + 8):
        y = x.clone()
        y[..., column] += 1.0
        changed = torch.nonzero((vae.encode(y)[0].mean != base).flatten(0, -2).any(0)).flatten() * 8
        seen += [column - (int(changed.min()) + 7), int(changed.max()) - column]
    assert max(seen) <= halo
    assert max(seen) > halo - 16, "the halo is larger than it needs to be"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_the_decoder_sees_just_as_far_as_its_halo(kind, size):
    vae = random_vae(kind, size)
    halo = vae.spec.decoder_halo_cells
    width = 4 * halo
    z = clips(1, 2, 16, 2, width)
    y = z.clone()
    y[..., width // 2] += 1.0
    changed = torch.nonzero((vae.decode(y)[0] != vae.decode(z)[0]).flatten(0, -2).any(0)).flatten()
    reach_cells = max(width // 2 - int(changed.min()) // 8, int(changed.max()) // 8 - width // 2)
    assert reach_cells == halo


def test_at_the_start_of_a_clip_the_present_stands_in_for_the_past():
    """A still clip is one picture from its first chunk on: zeros for the past would darken the first."""
    vae = random_vae("video", "s")
    vae.decoder.head.weight.zero_()  # leaves the linear path
    still = torch.randn((1, 1, 16, 3, 4), generator=torch.Generator().manual_seed(5))
    frames, _ = vae.decode(still.expand(1, 3, 16, 3, 4))
    torch.testing.assert_close(frames[:, :4], frames[:, 4:8], atol=1e-5, rtol=0)
    moved, _ = vae.decode(torch.cat([still, -still], 1))
    alone, _ = vae.decode(-still)
    assert not torch.allclose(moved[:, 4:], alone, atol=1e-2), "the past has no effect"


def test_interleave_puts_every_colour_in_its_place():
    n, h, w = 2, 3, 5
    frames = torch.arange(n * 2 * h * 2 * w * 3).reshape(n, 2 * h, 2 * w, 3)
    packed = frames.reshape(n, h, 2, w, 2, 3).permute(0, 2, 4, 5, 1, 3).reshape(n, 12, h, w)
    assert torch.equal(interleave(packed), frames)


@pytest.mark.parametrize("size", SIZES)
def test_the_decoder_takes_latents_of_any_size_without_overflow_in_half_precision(size):
    vae = random_vae("video", size).half()
    state = initial_state(vae.spec.decoder_state, torch.zeros(1).half(), size_px=(16, 16))
    frames, _ = vae.decoder(torch.full((1, 16, 2, 2), 6e4).half(), state, 1)
    assert torch.isfinite(frames).all()


def test_a_class_refuses_the_configuration_of_the_other_kind():
    with pytest.raises(ConfigError, match="kind 'image', expected 'video'"):
        VideoVae(preset("xs", kind="image"))
    with pytest.raises(ConfigError, match="got 'xxl', expected one of xs, s, m"):
        ImageVae.from_preset("xxl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder_channels": (8, 0, 64)}, "counts beside those at 1/8 must be 0"),
        ({"decoder_channels": (0, 0, 0)}, "channel counts must be at least 1"),
        ({"components": 8}, "components is 8, expected 16 to 768"),
        ({"components": 769}, "components is 769, expected 16 to 768"),
        ({"linear_kernel": 1}, "linear_kernel is 1, expected 3 with components"),
    ],
)
def test_a_network_on_patches_refuses_what_it_cannot_be(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(preset("s", kind="video"), **change)
