"""Write the tiny models that the tests run on: `tiny-video`, `tiny-image`, the latter with a predictor and with a
prior, and `tiny-senses`.

    python tests/assets/make_bundles.py

Committed, so that the runtime is tested where there is no PyTorch. The weights are random but seeded, with the blocks
that training starts at zero made to count.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from edgevae.mel import MelConfig
from edgevae.nn import Vae, VaeConfig, save_checkpoint
from edgevae.nn.checkpoint import build
from edgevae.nn.predictor import Predictor
from edgevae.nn.predictor_checkpoint import save_predictor
from edgevae.nn.predictor_config import PredictorConfig
from edgevae.nn.prior import Prior
from edgevae.nn.prior_checkpoint import save_prior
from edgevae.nn.prior_config import PriorConfig
from edgevae.nn.senses import MultimodalVae
from edgevae.nn.senses_checkpoint import save_senses
from edgevae.nn.senses_config import SensesConfig
from edgevae.senses import Sense, SensesSpec
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


def tiny_predictor(*, seed: int = 8) -> Predictor:
    """Return the smallest predictor in the latents of the tiny image model."""
    torch.manual_seed(seed)
    config = PredictorConfig(
        latent_channels=4, chunk_steps=2, fine_channels=2, channels=4, blocks=1, deep_blocks=1
    )
    predictor = Predictor(config)
    for parameter in predictor.parameters():
        if parameter.ndim == 4:
            # So many layers of the usual scale one behind the other would leave half precision's gate.
            torch.nn.init.kaiming_normal_(parameter).data.mul_(0.7)
    return predictor.eval()


def tiny_prior(*, seed: int = 9) -> Prior:
    """Return the smallest prior in the latents of the tiny image model."""
    torch.manual_seed(seed)
    config = PriorConfig(
        latent_channels=4,
        picture_px=(16, 24),
        chunk_steps=2,
        past_chunks=2,
        channels=4,
        dilations=(1, 2),
        flow_steps=2,
    )
    prior = Prior(config)
    for parameter in prior.parameters():
        if parameter.ndim == 4:
            # A trained one says directions of unit scale.
            torch.nn.init.normal_(parameter, std=0.7 / parameter[0].numel() ** 0.5)
    return prior.eval()


def write_part(name: str, save: Callable[[Path], None]) -> None:
    """Write `NAME.bundle`, the tiny image model with what `save` adds to its checkpoint, which is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, name)
        save_checkpoint(tiny_vae("image"), checkpoint)
        save(checkpoint)
        bundle = ASSETS / f"{name}.bundle"
        shutil.rmtree(bundle, ignore_errors=True)
        export_bundle(checkpoint, bundle, step=lambda text: print(text, file=sys.stderr))


def tiny_senses(*, seed: int = 9) -> MultimodalVae:
    """Return the smallest VAE of several senses: a video of 16 pixels, sound, tracks of two points."""
    torch.manual_seed(seed)
    spec = SensesSpec(
        senses=(
            Sense(name="video", kind="frames", shape=(2, 16, 16)),
            Sense(name="sound", kind="sound", shape=(1, 8, 8)),
            Sense(name="tracks", kind="tracks", shape=(2, 2)),
        ),
        frames_per_second=12.5,
        window_frames=2,
        sound=MelConfig(bands=8),
    )
    vae = MultimodalVae(SensesConfig(spec=spec, latent_channels=4, channels=(4,), hidden=8))
    for name, parameter in vae.named_parameters():
        if name.endswith("head.weight"):
            torch.nn.init.kaiming_normal_(parameter)
    return vae.eval()


def write_senses() -> None:
    """Write `tiny-senses.bundle`; its checkpoint is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "tiny-senses")
        save_senses(tiny_senses(), checkpoint)
        bundle = ASSETS / "tiny-senses.bundle"
        shutil.rmtree(bundle, ignore_errors=True)
        export_bundle(checkpoint, bundle, step=lambda text: print(text, file=sys.stderr))


def main() -> None:
    """Write the folders."""
    write_senses()
    write_part("tiny-predictor", lambda folder: save_predictor(tiny_predictor(), folder))
    write_part("tiny-prior", lambda folder: save_prior(tiny_prior(), folder))
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
