"""Small VAEs of diffusers' families: their real structure, few channels, random weights, values of a useful size.

The survey and the tests are made with them, as no published weights are needed for either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class SmallModel:
    """A configuration of a family."""

    class_name: str
    """In diffusers."""
    models: str
    """Published models of this structure, for people."""
    config: dict[str, Any]
    """Arguments of the class; Any, because diffusers has no stubs."""
    is_listed: bool = True
    """Whether the survey has a row of it; others are for tests that want less of the same."""
    last_gain: float = 1.0
    """Factor of the encoder's last weights, so that latents are as large as in a trained one."""


_KL: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (8, 16, 16, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
_DC_BLOCKS = ("ResBlock", "ResBlock", "EfficientViTBlock")
_WAN: dict[str, Any] = {
    "base_dim": 4,
    "z_dim": 4,
    "dim_mult": [1, 1, 2, 2],
    "num_res_blocks": 1,
    "latents_mean": [0.1, 0.0, 0.0, -0.1],
    "latents_std": [0.5, 1.0, 1.0, 2.0],
}

SMALL_MODELS: dict[str, SmallModel] = {
    "kl": SmallModel("AutoencoderKL", "Stable Diffusion 1, 2, XL", {**_KL, "latent_channels": 4}),
    "kl-flux": SmallModel(
        "AutoencoderKL",
        "Stable Diffusion 3, FLUX.1",
        {
            **_KL,
            "latent_channels": 16,
            "scaling_factor": 0.3611,
            "shift_factor": 0.1159,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
        },
    ),
    "kl-flux2": SmallModel(
        "AutoencoderKLFlux2",
        "FLUX.2",
        {**_KL, "latent_channels": 4, "decoder_block_out_channels": (8, 8, 16, 16)},
    ),
    "asymmetric": SmallModel(
        "AsymmetricAutoencoderKL",
        "in-painting decoders of Stable Diffusion",
        {
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "down_block_out_channels": (8, 16, 16, 16),
            "up_block_out_channels": (16, 16, 32, 32),
            "layers_per_down_block": 1,
            "layers_per_up_block": 2,
            "norm_num_groups": 4,
        },
    ),
    "tiny": SmallModel(
        "AutoencoderTiny",
        "TAESD and relatives",
        {
            "encoder_block_out_channels": (8,) * 4,
            "decoder_block_out_channels": (8,) * 4,
            "num_encoder_blocks": (1, 1, 1, 1),
            "num_decoder_blocks": (1, 1, 1, 1),
        },
        last_gain=50.0,
    ),
    "dc": SmallModel(
        "AutoencoderDC",
        "SANA",
        {
            "latent_channels": 8,
            "attention_head_dim": 8,
            "encoder_block_types": _DC_BLOCKS,
            "decoder_block_types": _DC_BLOCKS,
            "encoder_block_out_channels": (16, 32, 32),
            "decoder_block_out_channels": (16, 32, 32),
            "encoder_layers_per_block": (1, 1, 1),
            "decoder_layers_per_block": (1, 1, 1),
            "encoder_qkv_multiscales": ((), (), (5,)),
            "decoder_qkv_multiscales": ((), (), (5,)),
            "scaling_factor": 0.41407,
        },
    ),
    "hunyuan-image": SmallModel(
        "AutoencoderKLHunyuanImage",
        "HunyuanImage 2.1",
        {
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 16,
            # Its normalisation has 32 groups: of one channel each they blow rounding up where a picture is flat.
            "block_out_channels": (128, 128, 128),
            "layers_per_block": 1,
            "spatial_compression_ratio": 4,
            "sample_size": 64,
            "scaling_factor": 0.75,
        },
        is_listed=False,  # not measured yet
    ),
    "qwen": SmallModel("AutoencoderKLQwenImage", "Qwen-Image", _WAN),
    "wan": SmallModel("AutoencoderKLWan", "Wan 2.1", _WAN),
    "wan-residual": SmallModel(
        "AutoencoderKLWan",
        "Wan 2.2",
        {
            **_WAN,
            "base_dim": 8,
            "decoder_base_dim": 8,
            "dim_mult": [1, 2, 4, 4],
            "is_residual": True,
            "patch_size": 2,
            "in_channels": 12,
            "out_channels": 12,
            "scale_factor_spatial": 16,
        },
    ),
    # Tracing takes time by the layer: the same kinds, fewer of them.
    "wan-short": SmallModel(
        "AutoencoderKLWan",
        "Wan 2.1",
        {**_WAN, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 0},
        is_listed=False,
    ),
}
"""By name."""


def make(name: str) -> Any:  # Any: a class of diffusers
    """Return a model; the same weights every time."""
    import diffusers

    small = SMALL_MODELS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = getattr(diffusers, small.class_name)(**small.config).eval()
        if hasattr(vae, "bn"):  # FLUX.2's statistics of latents, which begin as 0 and 1
            vae.bn.running_mean.uniform_(-0.2, 0.2)
            vae.bn.running_var.uniform_(1.0, 3.0)
    if small.last_gain != 1.0:
        with torch.no_grad():
            vae.encoder.layers[-1].weight *= small.last_gain
    return vae
