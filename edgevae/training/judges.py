"""The judges of a run beside the losses on pixels: LPIPS, and the adversary. Neither is there unless it has a weight.

Both see few frames of each clip one by one, and the same ones. Which ones is a function of the seed and the clip's
index in the run, so that a run that is continued, or divided among processes, has the same judgements.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgevae.files import sha256_of_file
from edgevae.nn.discriminator import frames_at
from edgevae.nn.perceptual import load_lpips
from edgevae.training.adversarial import Adversary
from edgevae.training.config import TrainConfig
from edgevae.training.processes import Processes
from edgevae.training.state import TrainState

_JUDGED = 4
"""Sets these random numbers apart from the others that a seed and an index give (`edgevae.training.sources`)."""


class Judges(nn.Module):
    """What a run is judged by beside its pixels. With the adversary's weights, but never LPIPS', in its state.

    Args:
        config: The run.
        processes: That divide the clips of a step.
        state: Of the run that is continued; None starts a new one.

    Raises:
        InputError: the weights of LPIPS are missing or something else.
        IntegrityError: they are damaged.
    """

    def __init__(self, config: TrainConfig, processes: Processes, state: TrainState | None) -> None:
        super().__init__()
        self.config, self.processes = config, processes
        self.adversary: Adversary | None = None
        if config.adversarial:
            self.adversary = Adversary(
                config, processes, optimizer_state=state.discriminator_optimizer if state else None
            )
        self.perceptual: PerceptualLoss | None = None
        if config.perceptual_weight:
            assert config.perceptual_network is not None, "checked by TrainConfig"
            self.perceptual = PerceptualLoss(config.perceptual_network)

    def begin(self) -> None:
        """Make the adversary's optimiser; once the weights are on the device of the run."""
        if self.adversary:
            self.adversary.begin()

    def optimizer_state(self) -> dict[str, Any] | None:  # Any: PyTorch's own nested structure
        """Return the state of the adversary's optimiser, where there is one."""
        if self.adversary is None or self.adversary.optimizer is None:
            return None
        return self.adversary.optimizer.state_dict()

    def forward(
        self, loss: Tensor, made: Tensor, clips: Tensor, *, step: int, last_layer: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss with what the judges add to it, and their figures; the adversary learns by the way.

        Args:
            loss: On the pixels.
            made: Reconstruction `[B, T, 3, H, W]`.
            clips: Of the same shape, in -1..1.
            step: Of the run.
            last_layer: Weights of the decoder, for the adversary's weight.
        """
        adversary = self.adversary if step >= self.config.adversarial_start else None
        figures: dict[str, Tensor] = {}
        if not adversary and not self.perceptual:
            return loss, figures
        first = step * self.config.batch_clips + self.processes.rank * len(clips)
        chosen = judged_frames(self.config, range(first, first + len(clips)))
        chosen = chosen.to(clips.device, non_blocking=True)
        if self.perceptual:
            distance = self.perceptual(made, clips, chosen)
            loss = loss + self.config.perceptual_weight * distance
            figures["perceptual_loss"] = distance.detach()
        if adversary:
            figures |= adversary.learn(made, clips, chosen=chosen, step=step)
            term, more = adversary.term(
                made, chosen=chosen, loss=loss, last_layer=last_layer, step=step
            )
            loss, figures = loss + term, figures | more
        return loss, figures


class PerceptualLoss:
    """The mean LPIPS of judged frames. Not a module, because its weights are the user's: no part of a run's state.

    Args:
        file: Of the weights (`edgevae.nn.perceptual`).
    """

    def __init__(self, file: str) -> None:
        self.lpips = load_lpips(file).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as for the VAE

    def __call__(self, made: Tensor, clips: Tensor, chosen: Tensor) -> Tensor:
        """Return the mean distance of the frames at `chosen` `[B, n]` of two batches of clips `[B, T, 3, H, W]`."""
        self.lpips.to(clips.device)  # does nothing after the first time
        distance: Tensor = self.lpips(frames_at(made, chosen), frames_at(clips, chosen)).mean()
        return distance


def network_digest(config: TrainConfig) -> str | None:
    """Return the SHA-256 of the weights of LPIPS, once they turned out to be such; None for a run without.

    Raises:
        InputError: they are missing or something else.
        IntegrityError: they are damaged.
    """
    if not config.perceptual_weight or config.perceptual_network is None:
        return None
    load_lpips(config.perceptual_network)
    return sha256_of_file(Path(config.perceptual_network))


def judged_frames(config: TrainConfig, clips: range) -> Tensor:
    """Return the indices `[B, n]` of the frames of each clip that are judged one by one, in order of time.

    Args:
        config: The run.
        clips: Indices of the clips in the run.
    """
    count = min(config.judged_frames, config.clip_frames)
    chosen = [
        np.random.default_rng([config.seed, _JUDGED, index]).permutation(config.clip_frames)[:count]
        for index in clips
    ]
    return torch.from_numpy(np.sort(np.stack(chosen)))
