"""AutoencoderKLQwenImage: the VAE of Qwen-Image, a video network of Wan's kind that only ever sees one picture.

Before a first frame all is zero, and its convolutions across time do not halve or double it. What is left for a picture
are the last of three weights in time: a network in two dimensions, a third of the arithmetic, no state.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgevae.errors import InputError
from edgevae.spec import Role, VaeSpec
from edgevae_export.diffusers.causal import Call, CausalConv
from edgevae_export.diffusers.configuration import unit_scale
from edgevae_export.diffusers.wan import WanDecoder, WanEncoder
from edgevae_export.diffusers.wan_layers import Double, Halve
from edgevae_export.foreign import ForeignVae


class PresentConv(nn.Module):
    """The part of a `CausalConv` that sees the present frame."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        present = conv.weight.detach().chunk(3, dim=1)[-1].contiguous()
        out, channels, side, _ = present.shape
        self.conv = nn.Conv2d(channels, out, side, padding=side // 2)
        self.conv.weight, self.conv.bias = nn.Parameter(present), conv.bias

    def forward(self, x: Tensor, call: Call, *, times: int, lead: int) -> Tensor:
        result: Tensor = self.conv(x)
        return result


class Picture(nn.Module):
    """An encoder or decoder of Wan's kind for one frame, which begins a clip and ends it.

    Args:
        network: Changed in place.
        outputs: How many results it has ahead of its state.
    """

    wraps = "network"  # see layer_names.py

    def __init__(self, network: WanEncoder | WanDecoder, *, outputs: int) -> None:
        super().__init__()
        for block in list(network.modules()):
            if isinstance(block, (Halve, Double)):
                block.time = None
            for name, child in list(block.named_children()):
                if isinstance(child, CausalConv):
                    setattr(block, name, PresentConv(child.conv))
        self.network, self._outputs = network, outputs

    def forward(self, data: Tensor) -> tuple[Tensor, ...]:
        results: tuple[Tensor, ...] = self.network(data)
        return results[: self._outputs]


def adapt(vae: Any) -> ForeignVae:  # Any: diffusers has no stubs
    """Return an `AutoencoderKLQwenImage` as what is exported.

    Raises:
        InputError: it is not one of RGB pictures.
    """
    config = vae.config
    if config.input_channels != 3:
        raise InputError(
            f"AutoencoderKLQwenImage: got {config.input_channels} channels, expected RGB, 3"
        )
    return ForeignVae(
        spec=VaeSpec(
            temporal_factor=1,
            spatial_factor=vae.spatial_compression_ratio,
            latent_channels=config.z_dim,
            encoder_halo_px=None,
            decoder_halo_cells=None,
            encoder_state=(),
            decoder_state=(),
            **unit_scale(vae, channels=config.z_dim),
        ),
        encoder=Picture(WanEncoder(vae), outputs=2),
        decoder=Picture(WanDecoder(vae), outputs=1),
        own=vae,
        whole=lambda role, data: whole(vae, role, data),
        has_log_variance=True,
    )


def whole(vae: Any, role: Role, data: Tensor) -> Tensor:
    """Return what diffusers makes of pictures one by one, each a clip of one frame, in the network's own scale."""
    clips = data[:, None, :, None]
    if role == "encoder":
        return torch.cat([vae.encode(clip).latent_dist.mode()[:, :, 0] for clip in clips])
    return torch.cat([vae.decode(clip).sample[:, :, 0] for clip in clips])
