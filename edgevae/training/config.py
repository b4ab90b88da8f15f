"""The configuration of a training run: what `train.json` of a run folder, or a recipe, holds."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Literal

from edgevae.nn.config import Kind, VaeConfig, preset
from edgevae.strict import to_dict
from edgevae.training.limits import check_limits


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides a training run, beside the data; on the same machine it repeats exactly."""

    preset: str = "xs"
    """Size of the network (`edgevae.nn.PRESETS`); not used where `model` is given."""
    kind: Kind = "video"
    """video or image; not used where `model` is given."""
    model: VaeConfig | None = None
    """The network in full, in place of `preset` and `kind`."""

    digits: str | None = None
    """For the data `moving-digits`: a folder with the files of MNIST; None takes scikit-learn's small digits."""
    crop_px: int = 96
    """Side of the square that a training clip shows, in pixels; a multiple of 8."""
    clip_frames: int = 12
    """Frames of a training clip; a multiple of the temporal factor."""
    time_strides: tuple[int, ...] = (1, 1, 2)
    """Steps from frame to frame to choose from; a value given twice is chosen twice as often."""
    min_scale: float = 0.5
    """Sources are scaled down by a random factor from here to 1, so that crops see many scales."""
    reverse: bool = True
    """Half of the clips run backwards in time."""
    grey_share: float = 0.1
    """Share of the clips that lose some or all of their colour; old and infrared film has none."""
    flat_share: float = 0.0
    """Share of the clips that become one colour, black and white among them: the ends of what the latents must say."""
    nested_share: float = 0.0
    """Share of the clips of which the decoder sees one of the model's `nested_channels` only."""
    batch_clips: int = 6
    """Clips of one step, divided equally among the processes of the run; their number changes it to rounding only."""
    cache_mib: int = 2048
    """Memory for decoded frames; where the data is larger, parts of it take turns."""

    refresh_clips: int = 3600
    """Clips that are taken from one part of the data before the next part is decoded."""

    steps: int = 4000
    """Optimiser steps of the whole run; the learning rate reaches its end there."""
    learning_rate: float = 3e-4
    """Peak learning rate of AdamW."""
    linear_rate: float = 0.1
    """Factor on the learning rate for the linear patch maps, which start at the principal components."""
    warmup_steps: int = 200
    """Steps over which the learning rate rises from 0."""
    final_rate: float = 0.01
    """Share of the peak learning rate that the cosine ends at."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 does not clip."""
    ema_decay: float = 0.999
    """Decay of the average of the weights, which is what is validated and kept."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """fp32, or bf16 autocast (faster on a GPU; on many CPUs slower)."""

    charbonnier_weight: float = 1.0
    """Weight of sqrt(d^2 + epsilon^2) over the differences d of pixels, which are in -1..1."""
    charbonnier_epsilon: float = 0.03
    """Where Charbonnier turns from squared to absolute, in -1..1."""
    difference_weight: float = 0.1
    """Weight of the same over the differences of neighbouring frames; against flicker."""
    log_error_weight: float = 0.0
    """Weight of the logarithm of each clip's squared error: trains the mean PSNR over clips, easy ones included."""
    flicker_weight: float = 0.0
    """Weight of (log of the chunk-boundary flicker ratio) squared: against chunk boundaries that are seen."""
    ssim_weight: float = 0.0
    """Weight of 1 - SSIM."""
    ms_ssim_weight: float = 0.0
    """Weight of 1 - MS-SSIM."""
    ssim_frames: int = 0
    """Frames of a clip that SSIM and MS-SSIM are taken of, others at every step; 0 takes all."""
    activation_weight: float = 0.0
    """Weight of the squared excess of activations over `activation_limit`: FP16 stays exact, and far from overflow."""
    activation_limit: float = 32.0
    """Size of an activation from which it is penalised."""
    perceptual_weight: float = 0.0
    """Weight of LPIPS on judged frames; needs `perceptual_network`."""
    perceptual_network: str | None = None
    """A safetensors file with the weights of LPIPS, which edgevae does not have (docs/training.md)."""
    judged_frames: int = 4
    """Frames of each clip that LPIPS and the frame discriminator see, chosen anew for every clip."""

    adversarial: bool = False
    """Train against a discriminator on frames and, for video, on clips: sharper, with less PSNR."""
    adversarial_start: int = 2000
    """Step from which the discriminator is there; better late, when what is left to tell apart is texture."""
    adversarial_warmup_steps: int = 200
    """Steps from there over which its weight rises from 0, while it learns what to look for."""
    adversarial_weight: float = 0.5
    """Its gradient at the decoder's last layer, as a share of that of all other losses."""
    discriminator_rate: float = 1.0
    """Factor on the learning rate for the discriminator."""
    discriminator_channels: int = 16
    """Channels of its first convolution; the deepest ones have four times as many."""
    kl_weight: float = 1e-5
    """Weight of the mean KL divergence of a latent value, in nats."""
    kl_warmup_steps: int = 500
    """Steps over which the KL weight rises from 0."""
    start_noise: float = 0.05
    """Squared error from the posterior's noise before the first step, as a share of what the components miss."""
    principal_patches: int = 30_000
    """Patches of training clips that the principal components at the start are taken from; 0 starts at random."""

    val_every_steps: int = 250
    """Steps between validations."""
    val_clips: int = 22
    """Validation clips, spread evenly over the validation files; fixed for the run."""
    val_crop_px: int = 128
    """Side of a validation clip in pixels (or less where the video is smaller); a multiple of 8."""
    val_frames: int = 16
    """Frames of a validation clip; a multiple of the temporal factor."""
    patience: int = 0
    """Stop after this many validations without a better PSNR; 0 never does."""
    save_every_steps: int = 100
    """Steps between saves of the training state, which is all that a kill can cost."""
    seed: int = 0
    """Decides weights, samples and noise."""

    def __post_init__(self) -> None:
        check_limits(self)

    @property
    def vae_config(self) -> VaeConfig:
        """The network that is trained."""
        return self.model or preset(self.preset, kind=self.kind)

    def adversarial_weight_at(self, step: int) -> float:
        """Return the weight of the adversary at a step, before it is adapted to the gradients."""
        since = step + 1 - self.adversarial_start
        return self.adversarial_weight * min(1.0, since / max(1, self.adversarial_warmup_steps))

    def is_judged_by_loss_at(self, step: int) -> bool:
        """Return whether validation loss tells the best weights: not with a judge that gives it away for looks."""
        return not self.perceptual_weight and not (
            self.adversarial and step > self.adversarial_start
        )

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0: a linear rise, then half a cosine."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        return self.learning_rate * (self.final_rate + (1.0 - self.final_rate) * cosine)

    def kl_weight_at(self, step: int) -> float:
        """Return the KL weight of a step: a linear rise, then constant."""
        return self.kl_weight * min(1.0, (step + 1) / max(1, self.kl_warmup_steps))


def config_json(config: TrainConfig) -> bytes:
    """Return the configuration as the bytes of a `train.json`."""
    return (json.dumps(to_dict(config), indent=2) + "\n").encode()
