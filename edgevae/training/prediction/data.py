"""Clips of moving digits as latents of the patch code."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edgevae.moving_mnist import MovingMnist, Pictures
from edgevae.nn.config import SPATIAL_FACTOR
from edgevae.nn.patch_code import patch_code_config
from edgevae.training.digits import training_and_held_out
from edgevae.training.prediction.config import PredictionConfig

CODE = patch_code_config(mean=-0.9, std=0.4)
"""The VAE of the digits: mean and deviation are those of Moving MNIST's pixels in -1..1, rounded."""

_PIXEL_MEAN, _PIXEL_STD = 0.05, 0.2
"""The same of pixels in 0..1."""
_VALIDATION_SEED = 777


def sources(config: PredictionConfig) -> tuple[MovingMnist, MovingMnist]:
    """Return training and validation clips, which show different digits.

    Raises:
        InputError: the folder has not the files of MNIST.
        UnavailableError: there is no folder and scikit-learn is not installed.
    """
    training, validation = training_and_held_out(config.digits)
    return (
        MovingMnist(training, seed=config.seed),
        MovingMnist(validation, seed=_VALIDATION_SEED),
    )


def latents_of(clips: Pictures) -> Tensor:
    """Return latents of unit scale `[B, T, 64, 8, 8]` of grey clips `[B, T, 64, 64]`: what `patch_code` gives."""
    pixels = (torch.from_numpy(clips).float() / 255.0 - _PIXEL_MEAN) / _PIXEL_STD
    patches = F.pixel_unshuffle(pixels.flatten(0, 1)[:, None], SPATIAL_FACTOR)
    return patches.reshape(*clips.shape[:2], *patches.shape[1:])


def pixels_of(latents: Tensor) -> Tensor:
    """Return pixels in 0..1 `[..., 64, 8, 8]`, still as patches, of latents: what the decoder clamps and rounds."""
    return torch.clamp(latents * _PIXEL_STD + _PIXEL_MEAN, 0.0, 1.0)
