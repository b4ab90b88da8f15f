"""The networks as the graphs that are exported: uint8 frames and unit-scale latents at the boundary, state explicit.

These modules are also the PyTorch side of every parity check and benchmark, so that both do the same work. In a
network of half precision the arithmetic at the boundary stays in float32: levels near 255 lie 0.125 apart in float16,
and rounding them cost 10 dB between the fp16 and fp32 frames of a white picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevae.nn.predictor import Predictor
from edgevae.nn.prior import Prior
from edgevae.nn.vae import Vae


class EncoderGraph(nn.Module):
    """uint8 frames `[B*T, H, W, 3]` and state to latents float32 `[B*t, C, h, w]` and the next state.

    Args:
        vae: The network; its parameters may be float32 or float16.
        chunk_frames: T, a multiple of the temporal factor.
        log_variance: Also give the log-variance of the latents (unit scale) behind them.
    """

    def __init__(self, vae: Vae, *, chunk_frames: int, log_variance: bool = False) -> None:
        super().__init__()
        self.encoder = vae.encoder
        self.chunk_frames = chunk_frames
        self.log_variance = log_variance
        self.latent_mean, self.latent_std = _normalisation(self, vae)

    def forward(self, frames: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        # Cast before the transpose: TensorRT lets a UINT8 input meet nothing but a cast.
        pixels = (frames.float().permute(0, 3, 1, 2) / 127.5 - 1.0).to(
            self.encoder.head.weight.dtype
        )
        mean, log_variance, following = self.encoder(pixels, list(state), self.chunk_frames)
        latents = (mean.float() - self.latent_mean) / self.latent_std
        outputs = [latents]
        if self.log_variance:
            outputs.append(log_variance.float() - 2.0 * torch.log(self.latent_std))
        return (*outputs, *_like(following, state))


class DecoderGraph(nn.Module):
    """Latents float32 `[B*t, C, h, w]` and state to uint8 frames `[B*T, H, W, 3]` and the next state."""

    def __init__(self, vae: Vae, *, chunk_frames: int) -> None:
        super().__init__()
        self.decoder = vae.decoder
        self.chunk_steps = chunk_frames // vae.config.temporal_factor
        self.latent_mean, self.latent_std = _normalisation(self, vae)

    def forward(self, latents: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        dtype = self.decoder.head.weight.dtype
        own_scale = (latents * self.latent_std + self.latent_mean).to(dtype)
        frames, following = self.decoder(own_scale, list(state), self.chunk_steps)
        levels = torch.round(torch.clamp(frames.float() * 127.5 + 127.5, 0.0, 255.0))
        return (levels.to(torch.uint8), *_like(following, state))


class PredictorGraph(nn.Module):
    """Latents float32 `[B*t, C, h, w]` and state to those of the next chunk and the next state."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, latents: Tensor, *state: Tensor) -> tuple[Tensor, Tensor]:
        (memory,) = state
        following, memory = self.predictor(latents.to(memory.dtype), memory)
        return following.float(), memory


class PriorGraph(nn.Module):
    """Noise float32 `[B*t, C, h, w]` and state to latents float32 of unit scale and the next state."""

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, noise: Tensor, *state: Tensor) -> tuple[Tensor, Tensor]:
        (memory,) = state
        latents: tuple[Tensor, Tensor] = self.prior(noise, memory)
        return latents


def _normalisation(module: nn.Module, vae: Vae) -> tuple[Tensor, Tensor]:
    """Register the latent mean and deviation as float32 constants `[C, 1, 1]` and return them."""
    spec, device = vae.spec, vae.encoder.head.weight.device
    for name, values in (("latent_mean", spec.latent_mean), ("latent_std", spec.latent_std)):
        module.register_buffer(
            name, torch.tensor(values, dtype=torch.float32, device=device).reshape(-1, 1, 1)
        )
    return module.get_buffer("latent_mean"), module.get_buffer("latent_std")


def _like(following: list[Tensor], state: tuple[Tensor, ...]) -> list[Tensor]:
    """Return the next state in the dtype of the last one: layers that export keeps in float32 may give float32."""
    return [new.to(old.dtype) for new, old in zip(following, state, strict=True)]
