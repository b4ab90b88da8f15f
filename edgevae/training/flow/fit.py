"""Train a prior: a new run or one that is continued, from digits and a VAE to a checkpoint with both.

RUN/start/ has the VAE that was given, and the prior if there was one; `plain_loop` says what else is in the run's
folder.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from edgevae.errors import InputError
from edgevae.moving_mnist import MovingMnist
from edgevae.nn import Vae, load_checkpoint, save_checkpoint
from edgevae.nn.config import SPATIAL_FACTOR
from edgevae.nn.prior import Prior
from edgevae.nn.prior_checkpoint import has_prior, load_prior, save_prior
from edgevae.nn.prior_config import PriorConfig
from edgevae.training.arithmetic import arithmetic, decided
from edgevae.training.digits import training_and_held_out
from edgevae.training.flow.config import FlowConfig
from edgevae.training.flow.loss import flow_loss, lesson
from edgevae.training.module import to_unit_range
from edgevae.training.plain_loop import Course, learn, new_run, read_run, state_of
from edgevae.training.run import RunFolder
from edgevae.training.schedule import ema_decay_at, follow, risen_cosine

_VALIDATION_SEED = 777
_VALIDATION_LESSON = 2**40


def start(
    config: FlowConfig, *, run: Path, weights: Path, max_minutes: float | None = None
) -> Path:
    """Train a new run and return the folder of its checkpoint.

    Args:
        config: The run; channels and cells of its network are set to those of the VAE.
        run: The run folder to make.
        weights: The checkpoint of the VAE, whose latents were measured; a copy stays in the run. Where it has a prior
            too, the run begins with its weights, and how many steps lead to latents and their guidance are `config`'s.
        max_minutes: Stop cleanly after this time.

    Raises:
        InputError: the run folder exists, or there are no digits, or the VAE or its prior cannot be used.
    """
    RunFolder(run).refuse_existing()
    vae = load_checkpoint(weights)
    if vae.config.latent_mean is None:
        raise InputError(
            f"{weights}: config.json has no latent_mean, so its latents have no unit scale; finish its run, which "
            "measures them (edgevae train --resume RUN)"
        )
    network = replace(
        config.network, latent_channels=vae.config.latent_channels, cell_px=SPATIAL_FACTOR
    )
    config = decided(replace(config, network=network))
    begun = _begun(weights, network)
    if begun is not None:
        tqdm.write(f"begins with the prior of {weights}", file=sys.stderr)
    learner = _Training(config, vae, begun)
    folder = new_run(run, config)
    save_checkpoint(vae, folder.start)
    if begun is not None:
        save_prior(begun, folder.start)
    with folder.locked():
        return learn(learner, folder, _course(config), max_minutes=max_minutes)


def resume(run: Path, *, max_minutes: float | None = None) -> Path:
    """Continue a run where its state was last saved and return the folder of its checkpoint.

    Raises:
        InputError: the folder is no run of a prior, another process trains in it, or the digits are gone.
        IntegrityError: the state is damaged.
    """
    config: FlowConfig = read_run(run, FlowConfig, model="prior")
    folder = RunFolder(run)
    with folder.locked():
        vae, begun = load_checkpoint(folder.start), _begun(folder.start, config.network)
        learner = _Training(config, vae, begun)
        return learn(learner, folder, _course(config), state=state_of(run), max_minutes=max_minutes)


def _begun(checkpoint: Path, network: PriorConfig) -> Prior | None:
    """Return the prior of a checkpoint to begin with, as a network of this run; None where it has none.

    Raises:
        InputError: its weights are of another shape than the run's.
    """
    if not has_prior(checkpoint):
        return None
    found = load_prior(checkpoint)
    for name in (
        *("latent_channels", "cell_px", "picture_px"),
        *("chunk_steps", "past_chunks", "channels", "dilations"),
    ):
        got, wanted = getattr(found.config, name), getattr(network, name)
        if got != wanted:
            raise InputError(
                f"{checkpoint}: its prior has {name} {got}, expected {wanted} as in the run's network; set it so, or "
                "give a copy of the checkpoint without prior.json, and the prior begins anew"
            )
    begun = Prior(network)
    begun.load_state_dict(found.state_dict())
    return begun


def _course(config: FlowConfig) -> Course:
    return Course(
        steps=config.steps,
        save_every_steps=config.save_every_steps,
        figure="error of the direction",
    )


class _Training:
    """A prior that learns: a `Learner`."""

    def __init__(self, config: FlowConfig, vae: Vae, begun: Prior | None = None) -> None:
        self.config, self.vae = config, vae.requires_grad_(False)
        training, held_out = training_and_held_out(config.digits)
        self.source = MovingMnist(training, seed=config.seed)
        self.held_out = MovingMnist(held_out, seed=_VALIDATION_SEED)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.prior = Prior(config.network) if begun is None else copy.deepcopy(begun)
        self.average = copy.deepcopy(self.prior).requires_grad_(False)
        self.networks = {"prior": self.prior, "average": self.average}
        for network in (self.vae, *self.networks.values()):
            network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
        self.optimizer = torch.optim.AdamW(
            self.prior.parameters(), betas=(0.9, 0.99), weight_decay=0.0
        )
        self.optimizers = (self.optimizer,)

    def take_step(self, step: int) -> float:
        """Learn from the clips of a step."""
        config = self.config
        rate = config.learning_rate * risen_cosine(
            step, steps=config.steps, warmup_steps=config.warmup_steps, final=config.final_rate
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._loss(
            self.prior, self.source, step * config.batch_clips, config.batch_clips, index=step
        )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs
        nn.utils.clip_grad_norm_(self.prior.parameters(), config.clip_norm)
        self.optimizer.step()
        follow(self.average, self.prior, decay=ema_decay_at(step, config.ema_decay))
        return loss.item()

    @torch.no_grad()
    def validate(self) -> float:
        """Return the error of the direction on held-out digits, with the same chance every time."""
        count, batch = self.config.val_clips, self.config.batch_clips
        losses = [
            self._loss(
                self.average,
                self.held_out,
                first,
                min(batch, count - first),
                index=_VALIDATION_LESSON + first,
            )
            for first in range(0, count, batch)
        ]
        return float(torch.stack(losses).mean())

    def keep(self, checkpoint: Path) -> None:
        """Write the VAE and the averaged prior."""
        save_checkpoint(self.vae, checkpoint, half=True)
        save_prior(self.average, checkpoint, half=True)

    def _loss(
        self, prior: Prior, source: MovingMnist, first: int, count: int, *, index: int
    ) -> Tensor:
        """Return the loss over some clips of a source, a tensor to learn from."""
        frames = (
            self.config.clip_chunks * prior.config.chunk_steps * self.vae.config.temporal_factor
        )
        clips = torch.from_numpy(source.batch(first, count, frames=frames))
        with arithmetic(self.config.precision, self.device):
            latents = self._latents(clips.to(self.device))
            learnt = lesson(prior, latents.cpu(), self.config, index=index)
            return flow_loss(prior, learnt.to(self.device))

    @torch.no_grad()
    def _latents(self, clips: Tensor) -> Tensor:
        """Return latents of unit scale `[B, t, C, h, w]` of grey clips uint8 `[B, T, 64, 64]`."""
        posterior, _ = self.vae.encode(to_unit_range(clips)[:, :, None].expand(-1, -1, 3, -1, -1))
        spec = self.vae.spec
        mean, std = (
            torch.tensor(values, device=clips.device)[:, None, None]
            for values in (spec.latent_mean, spec.latent_std)
        )
        return (posterior.mean.float() - mean) / std
