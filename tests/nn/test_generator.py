"""The generator of clips: motion, state, and what its critics are taught by."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from edgevae.errors import ConfigError, InputError
from edgevae.nn.config import SPATIAL_FACTOR
from edgevae.nn.critics import Critics, critics_loss, generator_loss, slope_penalty
from edgevae.nn.generator import Generator
from edgevae.nn.generator_checkpoint import has_generator, load_generator, save_generator
from edgevae.nn.generator_config import GeneratorConfig
from edgevae.nn.generator_graph import (
    LONGEST_CELLS,
    GeneratorGraph,
    _pixels,
    folded,
    generator_spec,
)
from edgevae.nn.vae import initial_state
from edgevae.runtime.generator_state import MOST_PX

TINY = GeneratorConfig(look_channels=6, channels=2, object_px=12)


@pytest.fixture
def generator():
    """A tiny generator whose objects are bright blots."""
    torch.manual_seed(0)
    generator = Generator(TINY)
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        generator.looks.head.weight.mul_(4.0)
        generator.looks.head.bias.add_(0.5)
    return generator.eval()


@torch.no_grad()
def streamed(generator, noise, *, chunk_frames=4, dtype=torch.float32):
    """Frames and states of noise `[B, t, C, h, w]`, chunk by chunk."""
    graph = GeneratorGraph(generator, chunk_frames=chunk_frames)
    steps = chunk_frames // TINY.step_frames
    state = initial_state(generator_spec(TINY).decoder_state, noise.to(dtype), size_px=(8, 8))
    frames, states = [], []
    for first in range(0, noise.shape[1], steps):
        made, *state = graph(noise[:, first : first + steps].flatten(0, 1), *state)
        frames.append(made.unflatten(0, (len(noise), chunk_frames)))
        states.append(state)
    return torch.cat(frames, 1), states


@pytest.mark.parametrize("chunk_frames", [4, 8])
def test_a_clip_chunk_by_chunk_is_the_whole_clip_at_once(generator, chunk_frames):
    noise = torch.randn(3, 4, TINY.latent_channels, 5, 7)
    frames, _ = streamed(generator, noise, chunk_frames=chunk_frames)
    with torch.no_grad():
        whole = generator(noise[:, 0, :, 0, 0], 16, size_px=(40, 56))
    assert frames.shape == (3, 16, 40, 56, 3)
    assert torch.equal(frames[..., 0], torch.round(255.0 * whole).to(torch.uint8))
    assert torch.equal(frames[..., 0], frames[..., 2])
    assert frames.float().std() > 20, "there is something to see"


def test_the_pixels_of_the_longest_side_that_the_runtime_allows_are_counted_right():
    assert LONGEST_CELLS * SPATIAL_FACTOR == MOST_PX
    counted = _pixels(torch.randn(2, 3, LONGEST_CELLS, 1))
    assert torch.equal(counted.flatten(), torch.arange(MOST_PX, dtype=torch.float32))
    beyond = _pixels(torch.randn(2, 3, LONGEST_CELLS + 1, 1))
    assert beyond.max() < MOST_PX, "which is why more is refused"


def test_a_clip_is_decided_by_its_first_noise_alone(generator):
    noise = torch.randn(1, 3, TINY.latent_channels, 4, 4)
    other = torch.randn_like(noise)
    other[:, 0, :, 0, 0] = noise[:, 0, :, 0, 0]
    assert torch.equal(streamed(generator, noise)[0], streamed(generator, other)[0])
    other[:, 0, :, 0, 0] += 1.0
    assert not torch.equal(streamed(generator, noise)[0], streamed(generator, other)[0])


@torch.no_grad()
def test_an_object_drifts_in_a_straight_line_and_turns_round_at_the_edges(generator):
    start = generator.start(
        torch.randn(50, 8, 1, 1), step=torch.tensor(0.1), spread=generator.spread
    )
    places = torch.stack(list(generator.places(start, 60)), 1)[..., 0, 0]
    assert places.min() >= 0
    assert places.max() <= 1
    y, x = places[..., 0], places[..., 1]
    moved = torch.hypot(y.diff(dim=1), x.diff(dim=1))
    inside = ((y > 0) & (y < 1) & (x > 0) & (x < 1)).double()
    straight = (inside[:, 1:] * inside[:, :-1]).bool()
    assert torch.allclose(moved[straight], torch.tensor(0.1), atol=1e-4)
    assert (~straight).any(), "sixty steps of a tenth meet an edge"
    assert (y.diff(dim=1)[:, 1:] * y.diff(dim=1)[:, :-1] < 0).any(), "and come back"


def test_noise_of_zeros_stands_still_and_is_finite(generator):
    frames, _ = streamed(generator, torch.zeros(1, 2, TINY.latent_channels, 4, 4))
    assert (frames == frames[:, :1]).all()


def test_in_half_precision_the_state_keeps_the_place_as_exactly_as_in_float32(generator):
    noise = torch.randn(2, 5, TINY.latent_channels, 4, 4)
    _, states = streamed(generator, noise)
    graph, state = GeneratorGraph(generator, chunk_frames=4), None
    state = [
        t.half()
        for t in initial_state(generator_spec(TINY).decoder_state, noise[:, 0], size_px=(8, 8))
    ]
    for step in range(
        5
    ):  # only what moves is looked at: pictures in half are the export's to check
        with torch.no_grad():
            graph._pictures = lambda look: torch.zeros(2, 2, 12, 12)
            _, *state = graph(noise[:, step], *state)
    high, low = state[1].float().chunk(2, 1)
    exact = states[-1][1][:, :8]
    assert (high + low - exact).abs().max() < 2e-6
    assert (high - exact).abs().max() > 1e-5, "float16 alone would not do"


def test_batch_statistics_folded_into_the_convolutions_change_nothing(generator):
    noise = torch.randn(2, TINY.latent_channels)
    with torch.no_grad():
        assert torch.allclose(folded(generator)(noise, 3), generator(noise, 3), atol=1e-5)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded(generator).modules())


def test_shape_speed_and_spread_are_learnt_from_what_is_shown(generator):
    generator.train()
    clips = generator(torch.randn(8, TINY.latent_channels), 4)
    assert torch.equal(clips, clips.detach().clamp(0, 1))
    (clips * torch.linspace(0, 1, 64)).sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_checkpoint_keeps_a_generator_and_another_kind_is_told(generator, tmp_path):
    save_generator(generator, tmp_path / "one")
    loaded, noise = load_generator(tmp_path / "one"), torch.randn(1, TINY.latent_channels)
    with torch.no_grad():
        assert torch.equal(loaded(noise, 2), generator(noise, 2))
    assert has_generator(tmp_path / "one")
    assert not has_generator(tmp_path)
    with pytest.raises(InputError, match=r"no config\.json in it"):
        load_generator(tmp_path)
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    (tmp_path / "one" / "config.json").write_text(json.dumps(config | {"legs": 2}))
    with pytest.raises(ConfigError, match="unknown key 'legs'"):
        load_generator(tmp_path / "one")
    with pytest.raises(ConfigError, match="multiple of 4"):
        GeneratorConfig(object_px=30)
    with pytest.raises(ConfigError, match="picture_px"):
        GeneratorConfig(picture_px=(20, 64))
    with pytest.raises(ConfigError, match="in multiples of 8"):
        GeneratorConfig(picture_px=(60, 64))


def test_critics_that_know_nothing_lose_two_bits_each_and_the_penalty_is_the_squared_slope():
    even = (torch.zeros(3), torch.zeros(3))
    assert critics_loss(even, even).item() == pytest.approx(4 * math.log(2))
    assert generator_loss(even).item() == pytest.approx(2 * math.log(2))
    view = torch.randn(5, 1, 4, 4, requires_grad=True)
    said = (3.0 * view).sum((1, 2, 3))
    assert slope_penalty((said,), (view,)).item() == pytest.approx(9.0 * 16)


def test_one_critic_sees_the_chosen_frame_and_the_other_what_changes():
    critics = Critics(width=2, frames=3)
    clips = torch.rand(2, 3, 64, 64)
    one, changes = critics.views(clips, torch.tensor([2, 0]))
    assert torch.allclose(one[:, 0], 2 * torch.stack([clips[0, 2], clips[1, 0]]) - 1)
    still, moving = (
        critics.views(clips[:, :1].expand(-1, 3, -1, -1), torch.tensor([0, 0]))[1],
        changes,
    )
    assert still[:, 1:].abs().max() == 0
    assert moving[:, 1:].abs().max() > 0
    assert [logits.shape for logits in critics((one, changes))] == [(2,), (2,)]
    assert np.isfinite(critics((one, changes))[0].detach().numpy()).all()
