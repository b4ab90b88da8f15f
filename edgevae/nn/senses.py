"""A VAE of several senses: an encoder and a decoder for each, one latent vector a window for all.

    video  -> encoder -> mean, log-variance -+
    sound  -> encoder -> mean, log-variance -+- product of experts -> mean, log-variance -> latents -> each decoder
    tracks -> encoder -> mean, log-variance -+
    prior N(0, 1) ---------------------------+     senses that are missing are left out of the product

Wu and Goodman 2018, "Multimodal Generative Models for Scalable Weakly-Supervised Learning". Convolutions and ReLU
alone: sound is a picture of steps by bands, tracks one convolution over all points. Everything has four axes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from edgevae.nn.blocks import Down
from edgevae.nn.decoder import interleave
from edgevae.nn.normal_flow import normal_flow
from edgevae.nn.posterior import Posterior, bounded
from edgevae.nn.senses_config import PATCH_PX, SensesConfig
from edgevae.senses import Sense


class SenseEncoder(nn.Module):
    """What a sense has of a window, a picture `[B, c, H, W]` or tracks `[B, T, points, 2]`, to its posterior."""

    def __init__(self, sense: Sense, config: SensesConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = config.picture_channels(sense)
        self.frames = sense.shape[0] if sense.kind == "frames" and config.sees_motion else 0
        if widths:
            patch = PATCH_PX[sense.kind]
            first = nn.Conv2d(_picture_channels(sense), widths[0], patch, stride=patch)
            layers += [first, nn.ReLU(), *(Down(a, b) for a, b in pairwise(widths))]
            self.before_vector, self.block_px = len(layers), patch << (len(widths) - 1)
            flows = 2 * (self.frames - 1) if self.frames else 0
            sides = _least_sides(sense, widths)
            layers += [nn.Conv2d(widths[-1] + flows, config.hidden, sides), nn.ReLU()]
        else:
            layers += [nn.Conv2d(sense.shape[0], config.hidden, (sense.shape[1], 2)), nn.ReLU()]
        layers += [nn.Conv2d(config.hidden, config.hidden, 1), nn.ReLU()]
        self.network = nn.Sequential(*layers)
        self.head = nn.Conv2d(config.hidden, 2 * config.latent_channels, 1)

    def forward(self, data: Tensor) -> Posterior:
        if self.frames:
            seen = self.network[: self.before_vector](data)
            flow = normal_flow(data, self.frames, block_px=self.block_px)
            found = self.network[self.before_vector :](torch.cat([seen, flow], 1))
        else:
            found = self.network(data)
        mean, log_variance = self.head(found).chunk(2, 1)
        return Posterior(mean, bounded(log_variance))


class SenseDecoder(nn.Module):
    """Latents `[B, C, 1, 1]` to what a sense would have: frames `[B*T, H, W, 3]`, sound or tracks, of unit scale.

    A picture is asked for patch by patch: the latents are added to a learnt code of each place, and the same few layers
    say what is there (a spatial broadcast decoder, Watters et al. 2019). What moves is learnt in far fewer steps than
    by growing a picture out of the vector.
    """

    def __init__(self, sense: Sense, config: SensesConfig) -> None:
        super().__init__()
        self.sense, hidden = sense, config.hidden
        self.lift = nn.Conv2d(config.latent_channels, hidden, 1)
        self.is_picture = sense.kind != "tracks"
        layers: list[nn.Module] = [nn.ReLU(), nn.Conv2d(hidden, hidden, 1), nn.ReLU()]
        if self.is_picture:
            patch = PATCH_PX[sense.kind]
            self.places = nn.Parameter(
                _place_codes(sense.shape[1] // patch, sense.shape[2] // patch, hidden)
            )
            width = config.channels[0]
            layers += [
                nn.Conv2d(hidden, hidden, 1),
                nn.ReLU(),
                nn.Conv2d(hidden, width, 1),
                nn.ReLU(),
            ]
            self.head = nn.Conv2d(width, patch**2 * _picture_channels(sense), 1)
            self.shuffle = nn.PixelShuffle(2)
        else:
            self.head = nn.Conv2d(hidden, 2 * sense.shape[0] * sense.shape[1], 1)
        self.base = _base(sense, config) if config.has_base else None
        self.network = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        made = self._beside(latents)
        return made if self.base is None else made + self._begun_at(latents, self.base)

    def begin_at(self, mean: Tensor) -> None:
        """Have the linear path give a mean, whatever the latents are: that of a window, of video one picture."""
        assert self.base is not None, "its configuration has a base"
        assert self.base.bias is not None, "as our convolutions have"
        with torch.no_grad():
            self.base.weight.zero_()
            self.base.bias.copy_(mean.flatten())

    def _begun_at(self, latents: Tensor, base: nn.Conv2d) -> Tensor:
        if self.sense.kind != "frames":
            return base(latents).reshape(-1, *_base_shape(self.sense))  # type: ignore[no-any-return]  # of a module
        frames, height, width = self.sense.shape
        picture = base(latents).reshape(-1, height, width, 3)
        return torch.cat([picture] * frames, 1).reshape(-1, height, width, 3)

    def _beside(self, latents: Tensor) -> Tensor:
        lifted = self.lift(latents)
        if not self.is_picture:
            tracks: Tensor = self.head(self.network(lifted)).reshape(-1, *self.sense.shape, 2)
            return tracks
        made: Tensor = self.shuffle(self.head(self.network(lifted + self.places)))
        if self.sense.kind == "frames":  # their patches are of 4 pixels, of which 2 are left
            return interleave(made.reshape(-1, 12, *made.shape[2:]))
        return made


def _base_shape(sense: Sense) -> tuple[int, ...]:
    """Return the shape of what the linear path of a sense gives: one window, of video one picture."""
    if sense.kind == "frames":
        return (*sense.shape[1:], 3)
    return sense.shape if sense.kind == "sound" else (*sense.shape, 2)


def _base(sense: Sense, config: SensesConfig) -> nn.Conv2d:
    return nn.Conv2d(config.latent_channels, math.prod(_base_shape(sense)), 1)


def _place_codes(rows: int, columns: int, channels: int) -> Tensor:
    """Return codes `[1, channels, rows, columns]` to begin with: waves of random lengths and phases."""
    y = (torch.arange(rows) + 0.5)[:, None] / rows - 0.5
    x = (torch.arange(columns) + 0.5)[None] / columns - 0.5
    along, down, phase = torch.randn(3, channels, 1, 1)
    return torch.sin(torch.pi * (1.5 * (along * x + down * y) + 2.0 * phase))[None]


class MultimodalVae(nn.Module):
    """A VAE of several senses, on tensors of `Sense.tensor` in unit scale (`scaled`)."""

    def __init__(self, config: SensesConfig) -> None:
        super().__init__()
        self.config = config
        senses = config.spec.senses
        self.encoders = nn.ModuleDict({s.name: SenseEncoder(s, config) for s in senses})
        self.decoders = nn.ModuleDict({s.name: SenseDecoder(s, config) for s in senses})
        self.apply(_initialise)
        for half in (*self.encoders.values(), *self.decoders.values()):
            # At first every posterior is nearly the prior, and what is shown nearly the mean.
            nn.init.normal_(half.get_parameter("head.weight"), std=0.01)

    def posteriors(self, data: Mapping[str, Tensor]) -> dict[str, Posterior]:
        """Return the posterior of each sense that is there, each by itself and without the prior.

        Args:
            data: Tensors of `Sense.tensor` by the sense's name, as callers have them.
        """
        return {
            name: self.encoders[name](scaled(self.config, self.config.spec.sense(name), value))
            for name, value in data.items()
        }

    def begin_at(self, means: Mapping[str, Tensor]) -> None:
        """Have every decoder's linear path give the mean window of its sense, in the unit scale of `target`."""
        for sense in self.config.spec.senses:
            mean = means[sense.name]
            decoder = self.decoders[sense.name]
            assert isinstance(decoder, SenseDecoder), "as made above"
            decoder.begin_at(mean.mean(0) if sense.kind == "frames" else mean)

    def decode(self, latents: Tensor, name: str) -> Tensor:
        """Return what a sense would have: its tensor, in the unit scale of `target`."""
        return self.decoders[name](latents)  # type: ignore[no-any-return]  # of a module


def scaled(config: SensesConfig, sense: Sense, data: Tensor) -> Tensor:
    """Return what an encoder takes of a tensor of `Sense.tensor`: float32, channels first, of about unit scale."""
    if sense.kind == "frames":
        frames, height, width = sense.shape
        # Cast before the transpose: TensorRT lets a UINT8 input meet nothing but a cast.
        pixels = data.float().permute(0, 3, 1, 2) / 127.5 - 1.0
        return pixels.reshape(-1, 3 * frames, height, width)
    return target(config, sense, data)


def target(config: SensesConfig, sense: Sense, data: Tensor) -> Tensor:
    """Return what a decoder should give of a tensor of `Sense.tensor`: of its shape, float32, of about unit scale."""
    if sense.kind == "frames":
        return data.float() / 127.5 - 1.0
    if sense.kind == "sound":
        return (data - config.sound_mean_db) / config.sound_std_db
    return data / config.tracks_std


def _least_sides(sense: Sense, widths: tuple[int, ...]) -> tuple[int, int]:
    """Return the sides of a picture after its last halving."""
    step = PATCH_PX[sense.kind] << (len(widths) - 1)
    return sense.shape[1] // step, sense.shape[2] // step


def _picture_channels(sense: Sense) -> int:
    """Return the channels of a sense's picture: three colours a frame, or those of the sound."""
    return 3 * sense.shape[0] if sense.kind == "frames" else sense.shape[0]


def _initialise(module: nn.Module) -> None:
    """Start convolutions so that a ReLU behind them keeps the scale."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        assert module.bias is not None, "our convolutions have biases"
        nn.init.zeros_(module.bias)
