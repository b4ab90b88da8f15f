"""Write the tiny models that the tests run on: `tiny-video` and `tiny-image`, checkpoints and bundles.

    python tests/assets/make_bundles.py

Committed, so that the runtime is tested where there is no PyTorch. The weights are random but seeded, with the blocks
that training starts at zero made to count.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

from edgevae.nn import Vae, VaeConfig, save_checkpoint
from edgevae.nn.checkpoint import build
from edgevae_export.export import export_bundle

ASSETS = Path(__file__).parent


def tiny_config(kind: str) -> VaeConfig:
    """Return the smallest network that has every kind of layer."""
    return VaeConfig(
        kind=kind,  # type: ignore[arg-type]  # VaeConfig checks what this script passes
        encoder_channels=(4, 6, 8),
        encoder_blocks=(1, 1, 1),
        decoder_channels=(8, 6, 4),
        decoder_blocks=(1, 1, 1),
        latent_channels=4,
        latent_mean=(0.1, -0.2, 0.0, 0.3),
        latent_std=(0.5, 1.0, 2.0, 0.8),
    )


def tiny_vae(kind: str, *, seed: int = 7) -> Vae:
    """Return a tiny network with random weights in which every layer has an effect."""
    torch.manual_seed(seed)
    vae = build(tiny_config(kind))
    for parameter in vae.parameters():
        if parameter.ndim == 4 and not parameter.any():
            torch.nn.init.kaiming_normal_(parameter)
    return vae.eval()


def main() -> None:
    """Write the four folders."""
    for kind in ("video", "image"):
        checkpoint, bundle = ASSETS / f"tiny-{kind}.checkpoint", ASSETS / f"tiny-{kind}.bundle"
        for folder in (checkpoint, bundle):
            shutil.rmtree(folder, ignore_errors=True)
        save_checkpoint(tiny_vae(kind), checkpoint)
        export_bundle(
            checkpoint, bundle, name=f"tiny-{kind}", step=lambda text: print(text, file=sys.stderr)
        )


if __name__ == "__main__":
    main()
