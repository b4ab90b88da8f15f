"""What the settings of a run may be: each rule is a setting's name, whether its value is good, and what is expected."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgevae.errors import ConfigError
from edgevae.moving_mnist import SIDE_PX
from edgevae.nn.config import SPATIAL_FACTOR
from edgevae.nn.perceptual import MIN_PX
from edgevae.nn.similarity import WINDOW_PX

if TYPE_CHECKING:
    from edgevae.training.config import TrainConfig

Rule = tuple[str, bool, str]

_AT_LEAST_1 = (
    "batch_clips",
    "cache_mib",
    "discriminator_channels",
    "judged_frames",
    "refresh_clips",
    "save_every_steps",
    "steps",
    "val_clips",
    "val_every_steps",
)
_ABOVE_0 = ("learning_rate", "charbonnier_epsilon", "activation_limit")
_NOT_NEGATIVE = (
    "linear_rate",
    "warmup_steps",
    "final_rate",
    "weight_decay",
    "start_noise",
    "clip_norm",
    "charbonnier_weight",
    "difference_weight",
    "log_error_weight",
    "flicker_weight",
    "ssim_weight",
    "ms_ssim_weight",
    "ssim_frames",
    "activation_weight",
    "perceptual_weight",
    "adversarial_start",
    "adversarial_warmup_steps",
    "adversarial_weight",
    "discriminator_rate",
    "kl_weight",
    "kl_warmup_steps",
    "patience",
    "principal_patches",
    "seed",
)
_SHARES = ("grey_share", "flat_share", "nested_share")


def check_limits(config: TrainConfig) -> None:
    """Refuse settings that no run can have.

    Raises:
        ConfigError: the first rule that is broken.
    """
    for rules in (_numbers, _clips, _losses, _judges):
        for name, good, expected in rules(config):
            if not good:
                value = getattr(config, name)
                raise ConfigError(f"train config: {name} is {value}, expected {expected}")


def _numbers(config: TrainConfig) -> Iterator[Rule]:
    for name in _AT_LEAST_1:
        yield name, getattr(config, name) >= 1, "at least 1"
    for name in _ABOVE_0:
        value = getattr(config, name)
        yield name, math.isfinite(value) and value > 0, "a number above 0"
    for name in _NOT_NEGATIVE:
        value = getattr(config, name)
        yield name, math.isfinite(value) and value >= 0, "a finite number of at least 0"
    for name in _SHARES:
        yield name, 0 <= getattr(config, name) <= 1, "a number from 0 to 1"
    yield "ema_decay", 0 <= config.ema_decay < 1, "a number from 0 to below 1"


def _clips(config: TrainConfig) -> Iterator[Rule]:
    for name in ("crop_px", "val_crop_px"):
        side = getattr(config, name)
        good = side >= SPATIAL_FACTOR and side % SPATIAL_FACTOR == 0
        yield name, good, f"a multiple of {SPATIAL_FACTOR}"
        good = config.digits is None or side == SIDE_PX
        yield name, good, f"{SIDE_PX} for clips of MNIST's digits"
    factor = config.vae_config.temporal_factor
    for name in ("clip_frames", "val_frames"):
        frames = getattr(config, name)
        good = frames >= factor and frames % factor == 0
        yield name, good, f"a multiple of {factor} for this network"
    strides = config.time_strides
    yield "time_strides", bool(strides) and min(strides) >= 1, "numbers of at least 1"
    yield "min_scale", 0.1 <= config.min_scale <= 1, "a number from 0.1 to 1"
    nested = bool(config.vae_config.nested_channels)
    yield "nested_share", nested or not config.nested_share, "0 for a model without nested_channels"


def _losses(config: TrainConfig) -> Iterator[Rule]:
    similarity = config.ssim_weight + config.ms_ssim_weight
    wide = config.crop_px >= WINDOW_PX
    for name in ("ssim_weight", "ms_ssim_weight"):
        yield name, wide or not getattr(config, name), f"0 for crops below {WINDOW_PX} pixels"
    blocks = sum((*config.vae_config.encoder_blocks, *config.vae_config.decoder_blocks))
    watched = blocks > 0 or not config.activation_weight
    yield "activation_weight", watched, "0 for a network without blocks"
    pixels = config.charbonnier_weight + config.difference_weight + config.log_error_weight
    some = pixels + similarity > 0
    yield "charbonnier_weight", some, "at least one reconstruction weight above 0"


def _judges(config: TrainConfig) -> Iterator[Rule]:
    if config.adversarial:
        good = 0 <= config.adversarial_start < config.steps
        yield "adversarial_start", good, f"a step of the run, which has {config.steps}"
    judged = config.adversarial or config.perceptual_weight > 0
    told = "0 for a run with an adversary or LPIPS, of which PSNR does not tell when it is done"
    yield "patience", not (judged and config.patience), told
    if config.perceptual_weight:
        yield (
            "perceptual_network",
            config.perceptual_network is not None,
            "for a perceptual_weight a safetensors file with the weights of LPIPS, which edgevae does not have; "
            "docs/training.md says how to make it",
        )
        yield "crop_px", config.crop_px >= MIN_PX, f"at least {MIN_PX} for LPIPS"
