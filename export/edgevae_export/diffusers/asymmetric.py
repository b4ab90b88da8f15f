"""AsymmetricAutoencoderKL: a decoder larger than the encoder, for in-painting; here without a mask, a plain VAE.

    encoder, decoder   as AutoencoderKL, each with channels and layers of its own

With a mask diffusers also gives the decoder the picture around it. That is another graph, which is not written.
"""

from __future__ import annotations

from typing import Any

from edgevae.errors import InputError
from edgevae.spec import VaeSpec
from edgevae_export.diffusers.configuration import unit_scale
from edgevae_export.diffusers.kl import KlDecoder, KlEncoder, plainer, whole
from edgevae_export.foreign import ForeignVae, shared_copy


def adapt(vae: Any) -> ForeignVae:  # Any: diffusers has no stubs
    """Return an `AsymmetricAutoencoderKL` as what is exported.

    Raises:
        InputError: it is not one of RGB pictures, or its two halves have different factors.
    """
    config = vae.config
    halvings = [len(config.down_block_out_channels) - 1, len(config.up_block_out_channels) - 1]
    channels = config.in_channels, config.out_channels
    if channels != (3, 3) or halvings[0] != halvings[1]:
        raise InputError(
            f"AsymmetricAutoencoderKL: got {channels[0]} channels in and {channels[1]} out, {halvings[0]} halvings and "
            f"{halvings[1]} doublings, expected RGB and the same number"
        )
    plain: Any = plainer(shared_copy(vae))
    return ForeignVae(
        spec=VaeSpec(
            temporal_factor=1,
            spatial_factor=2 ** halvings[0],
            latent_channels=config.latent_channels,
            encoder_halo_px=None,
            decoder_halo_cells=None,
            encoder_state=(),
            decoder_state=(),
            **unit_scale(vae, channels=config.latent_channels),
        ),
        encoder=KlEncoder(plain),
        decoder=KlDecoder(plain),
        own=vae,
        whole=lambda role, data: whole(vae, role, data),
        has_log_variance=True,
    )
