"""The training step as a Lightning module: loss, optimiser, averaged weights, validation."""

from __future__ import annotations

import contextlib
import copy

import lightning
import torch
from torch import Tensor

from edgevae.nn.checkpoint import build
from edgevae.nn.losses import boundary_flicker, charbonnier, frame_difference, log_error, psnr_db
from edgevae.nn.similarity import ms_ssim, ssim
from edgevae.nn.vae import Vae
from edgevae.training.adversarial import last_layer
from edgevae.training.config import TrainConfig
from edgevae.training.draws import kept_channels, latent_noise
from edgevae.training.headroom import Headroom
from edgevae.training.judges import Judges
from edgevae.training.processes import Processes
from edgevae.training.state import TrainState

_FITTED = ("linear", "patches", "basis")
"""The layers of encoder and decoder that are fitted to the data before the first step."""


class VaeTraining(lightning.LightningModule):
    """A VAE in training, with the average of its weights beside it.

    Everything that a step does depends on its number and the configuration only: learning rate, KL weight, noise.

    Args:
        config: The run.
        state: Of the run that is continued; None starts a new one.
        processes: That divide the clips of a step; None is this one alone.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        state: TrainState | None = None,
        processes: Processes | None = None,
    ) -> None:
        super().__init__()
        self.train_config, self.processes = config, processes or Processes()
        self.first_step = state.step if state else 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.vae: Vae = build(config.vae_config)
        # channels_last is 1.6 times faster on a CPU and no slower on a GPU.
        self.vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
        self.average: Vae = copy.deepcopy(self.vae).requires_grad_(False)
        self.judges = Judges(config, self.processes, state)
        self._optimizer_state = state.optimizer if state else None
        if state:
            self.load_state_dict(state.module)
        self.validated: list[Tensor] = []

    @property
    def step(self) -> int:
        """Steps done since the run began, over all its processes."""
        return self.first_step + self.trainer.global_step

    def restart_average(self) -> None:
        """Set the average to the weights as they are, after these were set by other means than steps."""
        self.average.load_state_dict(self.vae.state_dict())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW with two groups: the networks, and the linear patch maps at their own rate."""
        self.judges.begin()
        fitted = [p for name, p in self.vae.named_parameters() if name.split(".")[1] in _FITTED]
        ids = {id(p) for p in fitted}
        networks = [p for p in self.vae.parameters() if id(p) not in ids]
        rate, decay = self.train_config.learning_rate, self.train_config.weight_decay
        groups = [
            {"params": networks, "share": 1.0},
            {"params": fitted, "share": self.train_config.linear_rate},
        ]
        optimizer = torch.optim.AdamW(
            groups, lr=rate, betas=(0.9, 0.99), weight_decay=decay, foreach=True
        )
        if self._optimizer_state:
            optimizer.load_state_dict(self._optimizer_state)
        return optimizer

    def training_step(self, batch: Tensor, _index: int) -> dict[str, Tensor]:
        """Return loss, PSNR and the judges' figures of a batch of uint8 clips `[B, T, 3, H, W]`."""
        step, config = self.step, self.train_config
        self._set_learning_rate(step)
        clips = to_unit_range(batch)
        noise, kept = self._draws(step, clips)
        watched = config.activation_weight > 0
        headroom = Headroom(self.vae, limit=config.activation_limit) if watched else None
        with headroom or contextlib.nullcontext():
            reconstruction, posterior = self.vae(clips, noise, kept)
        loss, figures = self.judges(
            reconstruction_loss(reconstruction, clips, config, step=step),
            reconstruction,
            clips,
            step=step,
            last_layer=last_layer(self.vae),
        )
        loss = loss + config.kl_weight_at(step) * posterior.kl().float().mean()
        if headroom:
            loss = loss + config.activation_weight * headroom.penalty()
        with torch.no_grad():
            psnr = psnr_db(reconstruction, clips).mean()
        return {"loss": loss, "psnr_db": psnr, **figures}

    def _draws(self, step: int, clips: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the noise of this process's clips, and which channels of their latents the decoder sees."""
        config = self.train_config
        first = step * config.batch_clips + self.processes.rank * len(clips)
        noise = latent_noise(config, self.vae.latent_shape(clips), first=first)
        kept = kept_channels(config, len(clips), first=first)
        return (
            noise.to(clips.device, non_blocking=True),
            None if kept is None else kept.to(clips.device, non_blocking=True),
        )

    def move_average(self) -> None:
        """Move the average a little towards the weights; in the first steps it follows them closely."""
        done = self.step
        decay = min(self.train_config.ema_decay, (1 + done) / (10 + done))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.parameters()), list(self.vae.parameters()), 1.0 - decay
            )

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self.validated = []

    def validation_step(self, batch: Tensor, _index: int) -> Tensor:
        """Return PSNR and loss `[B, 2]` of the averaged network, from the posterior's mean, on uint8 clips."""
        clips = to_unit_range(batch)
        made = reconstruct(self.average, clips)
        pairs = zip(made, clips, strict=True)
        losses = [reconstruction_loss(a[None], b[None], self.train_config) for a, b in pairs]
        figures = torch.stack([psnr_db(made, clips), torch.stack(losses)], 1)
        self.validated.append(figures.cpu())
        return figures

    def validation_figures(self) -> tuple[Tensor, Tensor]:
        """Return PSNR and loss of all validation clips, in their order, whichever process had them."""
        everyone = self.processes.gather(torch.cat(self.validated))  # [world, share, 2]
        figures = everyone.transpose(0, 1).flatten(0, 1)[: self.train_config.val_clips]
        return figures[:, 0], figures[:, 1]

    def _set_learning_rate(self, step: int) -> None:
        optimizer = self.optimizers()
        for group in optimizer.param_groups:  # type: ignore[union-attr]  # one optimiser, so no list
            group["lr"] = group["share"] * self.train_config.learning_rate_at(step)


def reconstruction_loss(
    reconstruction: Tensor, clips: Tensor, config: TrainConfig, *, step: int = 0
) -> Tensor:
    """Return the weighted loss of a reconstruction; what has weight 0 is not computed.

    Args:
        reconstruction: `[B, T, 3, H, W]`.
        clips: Of the same shape.
        config: Weights and their settings.
        step: Decides which frames SSIM is taken of, where not of all.
    """
    difference = reconstruction.float() - clips
    loss = difference.new_zeros(())
    if config.charbonnier_weight:
        loss = loss + config.charbonnier_weight * charbonnier(
            difference, epsilon=config.charbonnier_epsilon
        )
    if config.difference_weight:
        loss = loss + config.difference_weight * frame_difference(
            difference, epsilon=config.charbonnier_epsilon
        )
    if config.log_error_weight:
        loss = loss + config.log_error_weight * log_error(difference)
    factor = config.vae_config.temporal_factor
    if config.flicker_weight and factor > 1 and difference.shape[1] > factor:
        loss = loss + config.flicker_weight * boundary_flicker(difference, factor=factor)
    chosen = slice(None)
    if config.ssim_frames:
        stride = max(1, clips.shape[1] // config.ssim_frames)
        chosen = slice(step % stride, None, stride)
    for weight, measure in ((config.ssim_weight, ssim), (config.ms_ssim_weight, ms_ssim)):
        if weight:
            loss = loss + weight * (1.0 - measure(reconstruction[:, chosen], clips[:, chosen]))
    return loss


def to_unit_range(frames: Tensor) -> Tensor:
    """Return uint8 clips `[B, T, 3, H, W]` as float32 in -1..1."""
    return frames.float() / 127.5 - 1.0


def reconstruct(vae: Vae, clips: Tensor) -> Tensor:
    """Return the reconstruction of clips from the mean of their posterior."""
    posterior, _ = vae.encode(clips)
    return vae.decode(posterior.mean)[0]
