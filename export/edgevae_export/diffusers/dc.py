"""AutoencoderDC: the deep-compression autoencoder of SANA, 32 or 64 pixels a cell, linear attention.

    encoder   conv  [residual or attention blocks, pixel unshuffle with shortcut] x n  conv + averages
    decoder   conv + repeats  [pixel shuffle with shortcut, residual or attention blocks] x n  norm, conv

Linear attention sums over the whole picture, so there is no finite halo.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgevae.errors import InputError
from edgevae.spec import Role, VaeSpec
from edgevae_export.diffusers.configuration import unit_scale
from edgevae_export.foreign import ForeignVae, shared_copy


class DcEncoder(nn.Module):
    """Pixels to latents; there is no posterior."""

    def __init__(self, vae: Any) -> None:  # Any: diffusers has no stubs, here and below
        super().__init__()
        self.encoder = vae.encoder

    def forward(self, pixels: Tensor) -> tuple[Tensor, None]:
        return self.encoder(pixels), None


class DcDecoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.decoder = vae.decoder

    def forward(self, latents: Tensor) -> tuple[Tensor]:
        return (self.decoder(latents),)


class LinearAttention:
    """A processor for `SanaMultiscaleLinearAttention`: always the linear form, in float32.

    diffusers takes the quadratic form for pictures of no more positions than a head has channels, which is the same
    sum in another order; a graph has one form for all sizes.
    """

    def __call__(self, attention: Any, x: Tensor) -> Tensor:
        positions = x.movedim(1, -1)
        projected = [layer(positions) for layer in (attention.to_q, attention.to_k, attention.to_v)]
        qkv = torch.cat(projected, dim=3).movedim(-1, 1)
        scales = torch.cat([qkv, *(scale(qkv) for scale in attention.to_qkv_multiscale)], dim=1)
        heads = scales.reshape(
            x.shape[0], -1, 3 * attention.attention_head_dim, x.shape[2] * x.shape[3]
        ).float()
        q, k, v = heads.chunk(3, dim=2)
        # A row of ones behind the values gives the sum of the weights; where that is 0, 0 is wanted. diffusers adds
        # 1e-15 to it, which onnxscript 0.7's optimizer drops (to its patterns all below 1e-8 is 0): 0 / 0 is NaN.
        sums = F.pad(v, (0, 0, 0, 1), value=1.0) @ k.relu().transpose(-1, -2) @ q.relu()
        seen = (sums[:, :, :-1] / sums[:, :, -1:].clamp(min=attention.eps)).flatten(1, 2)
        seen = seen.to(x.dtype).reshape(x.shape[0], -1, *x.shape[2:]).movedim(1, -1)
        out = attention.norm_out(attention.to_out(seen)).movedim(-1, 1)
        result: Tensor = out + x if attention.residual_connection else out
        return result


def adapt(vae: Any) -> ForeignVae:
    """Return an `AutoencoderDC` as what is exported.

    Raises:
        InputError: it is not one of RGB pictures, or normalises over the batch.
    """
    config = vae.config
    plain: Any = shared_copy(vae)
    for module in plain.modules():
        if type(module).__name__ == "SanaMultiscaleLinearAttention":
            if module.norm_type != "rms_norm":
                raise InputError(
                    f"AutoencoderDC: got {module.norm_type} in its attention, expected rms_norm"
                )
            module.processor = LinearAttention()
    if config.in_channels != 3:
        raise InputError(f"AutoencoderDC: got {config.in_channels} channels, expected RGB, 3")
    return ForeignVae(
        spec=VaeSpec(
            temporal_factor=1,
            spatial_factor=vae.spatial_compression_ratio,
            latent_channels=config.latent_channels,
            encoder_halo_px=None,
            decoder_halo_cells=None,
            encoder_state=(),
            decoder_state=(),
            **unit_scale(vae, channels=config.latent_channels),
        ),
        encoder=DcEncoder(plain),
        decoder=DcDecoder(plain),
        own=vae,
        whole=lambda role, data: whole(vae, role, data),
        has_log_variance=False,
    )


def whole(vae: Any, role: Role, data: Tensor) -> Tensor:
    """Return what diffusers makes of pictures one by one, in the network's own scale."""
    if role == "encoder":
        return torch.cat([vae.encode(picture[None]).latent for picture in data])
    return torch.cat([vae.decode(latents[None]).sample for latents in data])
