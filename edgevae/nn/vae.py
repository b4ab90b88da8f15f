"""The VAE: encoder and decoder with one specification."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgevae.frames import round_up
from edgevae.nn import geometry
from edgevae.nn.config import SPATIAL_FACTOR, VaeConfig
from edgevae.nn.decoder import Decoder
from edgevae.nn.encoder import Encoder
from edgevae.nn.patches import PatchDecoder, PatchEncoder
from edgevae.spec import TensorSpec, VaeSpec


@dataclass(frozen=True)
class Posterior:
    """q(z given x), in the network's own scale."""

    mean: Tensor
    """`[B, t, C, h, w]`."""
    log_variance: Tensor
    """`[B, t, C, h, w]`."""

    def sample(self, noise: Tensor) -> Tensor:
        """Return mean + deviation * noise, for noise drawn from N(0, 1) by the caller."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def kl(self) -> Tensor:
        """Return KL(q, N(0, 1)) per latent value, in nats, of the shape of the mean."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance)


class Vae(nn.Module):
    """An image or video VAE on clips `[B, T, 3, H, W]`, float in -1..1; T, H and W must be whole chunks and cells.

    `edgevae.nn.graph` puts uint8 frames and latents of unit scale around it.
    """

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = PatchEncoder(config) if config.components else Encoder(config)
        self.decoder = PatchDecoder(config) if config.components else Decoder(config)
        self.apply(_initialise)

    def encode(
        self, clips: Tensor, state: list[Tensor] | None = None
    ) -> tuple[Posterior, list[Tensor]]:
        """Return the posterior of clips `[B, T, 3, H, W]` and the encoder's next state; no state starts a clip."""
        b, t = clips.shape[:2]
        if state is None:
            state = initial_state(
                self.spec.encoder_state, clips, size_px=(clips.shape[3], clips.shape[4])
            )
        mean, log_variance, state = self.encoder(clips.flatten(0, 1), state, t)
        steps = t // self.config.temporal_factor
        return Posterior(
            mean.unflatten(0, (b, steps)), log_variance.unflatten(0, (b, steps))
        ), state

    def decode(
        self, latents: Tensor, state: list[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return clips `[B, T, 3, H, W]` of latents `[B, t, C, h, w]` (own scale) and the decoder's next state."""
        b, t, _, h, w = latents.shape
        if state is None:
            size_px = (h * SPATIAL_FACTOR, w * SPATIAL_FACTOR)
            state = initial_state(self.spec.decoder_state, latents, size_px=size_px)
        frames, state = self.decoder(latents.flatten(0, 1), state, t)
        return frames.permute(0, 3, 1, 2).unflatten(0, (b, t * self.config.temporal_factor)), state

    def forward(
        self, clips: Tensor, noise: Tensor, kept: Tensor | None = None
    ) -> tuple[Tensor, Posterior]:
        """Return reconstruction and posterior of clips.

        Args:
            clips: `[B, T, 3, H, W]`.
            noise: From N(0, 1), `[B, t, C, h, w]`.
            kept: 1 for the latent channels that the decoder is given and 0 for the others, `[B, C]`; None gives all.
        """
        posterior, _ = self.encode(clips)
        latents = posterior.sample(noise)
        if kept is not None:
            latents = latents * kept[:, None, :, None, None]
        reconstruction, _ = self.decode(latents)
        return reconstruction, posterior

    @property
    def spec(self) -> VaeSpec:
        """What a runtime needs to know, computed from the layers."""
        c = self.config.latent_channels
        return VaeSpec(
            temporal_factor=self.config.temporal_factor,
            spatial_factor=SPATIAL_FACTOR,
            latent_channels=c,
            encoder_halo_px=geometry.encoder_halo_px(self.encoder),
            decoder_halo_cells=geometry.decoder_halo_cells(self.decoder),
            encoder_state=geometry.encoder_state(self.encoder),
            decoder_state=geometry.decoder_state(self.decoder),
            latent_mean=self.config.latent_mean or (0.0,) * c,
            latent_std=self.config.latent_std or (1.0,) * c,
            nested_channels=self.config.nested_channels,
        )

    def latent_shape(self, clips: Tensor) -> tuple[int, int, int, int, int]:
        """Return `[B, t, C, h, w]` of clips `[B, T, 3, H, W]`."""
        b, t, _, h, w = clips.shape
        steps = round_up(t, self.config.temporal_factor) // self.config.temporal_factor
        return b, steps, self.config.latent_channels, h // SPATIAL_FACTOR, w // SPATIAL_FACTOR


def _initialise(module: nn.Module) -> None:
    """Start a convolution so that a ReLU behind it keeps the scale of its input (He et al. 2015, eq. 10).

    PyTorch's default shrinks the signal to 0.4 a layer; after the dozen layers of these networks, which have no
    normalisation, nothing is left but the biases. Residual blocks start as the identity: what is zero stays.
    """
    if isinstance(module, nn.Conv2d) and module.weight.any():
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        assert module.bias is not None, "our convolutions have biases"
        nn.init.zeros_(module.bias)


def initial_state(
    specs: tuple[TensorSpec, ...], like: Tensor, *, size_px: tuple[int, int]
) -> list[Tensor]:
    """Return zero caches for a batch `[B, ...]` with the dtype and device of `like`."""
    sizes = {"batch": like.shape[0], "height": size_px[0], "width": size_px[1]}
    return [
        torch.zeros(spec.resolve(sizes), dtype=like.dtype, device=like.device) for spec in specs
    ]
