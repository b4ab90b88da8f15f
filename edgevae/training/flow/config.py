"""The configuration of a prior's training: what `train.json` of its run folder holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgevae.errors import ConfigError
from edgevae.nn.prior_config import PriorConfig
from edgevae.training.arithmetic import Precision
from edgevae.training.digits import check_pictures
from edgevae.training.schedule import check_schedule


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Everything that decides a run, beside the digits and the VAE; on the same machine it repeats exactly."""

    model: Literal["prior"] = "prior"
    """Tells this configuration from that of a VAE."""
    network: PriorConfig = field(default_factory=PriorConfig)
    """The prior; its channels and cells are those of the VAE."""
    digits: str | None = None
    """Folder with the files of MNIST; None takes scikit-learn's small digits, enlarged."""
    clip_chunks: int = 5
    """Chunks of a training clip, each of which is learnt after those before it."""
    batch_clips: int = 16
    """Clips of one step."""
    begin_share: float = 0.4
    """Share of the chunks that are learnt as the first of a clip, whatever came before them: the harder task."""
    past_noise: float = 0.2
    """Most of the noise on what is remembered, in unit scale: what it generates itself is never quite right."""
    steps: int = 5000
    """Optimiser steps of the whole run; the learning rate reaches its end there."""
    learning_rate: float = 8e-4
    """Peak learning rate of AdamW."""
    warmup_steps: int = 200
    """Steps over which the learning rate rises from 0."""
    final_rate: float = 0.05
    """Share of the peak learning rate that the cosine ends at."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.998
    """Decay of the average of the weights, which is what is validated and kept; less in the first steps."""
    precision: Precision = "auto"
    """Of the arithmetic; auto is bf16 where the processor has instructions for it, else fp32."""
    val_clips: int = 64
    """Validation clips, of digits that are not trained on."""
    save_every_steps: int = 200
    """Steps between validations, each of which saves the state."""
    seed: int = 0
    """Decides weights, clips and noise."""

    def __post_init__(self) -> None:
        for name in ("clip_chunks", "batch_clips", "steps", "val_clips", "save_every_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected at least 1")
        if not 0.0 <= self.begin_share <= 1.0:
            raise ConfigError(f"begin_share: got {self.begin_share}, expected 0 to 1")
        if not self.past_noise >= 0.0:
            raise ConfigError(f"past_noise: got {self.past_noise}, expected a number from 0 on")
        check_pictures(self.network.picture_px)
        if not self.clip_norm > 0:
            raise ConfigError(f"clip_norm: got {self.clip_norm}, expected a number above 0")
        check_schedule(
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            final_rate=self.final_rate,
            ema_decay=self.ema_decay,
        )
