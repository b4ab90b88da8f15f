"""The configuration of the training of a VAE of several senses: what `train.json` of its run folder holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgevae.errors import ConfigError
from edgevae.training.arithmetic import Precision
from edgevae.training.plain_loop import model_of_run, read_run
from edgevae.training.schedule import ema_decay_at, risen_cosine

MADE_WORLD = "made-world"
"""The name of `edgevae.made_world` as data."""


@dataclass(frozen=True, kw_only=True)
class SensesTraining:
    """Everything that decides a run, beside the files; on the same machine it repeats exactly."""

    model: Literal["multimodal"] = "multimodal"
    """Tells this configuration from that of others."""
    data: str = MADE_WORLD
    """`made-world`; or a folder of clips with sound; or one of folders, each a scene and its files the cameras."""
    side_px: int = 64
    """Of the square that frames are scaled to."""
    window_frames: int = 8
    """Frames of a window."""
    frames_per_second: float = 12.5
    """Of frames and tracks; of the made world 12.5."""
    latent_channels: int = 24
    """C, of one vector a window."""
    channels: tuple[int, ...] = (48, 64, 64)
    """As in `SensesConfig`."""
    hidden: int = 128
    """As in `SensesConfig`."""
    has_base: bool = True
    """As in `SensesConfig`: decoders begin at the mean window of the data."""
    sees_motion: bool = False
    """As in `SensesConfig`: encoders of frames are given the flow of their blocks."""
    sense_weight: float = 400.0
    """Independent values that a sense counts as in the bound, where it has as many."""
    divergence_weight: float = 1.0
    """Of the divergence from the prior."""
    divergence_warmup_steps: int = 200
    """Steps over which that rises from 0: what decoders do not listen to yet is not worth its divergence."""
    made_windows: int = 2048
    """Clips of the made world, made before the first step: 100 kB each."""
    held_out: float = 0.25
    """Share of every clip that validates; of the made world other clips do."""
    piece_s: float = 0.0
    """0 to hold out the end of every clip; else the middle of every piece of it of about so many seconds."""
    batch_windows: int = 8
    """Windows of one step."""
    steps: int = 3000
    """Optimiser steps of the whole run; the learning rate reaches its end there."""
    learning_rate: float = 1.2e-3
    """Peak learning rate of AdamW."""
    warmup_steps: int = 50
    """Steps over which the learning rate rises from 0."""
    final_rate: float = 0.02
    """Share of the peak learning rate that the cosine ends at."""
    clip_norm: float = 50.0
    """Largest norm of the gradient; the loss is in nats a window."""
    weight_decay: float = 0.0
    """Of AdamW; little data wants some."""
    ema_decay: float = 0.995
    """Decay of the average of the weights, which is what is validated and kept; less in the first steps."""
    precision: Precision = "auto"
    """Of the arithmetic; auto is bf16 where the processor has instructions for it, else fp32."""
    val_windows: int = 256
    """Validation windows, at most."""
    save_every_steps: int = 100
    """Steps between validations, each of which saves the state."""
    seed: int = 0
    """Decides weights, windows, subsets and noise."""

    def __post_init__(self) -> None:
        for name in (
            *("batch_windows", "steps", "val_windows", "save_every_steps"),
            *("window_frames", "made_windows", "side_px"),
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected at least 1")
        for name in ("learning_rate", "sense_weight", "frames_per_second"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected a number above 0")
        for name in (
            *("seed", "warmup_steps", "divergence_warmup_steps"),
            *("weight_decay", "piece_s", "divergence_weight"),
        ):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected a number from 0 on")
        if not 0 < self.held_out < 1:
            raise ConfigError(f"held_out: got {self.held_out}, expected a share between 0 and 1")

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0: a linear rise, then half a cosine."""
        return self.learning_rate * risen_cosine(
            step, steps=self.steps, warmup_steps=self.warmup_steps, final=self.final_rate
        )

    def divergence_weight_at(self, step: int) -> float:
        """Return the weight of the divergence at a step, counted from 0."""
        if not self.divergence_warmup_steps:
            return self.divergence_weight
        return self.divergence_weight * min(1.0, (step + 1) / self.divergence_warmup_steps)

    def ema_decay_at(self, step: int) -> float:
        """Return how much of the average stays at a step: it follows at once at first."""
        return ema_decay_at(step, self.ema_decay)


def is_senses_run(run: Path) -> bool:
    """Return whether a folder is the run of a VAE of several senses."""
    return model_of_run(run) == "multimodal"


def read_config(run: Path) -> SensesTraining:
    """Return the configuration of a run.

    Raises:
        InputError: the folder is no run of a VAE of several senses.
        ConfigError: the file has an unknown key, a wrong type or an invalid value.
    """
    config = read_run(run, SensesTraining, model="multimodal")
    assert isinstance(config, SensesTraining), "as asked"
    return config
