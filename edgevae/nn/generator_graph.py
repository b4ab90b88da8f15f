"""A generator as the graph of a decoder: unit-scale noise in the place of latents, uint8 frames, state explicit.

    decoder_look     the noise of the first chunk, which decides all objects
    decoder_moving   places and steps, and what float16 cuts off of them: with both a clip moves as in float32
    decoder_begun    0 at the first chunk, 1 at all others, whose noise is not looked at

Where the objects are is computed in float32 in either precision: a digit that is a pixel off differs by 255 levels.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgevae.nn.config import SPATIAL_FACTOR
from edgevae.nn.generator import Generator
from edgevae.nn.generator_config import MOTION_CHANNELS, GeneratorConfig
from edgevae.spec import TensorSpec, VaeSpec

LONGEST_CELLS = 512
"""Of a frame's side: 4096 pixels."""


def generator_spec(config: GeneratorConfig) -> VaeSpec:
    """Return what a runtime needs to know of a generator."""
    c, moving = config.latent_channels, 2 * MOTION_CHANNELS * config.objects
    state = (("look", c), ("moving", moving), ("begun", 1))
    return VaeSpec(
        temporal_factor=config.step_frames,
        spatial_factor=SPATIAL_FACTOR,
        latent_channels=c,
        encoder_halo_px=None,
        decoder_halo_cells=None,
        encoder_state=(),
        decoder_state=tuple(
            TensorSpec(name=f"decoder_{name}", dtype="float32", shape=("batch", n, 1, 1))
            for name, n in state
        ),
        latent_mean=(0.0,) * c,
        latent_std=(1.0,) * c,
    )


class GeneratorGraph(nn.Module):
    """Noise float32 `[B*t, C, h, w]` and state to uint8 frames `[B*T, H, W, 3]` and the next state.

    Of the noise the corner of the first step decides a clip; of the rest only its size is looked at, for that of the
    frames. Sides up to 4096 pixels and not below an object's.

    Args:
        generator: In evaluation mode; it is copied.
        chunk_frames: T, a multiple of the frames of a step.
    """

    step: Tensor
    spread: Tensor

    def __init__(self, generator: Generator, *, chunk_frames: int) -> None:
        super().__init__()
        self.generator = folded(generator)
        # The graph's own, which stay float32 where all layers become float16.
        self.register_buffer("step", generator.log_step.detach().exp())
        self.register_buffer("spread", generator.spread.detach().clone())
        self.frames, self.steps = chunk_frames, chunk_frames // generator.config.step_frames

    def forward(self, noise: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        kept, moving, begun = state
        dtype, count = kept.dtype, self.generator.config.latent_channels
        first = noise.reshape(-1, self.steps * count, *noise.shape[2:])[:, :count, :1, :1]
        share = begun.float()
        deciding = share * kept.float() + (1.0 - share) * first
        look, motion = self.generator.parts(deciding)
        high, low = moving.float().chunk(2, 1)
        path = share * (high + low) + (1.0 - share) * self.generator.start(
            motion, step=self.step, spread=self.spread
        )
        frames, path = self._frames(self._pictures(look.to(dtype)), path, noise)
        high = path.to(dtype)
        rest = (path - high.float()).to(dtype)
        return frames, deciding.to(dtype), torch.cat([high, rest], 1), begun * 0.0 + 1.0

    def _pictures(self, look: Tensor) -> Tensor:
        """Return the objects `[B, objects, side, side]` in 0..1."""
        side = self.generator.config.object_px
        pictures: Tensor = self.generator.looks(look).clamp(0.0, 1.0)
        return pictures.reshape(-1, self.generator.config.objects, side, side)

    def _frames(self, pictures: Tensor, path: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return uint8 frames `[B*T, H, W, 3]` and where the objects are after them."""
        config = self.generator.config
        rows, columns = _pixels(noise), _pixels(noise.transpose(2, 3)).transpose(2, 3)
        height, width = rows[:, :, -1:] + 1.0, columns[..., -1:] + 1.0
        free = torch.cat([height, width] * config.objects, 1) - float(config.object_px)
        shown = []
        for _ in range(self.frames):
            path = self.generator.moved(path)
            corners = (free * path[:, : 2 * config.objects]).floor()
            shown.append(
                self.generator.placed(pictures, corners, rows=rows, columns=columns)[:, None]
            )
        clips = torch.cat(shown, 1)
        folded_clips = clips.reshape(-1, 1, *clips.shape[2:]).permute(0, 2, 3, 1).float()
        levels = torch.round(255.0 * torch.cat([folded_clips] * 3, 3))
        return levels.to(torch.uint8), path


def folded(generator: Generator) -> Generator:
    """Return a copy in evaluation mode whose batch statistics are part of its convolutions."""
    generator = copy.deepcopy(generator).eval()
    for stage in (generator.looks.low, generator.looks.middle, generator.looks.high):
        convolution, norm = stage[0], stage[1]
        assert isinstance(convolution, nn.Conv2d), "as made"
        assert isinstance(norm, nn.BatchNorm2d), "as made"
        stage[0], stage[1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return generator


def _pixels(noise: Tensor) -> Tensor:
    """Return 0, 1, .. 8h - 1 as float32 `[1, 1, 8h, 1]` for noise `[N, C, h, w]`.

    By a sum over all cells above, since no graph of ours asks for a shape.
    """
    ones = 0.0 * noise[:1, :1, :, :1] + 1.0
    above = F.pad(ones, (0, 0, LONGEST_CELLS - 1, 0))
    cells = F.conv2d(above, torch.ones(1, 1, LONGEST_CELLS, 1)) - 1.0
    within = torch.arange(SPATIAL_FACTOR, dtype=torch.float32).reshape(1, -1, 1, 1)
    return (SPATIAL_FACTOR * cells + within).permute(0, 2, 1, 3).reshape(1, 1, -1, 1)
