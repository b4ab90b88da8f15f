"""The configuration of a generator's training: what `train.json` of its run folder holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgevae.errors import ConfigError
from edgevae.nn.generator_config import GeneratorConfig
from edgevae.training.arithmetic import Precision
from edgevae.training.digits import check_pictures
from edgevae.training.schedule import check_schedule, ema_decay_at, risen_cosine


@dataclass(frozen=True, kw_only=True)
class GanConfig:
    """Everything that decides a run, beside the digits; on the same machine it repeats exactly."""

    model: Literal["gan"] = "gan"
    """Tells this configuration from those of other models."""
    network: GeneratorConfig = field(default_factory=GeneratorConfig)
    """The generator."""
    digits: str | None = None
    """Folder with the files of MNIST; None takes scikit-learn's small digits, enlarged."""
    clip_frames: int = 8
    """Frames of a clip, all of which one critic sees at once."""
    critic_channels: int = 24
    """Of the first convolution of the critic of frames."""
    batch_clips: int = 32
    """Clips of one step, real ones and as many made ones."""
    steps: int = 5000
    """Steps of the whole run, one of the critics and one of the generator each; the learning rate ends there."""
    learning_rate: float = 6e-4
    """Peak learning rate of the generator."""
    critic_rate: float = 0.5
    """Factor on it for the critics."""
    warmup_steps: int = 50
    """Steps over which the learning rate rises from 0."""
    final_rate: float = 0.1
    """Share of the peak learning rate that the cosine ends at."""
    slope_weight: float = 1.0
    """Gamma of R1 at first, half of which weighs the squared slope of the critics at real clips."""
    final_slope_weight: float = 0.4
    """Gamma at the end; it falls by the same factor every step. Much of it holds back critics that see all at once."""
    slope_every_steps: int = 8
    """Steps between two on which that is computed, with as many times the weight."""
    ema_decay: float = 0.999
    """Decay of the average of the generator's weights, which is what is kept; less in the first steps."""
    precision: Precision = "auto"
    """Of the arithmetic; auto is bf16 where the processor has instructions for it, else fp32; slopes are in fp32."""
    val_clips: int = 256
    """Made clips, and real ones of digits that are not trained on, that a validation compares."""
    save_every_steps: int = 100
    """Steps between validations, each of which saves the state."""
    seed: int = 0
    """Decides weights, clips and noise."""

    def __post_init__(self) -> None:
        counts = (
            "batch_clips",
            "steps",
            "critic_channels",
            "slope_every_steps",
            "save_every_steps",
        )
        for name, least in (*((n, 1) for n in counts), ("clip_frames", 2), ("val_clips", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected at least {least}")
        if self.batch_clips * self.network.objects < 2:
            raise ConfigError(
                f"batch_clips: got {self.batch_clips}, expected at least 2 objects a step"
            )
        check_pictures(self.network.picture_px)
        for name in ("critic_rate", "slope_weight", "final_slope_weight"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected a number above 0")
        check_schedule(
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            final_rate=self.final_rate,
            ema_decay=self.ema_decay,
        )

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0: a linear rise, then half a cosine."""
        return self.learning_rate * risen_cosine(
            step, steps=self.steps, warmup_steps=self.warmup_steps, final=self.final_rate
        )

    def slope_weight_at(self, step: int) -> float:
        """Return gamma at a step, counted from 0."""
        fallen = self.final_slope_weight / self.slope_weight
        return float(self.slope_weight * fallen ** min(1.0, step / self.steps))

    def ema_decay_at(self, step: int) -> float:
        """Return how much of the average stays at a step: it follows at once at first."""
        return ema_decay_at(step, self.ema_decay)
