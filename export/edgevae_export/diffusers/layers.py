"""Layers of diffusers with the same weights and arithmetic, written so that they export cleanly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgevae.errors import InputError


class NearestUp(nn.Module):
    """`Upsample2D` with nearest neighbours: without its branches on the batch and on the number of values."""

    def __init__(self, layer: Any) -> None:  # Any: diffusers has no stubs, here and below
        super().__init__()
        if layer.use_conv_transpose or not layer.interpolate or layer.norm is not None:
            raise InputError(
                "Upsample2D: got a transposed convolution or a normalisation, expected nearest neighbours"
            )
        self.conv = layer.conv if layer.use_conv else nn.Identity()

    def forward(self, x: Tensor, *_: object) -> Tensor:
        up: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return up


class PictureAttention(nn.Module):
    """`Attention` over all positions of a picture `[B, C, H, W]`, with one head and a residual connection."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        if layer.heads != 1 or layer.spatial_norm is not None or not layer.residual_connection:
            raise InputError(
                f"Attention: got {layer.heads} heads, expected one head over a picture with a residual connection"
            )
        self.norm = layer.group_norm or nn.Identity()
        self.to_q, self.to_k, self.to_v = layer.to_q, layer.to_k, layer.to_v
        self.to_out = layer.to_out[0]
        self.divisor = layer.rescale_output_factor

    def forward(self, x: Tensor, *_: object, temb: None = None) -> Tensor:
        positions = self.norm(x).flatten(2).transpose(1, 2)
        seen = attend(self.to_q(positions), self.to_k(positions), self.to_v(positions))
        result: Tensor = (self.to_out(seen).transpose(1, 2).reshape(x.shape) + x) / self.divisor
        return result


class ChannelNorm(nn.Module):
    """RMS over the channels of `[N, C, H, W]`, computed in float32 and given in the type of the input.

    Args:
        gamma: One factor a channel, of any shape.
    """

    def __init__(self, gamma: Tensor) -> None:
        super().__init__()
        self.gamma = nn.Parameter(gamma.detach().reshape(-1, 1, 1))
        self.scale = gamma.numel() ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        unit = F.normalize(x.float(), dim=1).to(x.dtype)
        result: Tensor = unit * self.scale * self.gamma
        return result


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return what each position sees, `[B, N, C]` of `[B, N, C]`, one head, softmax in float32.

        softmax((q * s) (k * s)^T) v,   s = C ^ -1/4

    The root of the scale goes to either side before they meet: in float16 the products of C channels would overflow.
    """
    root_scale = q.shape[-1] ** -0.25
    scores = (q * root_scale) @ (k * root_scale).transpose(1, 2)
    return torch.softmax(scores.float(), dim=-1).to(v.dtype) @ v
