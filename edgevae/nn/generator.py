"""A generator of clips: noise to some objects that move on black, made for Moving MNIST and learnt against critics.

    noise of the first chunk -+- look ---- network -- pictures of the objects --+
                              +- motion -- place and direction -- a step a frame -+- placed, the brightest seen - frames

What an object looks like is learnt whole. How it moves is mostly built in: it starts anywhere, goes straight in any
direction and is reflected at the edges. A network that had to find this out by a critic's word alone drove everything
into a corner and learnt nothing else. Learnt of it are how far an object goes in a frame, and how starts are spread.
All is decided in the first chunk and stays in the state, so that a clip is of one piece for as long as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevae.nn.generator_config import MOTION_CHANNELS, GeneratorConfig

_START_STEP = 0.06
"""Of the free range in a frame, before it is learnt; Moving MNIST has 0.1."""
_LEAK = 0.2
_STILL = 1e-6
"""Added to a squared length, so that noise of zeros has a direction: none."""


class Looks(nn.Module):
    """Noise `[N, look, 1, 1]` to grey pictures of objects `[N, 1, side, side]`, about 0..1, not clamped."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        c, self.low_px = config.channels, config.object_px // 4
        self.low_channels = 4 * c
        self.stem = nn.Conv2d(config.look_channels, self.low_px**2 * self.low_channels, 1)
        # The statistics of a batch keep the objects of one apart, which is what a generator forgets first; in the
        # exported graph they are part of the convolutions.
        self.low, self.middle, self.high = (
            _stage(4 * c, 4 * c),
            _stage(4 * c, 2 * c),
            _stage(2 * c, c),
        )
        self.head = nn.Conv2d(c, 1, 3, padding=1)

    def forward(self, look: Tensor) -> Tensor:
        x = self.stem(look).reshape(-1, self.low_channels, self.low_px, self.low_px)
        x = self.low(torch.relu(x))
        x = self.middle(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        x = self.high(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        pictures: Tensor = self.head(x)
        return pictures


class Generator(nn.Module):
    """Noise to clips; `generator_graph` runs the same chunk by chunk, with its state passed in and returned."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.looks = Looks(config)
        self.log_step = nn.Parameter(torch.tensor(_START_STEP).log())
        self.spread = nn.Parameter(
            torch.tensor(1.7)
        )  # sigmoid(1.7 x) is nearly the normal distribution's function

    def forward(self, noise: Tensor, frames: int, *, size_px: tuple[int, int] = (64, 64)) -> Tensor:
        """Return clips grey in 0..1 `[B, T, H, W]`, whole, of noise `[B, C]`."""
        look, motion = self.parts(noise[:, :, None, None])
        raw = self.looks(look).float().reshape(len(noise), self.config.objects, *self._side_px)
        # Outside of black and white a fifth of the gradient is left: with none no picture comes back from there.
        level = raw.clamp(0.0, 1.0)
        leaky = level + _LEAK * (raw - level)
        pictures = leaky + (level - leaky).detach()
        rows, columns = (torch.arange(n, device=noise.device, dtype=torch.float32) for n in size_px)
        free = noise.new_tensor([n - self.config.object_px for n in size_px] * self.config.objects)
        start = self.start(motion, step=self.log_step.exp(), spread=self.spread)
        shown = list[Tensor]()
        for place in self.places(start, frames):
            corners = free[:, None, None] * place
            seen = self.placed(pictures, corners.floor(), rows=rows[:, None], columns=columns)
            # What is shown stands at whole pixels; what is learnt of places is the slope between them.
            between = self.placed(pictures.detach(), corners, rows=rows[:, None], columns=columns)
            shown.append(seen + (between - between.detach()))
        return torch.stack(shown, 1)

    def parts(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return looks `[B*objects, look, 1, 1]` and motion `[B, 4*objects, 1, 1]` of noise `[B, C, 1, 1]`."""
        motion = MOTION_CHANNELS * self.config.objects
        return noise[:, motion:].reshape(-1, self.config.look_channels, 1, 1), noise[:, :motion]

    def start(self, motion: Tensor, *, step: Tensor, spread: Tensor) -> Tensor:
        """Return places and steps `[B, 4*objects, 1, 1]`, of motion noise of the same shape.

        y and x of each object in 0..1 of its free range, then their steps in a frame.

        Args:
            motion: From N(0, 1).
            step: How far an object goes in a frame: `log_step.exp()`.
            spread: Of the places, `spread`; both may be of more precision than the network's.
        """
        half = 2 * self.config.objects
        place = torch.sigmoid(spread * motion[:, :half])
        towards = motion[:, half:]
        lengths = [
            (towards[:, n : n + 2].square().sum(1, keepdim=True) + _STILL).sqrt()
            for n in range(0, half, 2)
        ]
        length = torch.cat([one for one in lengths for _ in range(2)], 1)
        return torch.cat([place, step * towards / length], 1)

    def places(self, moving: Tensor, frames: int) -> Iterator[Tensor]:
        """Yield the places at each frame `[B, 2*objects, 1, 1]` in 0..1; the first is one step on from the start."""
        for _ in range(frames):
            moving = self.moved(moving)
            yield moving[:, : 2 * self.config.objects]

    def moved(self, moving: Tensor) -> Tensor:
        """Return places and steps one frame later: at an edge an object stops and turns round."""
        half = 2 * self.config.objects
        place, step = moving[:, :half] + moving[:, half:], moving[:, half:]
        inside = torch.clamp(place, 0.0, 1.0)
        turn = 1.0 - 2.0 * torch.ceil(torch.clamp((place - inside).abs(), max=1.0)).detach()
        return torch.cat([inside, turn * step], 1)

    def placed(self, pictures: Tensor, corners: Tensor, *, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the frame `[B, H, W]` of pictures `[B, objects, side, side]` with their corners at given places.

        Two products put a picture where it belongs: one has a 1 where a row of the frame is one of the picture's, the
        other where a column is. Between pixels they interpolate.

        Args:
            pictures: Of the objects.
            corners: y and x of each, in pixels, `[B, 2*objects, 1, 1]`.
            rows: 0, 1, .. of the frame, float32 `[..., H, 1]`.
            columns: Likewise `[..., W]`.
        """
        side = torch.arange(self.config.object_px, device=pictures.device, dtype=torch.float32)
        y, x = corners[:, 0::2], corners[:, 1::2]
        down = F.relu(1.0 - (rows - y - side).abs())
        across = F.relu(1.0 - (columns - x - side[:, None]).abs())
        layers = down.to(pictures.dtype) @ pictures @ across.to(pictures.dtype)
        return layers.amax(1)

    @property
    def _side_px(self) -> tuple[int, int]:
        return self.config.object_px, self.config.object_px


def _stage(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )
