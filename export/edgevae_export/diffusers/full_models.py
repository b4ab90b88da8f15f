"""Published sizes with random weights: `python -m edgevae_export.diffusers.full_models FOLDER`.

Speed, memory and parity of a size need no trained weights, and published ones may not be copied everywhere. The last
layers are scaled so that latents have about unit scale and frames use the range of pixels, as those of a trained model.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FULL_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "sd-random": (
        "AutoencoderKL",
        {
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "block_out_channels": (128, 256, 512, 512),
            "layers_per_block": 2,
            "latent_channels": 4,
            "scaling_factor": 0.18215,
        },
    ),
    "taesd-random": ("AutoencoderTiny", {}),
}
"""Class in diffusers and configuration, by name: Stable Diffusion's VAE of 83.7 million parameters, and TAESD's."""

SAMPLE_PX = 64
"""Side of the noise that the scales are measured on."""


@torch.no_grad()
def make_full(name: str) -> Any:  # Any: a class of diffusers
    """Return a model; the same weights every time."""
    import diffusers

    class_name, config = FULL_MODELS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = getattr(diffusers, class_name)(**config).eval()
        pixels = torch.rand(1, 3, SAMPLE_PX, SAMPLE_PX) * 2 - 1
        latents = torch.randn(1, vae.config.latent_channels, SAMPLE_PX // 8, SAMPLE_PX // 8)
    encoded = vae.encode(pixels)
    own = encoded.latent_dist.mode() if class_name == "AutoencoderKL" else encoded.latents
    _scale(vae.encoder, 1.0 / (own.std() * vae.config.scaling_factor))
    _scale(vae.decoder, 0.5 / vae.decode(latents / vae.config.scaling_factor).sample.std())
    return vae


def _scale(half: Any, factor: Tensor) -> None:
    """Multiply the weights of the last convolution of an encoder or decoder."""
    last = half.conv_out if hasattr(half, "conv_out") else half.layers[-1]
    for tensor in last.parameters():
        tensor *= factor


def main() -> None:
    """Write every model, as diffusers does, to a folder in the folder that was given."""
    if len(sys.argv) != 2:
        sys.exit(f"expected the folder to write to, got {len(sys.argv) - 1} arguments")
    for name in FULL_MODELS:
        make_full(name).save_pretrained(Path(sys.argv[1]) / name)


if __name__ == "__main__":
    main()
