"""The adversary of a VAE in training: a discriminator that learns beside it, and what the VAE is to do against it.

    one step of the run, from `adversarial_start` on

    clips, reconstruction (detached) -> discriminator -> hinge loss   -> one step of the discriminator
                      reconstruction -> discriminator -> - its logits -> times a weight, into the loss of the VAE

The discriminator is held still wherever it is not itself learning: for Lightning and DDP it is like the averaged
weights. It so needs neither a second optimiser there nor manual optimisation; its gradients are averaged here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from edgevae.nn.decoder import Decoder
from edgevae.nn.discriminator import Discriminator, accuracy, discriminator_loss, generator_loss
from edgevae.nn.vae import Vae
from edgevae.training.config import TrainConfig
from edgevae.training.processes import Processes

_LARGEST_RATIO = 1e4
"""Of the two gradients: a discriminator that has nothing to say is not made to shout."""
_EPSILON = 1e-6
_ADAM_EPSILON = 1e-6
"""Gradients are about 1e-3. Where those of real and made cancel, as for the bias of a channel that is nowhere below 0,
what is left is rounding, about 1e-9: with Adam's own 1e-8 two processes moved such weights 1e-4 apart."""
_SEED_STEP = 0x5EED
"""Between the seed of the VAE's first weights and that of the discriminator's."""


class Adversary(nn.Module):
    """The discriminator of a run and its optimiser.

    Args:
        config: The run.
        processes: That average its gradients.
        optimizer_state: Of a run that is continued; its weights come with those of the whole module.
    """

    def __init__(
        self,
        config: TrainConfig,
        processes: Processes,
        *,
        optimizer_state: dict[str, Any] | None = None,  # Any: PyTorch's own nested structure
    ) -> None:
        super().__init__()
        self.config, self.processes = config, processes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed + _SEED_STEP)
            frames = config.clip_frames if config.vae_config.kind == "video" else 1
            self.discriminator = Discriminator(
                width=config.discriminator_channels, clip_frames=frames
            )
        self.discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as for the VAE
        self.discriminator.requires_grad_(False)
        self.optimizer: torch.optim.Optimizer | None = None
        self._optimizer_state = optimizer_state

    def begin(self) -> None:
        """Make the optimiser; once the weights are on the device of the run."""
        self.optimizer = torch.optim.AdamW(
            self.discriminator.parameters(),
            betas=(0.5, 0.9),
            eps=_ADAM_EPSILON,
            weight_decay=0.0,
            foreach=True,
        )
        if self._optimizer_state:
            self.optimizer.load_state_dict(self._optimizer_state)

    def learn(self, made: Tensor, clips: Tensor, *, chosen: Tensor, step: int) -> dict[str, Tensor]:
        """Take one step of the discriminator and return its figures, from before that step.

        Args:
            made: Reconstruction `[B, T, 3, H, W]`; nothing flows back into it.
            clips: Of the same shape.
            chosen: Indices `[B, n]` of the frames that are judged one by one.
            step: Of the run; the learning rate follows that of the VAE.
        """
        assert self.optimizer is not None, "made in begin()"
        with self._awake() as weights:
            logits = self.discriminator(
                torch.cat([clips, made.detach().to(clips.dtype)]), torch.cat([chosen, chosen])
            )
            real, false = ([half[i] for half in map(_halves, logits)] for i in (0, 1))
            loss = discriminator_loss(real, false)
            gradients = self.processes.average(list(torch.autograd.grad(loss, weights)))
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.discriminator_rate * self.config.learning_rate_at(step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            return {
                "discriminator_loss": loss.detach(),
                "discriminator_accuracy": accuracy(real, false),
            }

    def term(
        self, made: Tensor, *, chosen: Tensor, loss: Tensor, last_layer: Tensor, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what the adversary adds to the loss of the VAE, and its figures.

        Args:
            made: Reconstruction `[B, T, 3, H, W]`, with its graph.
            chosen: As in `learn`.
            loss: What the reconstruction is trained on otherwise.
            last_layer: Weights of the decoder, behind which both are compared.
            step: Of the run.
        """
        adversarial = generator_loss(self.discriminator(made, chosen))
        ratio = gradient_ratio(loss, adversarial, last_layer, self.processes)
        weight = self.config.adversarial_weight_at(step) * ratio
        figures = {"adversarial_loss": adversarial.detach(), "adversarial_weight": weight}
        return weight * adversarial, figures

    @contextlib.contextmanager
    def _awake(self) -> Iterator[list[nn.Parameter]]:
        """Let the discriminator have gradients inside the context only."""
        self.discriminator.requires_grad_(True)
        try:
            yield list(self.discriminator.parameters())
        finally:
            self.discriminator.requires_grad_(False)


def gradient_ratio(
    loss: Tensor, adversarial: Tensor, last_layer: Tensor, processes: Processes
) -> Tensor:
    """Return how many times larger the gradient of the one loss is than that of the other, at most 1e4; no gradient.

    VQGAN's adaptive weight (Esser et al. 2021, equation 7): so weighted, both pull equally at the last layer, whatever
    the scale of the losses and of the logits. The gradients are those of the whole step, over all processes.
    """
    gradients = [
        torch.autograd.grad(term, last_layer, retain_graph=True)[0] for term in (loss, adversarial)
    ]
    ours, theirs = (g.float().norm() for g in processes.average(gradients))
    ratio: Tensor = (ours / (theirs + _EPSILON)).clamp(max=_LARGEST_RATIO)
    return ratio.detach()


def last_layer(vae: Vae) -> Tensor:
    """Return the weights of the last layer that every pixel comes through: the network's, or the patches' basis."""
    decoder = vae.decoder
    layer: nn.Conv2d = decoder.head if isinstance(decoder, Decoder) else decoder.basis
    return layer.weight


def _halves(logits: Tensor) -> tuple[Tensor, Tensor]:
    real, false = logits.chunk(2)
    return real, false
