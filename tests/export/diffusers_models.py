"""Small VAEs of diffusers' families: their real structure, few channels, random weights, values of a useful size."""

from __future__ import annotations

from typing import Any

import torch

KL_BLOCKS = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (8, 16, 16, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
DC_BLOCKS = ("ResBlock", "ResBlock", "EfficientViTBlock")
WAN = {
    "base_dim": 4,
    "z_dim": 4,
    "dim_mult": [1, 1, 2, 2],
    "num_res_blocks": 1,
    "latents_mean": [0.1, 0.0, 0.0, -0.1],
    "latents_std": [0.5, 1.0, 1.0, 2.0],
}
CONFIGURATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny": (
        "AutoencoderTiny",
        {
            "encoder_block_out_channels": (8,) * 4,
            "decoder_block_out_channels": (8,) * 4,
            "num_encoder_blocks": (1, 1, 1, 1),
            "num_decoder_blocks": (1, 1, 1, 1),
        },
    ),
    "kl": ("AutoencoderKL", {**KL_BLOCKS, "latent_channels": 4}),
    "kl-flux": (
        "AutoencoderKL",
        {
            **KL_BLOCKS,
            "latent_channels": 16,
            "scaling_factor": 0.3611,
            "shift_factor": 0.1159,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
        },
    ),
    "dc": (
        "AutoencoderDC",
        {
            "latent_channels": 8,
            "attention_head_dim": 8,
            "encoder_block_types": DC_BLOCKS,
            "decoder_block_types": DC_BLOCKS,
            "encoder_block_out_channels": (16, 32, 32),
            "decoder_block_out_channels": (16, 32, 32),
            "encoder_layers_per_block": (1, 1, 1),
            "decoder_layers_per_block": (1, 1, 1),
            "encoder_qkv_multiscales": ((), (), (5,)),
            "decoder_qkv_multiscales": ((), (), (5,)),
            "scaling_factor": 0.41407,
        },
    ),
    "wan": ("AutoencoderKLWan", WAN),
    # Tracing takes time by the layer: the same kinds, fewer of them.
    "wan-short": ("AutoencoderKLWan", {**WAN, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 0}),
}


def make(name: str) -> Any:
    """Return a model; the same weights every time."""
    import diffusers

    class_name, config = CONFIGURATIONS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = getattr(diffusers, class_name)(**config).eval()
    if name == "tiny":
        # Its latents would be a thousandth of what they are in a trained one.
        with torch.no_grad():
            vae.encoder.layers[-1].weight *= 50
    return vae
