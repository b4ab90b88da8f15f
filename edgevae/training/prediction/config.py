"""The configuration of a predictor's training: what `train.json` of its run folder holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgevae.errors import ConfigError
from edgevae.nn.predictor_config import PredictorConfig
from edgevae.training.arithmetic import Precision
from edgevae.training.plain_loop import model_of_run, read_run
from edgevae.training.schedule import check_schedule, ema_decay_at, risen_cosine


@dataclass(frozen=True, kw_only=True)
class PredictionConfig:
    """Everything that decides a run, beside the digits; on the same machine it repeats exactly."""

    model: Literal["predictor"] = "predictor"
    """Tells this configuration from that of a VAE."""
    network: PredictorConfig = field(default_factory=PredictorConfig)
    """The predictor."""
    digits: str | None = None
    """Folder with the files of MNIST; None takes scikit-learn's small digits, enlarged."""
    seen_frames: int = 10
    """Frames that are shown before the predictor is left alone; whole chunks."""
    predicted_frames: int = 10
    """Frames that it then says, fed with its own; whole chunks."""
    batch_clips: int = 8
    """Clips of one step."""
    steps: int = 4000
    """Optimiser steps of the whole run; the learning rate reaches its end there."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW."""
    warmup_steps: int = 200
    """Steps over which the learning rate rises from 0."""
    final_rate: float = 0.01
    """Share of the peak learning rate that the cosine ends at."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.998
    """Decay of the average of the weights, which is what is validated and kept; less in the first steps."""
    precision: Precision = "auto"
    """Of the arithmetic; auto is bf16 where the processor has instructions for it, else fp32."""
    val_clips: int = 128
    """Validation clips, of digits that are not trained on."""
    save_every_steps: int = 100
    """Steps between validations, each of which saves the state."""
    seed: int = 0
    """Decides weights and clips."""

    def __post_init__(self) -> None:
        steps = self.network.chunk_steps
        for name in ("seen_frames", "predicted_frames"):
            value = getattr(self, name)
            if value < steps or value % steps:
                raise ConfigError(
                    f"{name}: got {value}, expected a multiple of the chunk's {steps}"
                )
        for name in ("batch_clips", "steps", "val_clips", "save_every_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected at least 1")
        if not self.clip_norm > 0:
            raise ConfigError(f"clip_norm: got {self.clip_norm}, expected a number above 0")
        check_schedule(
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            final_rate=self.final_rate,
            ema_decay=self.ema_decay,
        )

    @property
    def clip_frames(self) -> int:
        """Frames of a training clip."""
        return self.seen_frames + self.predicted_frames

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0: a linear rise, then half a cosine."""
        return self.learning_rate * risen_cosine(
            step, steps=self.steps, warmup_steps=self.warmup_steps, final=self.final_rate
        )

    def ema_decay_at(self, step: int) -> float:
        """Return how much of the average stays at a step: it follows at once at first."""
        return ema_decay_at(step, self.ema_decay)


def is_prediction_run(run: Path) -> bool:
    """Return whether a folder is the run of a predictor."""
    return model_of_run(run) == "predictor"


def read_config(run: Path) -> PredictionConfig:
    """Return the configuration of a run.

    Raises:
        InputError: the folder is no run of a predictor.
        ConfigError: the file has an unknown key, a wrong type or an invalid value.
    """
    config = read_run(run, PredictionConfig, model="predictor")
    assert isinstance(config, PredictionConfig), "as asked"
    return config
