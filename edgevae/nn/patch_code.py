"""The plainest VAE: latents are the grey values of a patch of 8 x 8 pixels, space-to-depth, and nothing is lost.

A network in latent space needs a VAE to be in the space of. For small grey pictures whose every pixel matters this one
does as well as any, needs no training and costs nothing beside what works on it.
"""

from __future__ import annotations

import torch

from edgevae.nn.checkpoint import build
from edgevae.nn.config import SPATIAL_FACTOR, VaeConfig
from edgevae.nn.patches import PatchDecoder, PatchEncoder
from edgevae.nn.vae import Vae

CHANNELS = SPATIAL_FACTOR**2
"""C: one latent channel a pixel of the patch, row by row."""
_BOUND = 64.0
"""Of the decoder, far above the pixels' -1..1: bent by 1e-4 there."""


def patch_code_config(*, mean: float, std: float) -> VaeConfig:
    """Return the configuration of a code of grey patches.

    Args:
        mean: Of the pixels in -1..1, over the data that is to have unit scale.
        std: Their standard deviation.
    """
    return VaeConfig(
        kind="image",
        components=CHANNELS,
        latent_channels=CHANNELS,
        encoder_channels=(0, 0, 1),
        encoder_blocks=(0, 0, 0),
        decoder_channels=(1, 0, 0),
        decoder_blocks=(0, 0, 0),
        latent_bound=_BOUND,
        latent_mean=(mean,) * CHANNELS,
        latent_std=(std,) * CHANNELS,
    )


@torch.no_grad()
def patch_code(config: VaeConfig) -> Vae:
    """Return a VAE of `patch_code_config` whose weights copy pixels: the mean of the colours in, all colours out."""
    vae = build(config)
    for parameter in vae.parameters():
        parameter.zero_()
    assert isinstance(vae.encoder, PatchEncoder), "of patch_code_config"
    assert isinstance(vae.decoder, PatchDecoder), "of patch_code_config"
    identity = torch.eye(CHANNELS)
    pixel = identity.reshape(CHANNELS, 1, SPATIAL_FACTOR, SPATIAL_FACTOR)
    vae.encoder.patches.weight.copy_(pixel.expand(-1, 3, -1, -1) / 3.0)
    for linear in (vae.encoder.linear, vae.decoder.linear):
        linear.weight[:, :, 1, 1].copy_(identity)  # the cell itself
    vae.decoder.basis.weight.copy_(_shuffled(identity)[:, :, None, None])
    return vae.eval()


def _shuffled(patches: torch.Tensor) -> torch.Tensor:
    """Return `[192, C]`: pixels `[C, 64]` as the decoder's shuffle and `interleave` have them, for three colours.

    They take the slow part of y and x last, the fast one first: y = 2 * slow + fast, as in `training.principal`.
    """
    slow = SPATIAL_FACTOR // 2
    cells = patches.reshape(len(patches), slow, 2, slow, 2).permute(0, 2, 4, 1, 3)
    colours = cells[:, :, :, None].expand(-1, -1, -1, 3, -1, -1)
    return colours.reshape(len(patches), -1).T
