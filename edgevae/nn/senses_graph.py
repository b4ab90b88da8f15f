"""A VAE of several senses as the graphs that are exported: an encoder and a decoder a sense, and the fusion."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevae.nn.senses import MultimodalVae, scaled


class SenseEncoderGraph(nn.Module):
    """The tensor of a sense to its posterior, float32 `[B, 2C, 1, 1]`: C means, C log-variances."""

    def __init__(self, vae: MultimodalVae, name: str) -> None:
        super().__init__()
        self.config, self.sense = vae.config, vae.config.spec.sense(name)
        self.encoder = vae.encoders[name]

    def forward(self, data: Tensor) -> tuple[Tensor]:
        mean, log_variance = self.encoder(scaled(self.config, self.sense, data))
        return (torch.cat([mean.float(), log_variance.float()], 1),)


class FusionGraph(nn.Module):
    """Posteriors `[B, 2*S*C, 1, 1]`, all means and then all log-variances, to that of all senses, `[B, 2C, 1, 1]`.

    `product_of_experts` with the sums over senses as convolutions of ones. In half precision all of it is in half: a
    precision is at most 403, and that of a missing sense, whose log-variance is `MISSING_LOG_VARIANCE`, is 0 there.
    """

    def __init__(self, senses: int, channels: int) -> None:
        super().__init__()
        self.means = senses * channels
        self.precision = _summing(senses, channels, prior=1.0)
        self.weighted = _summing(senses, channels, prior=0.0)

    def forward(self, posteriors: Tensor) -> tuple[Tensor]:
        own = posteriors.to(self.precision.weight.dtype)
        mean, log_variance = own[:, : self.means], own[:, self.means :]
        precision = torch.exp(-log_variance)
        total = self.precision(precision)
        weighted = self.weighted(mean * precision)
        return (torch.cat([weighted / total, -torch.log(total)], 1).float(),)


class SenseDecoderGraph(nn.Module):
    """Latents float32 `[B, C, 1, 1]` to the tensor of a sense."""

    def __init__(self, vae: MultimodalVae, name: str) -> None:
        super().__init__()
        self.config, self.sense = vae.config, vae.config.spec.sense(name)
        self.decoder = vae.decoders[name]

    def forward(self, latents: Tensor) -> tuple[Tensor]:
        made = self.decoder(latents).float()
        if self.sense.kind == "frames":
            levels = torch.round(torch.clamp(made * 127.5 + 127.5, 0.0, 255.0))
            return (levels.to(torch.uint8),)
        if self.sense.kind == "sound":
            return (made * self.config.sound_std_db + self.config.sound_mean_db,)
        return (made * self.config.tracks_std,)


def _summing(senses: int, channels: int, *, prior: float) -> nn.Conv2d:
    """Return the convolution that adds up the channels of all senses and what the prior gives."""
    layer = nn.Conv2d(senses * channels, channels, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(channels).repeat(1, senses)[:, :, None, None])
        assert layer.bias is not None, "our convolutions have biases"
        layer.bias.fill_(prior)
    return layer.requires_grad_(False)
