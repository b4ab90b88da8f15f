"""What an encoder says of the latents: a normal a channel, their product, and how sure it may be."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LOG_VARIANCE_RANGE = (-6.0, 4.0)
"""Of one sense: precisions of at most exp(6) = 403, whose weighted sums float16 holds."""


class Posterior(NamedTuple):
    """A diagonal normal over latents, `[B, C, 1, 1]` each."""

    mean: Tensor
    """Its mean."""
    log_variance: Tensor
    """Logarithm of its variance."""

    def sample(self, noise: Tensor) -> Tensor:
        """Return mean + deviation * noise."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def divergence(self) -> Tensor:
        """Return KL(q || N(0, 1)) in nats, `[B]`."""
        terms = self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance
        return 0.5 * terms.sum((1, 2, 3))


def product_of_experts(experts: list[Posterior]) -> Posterior:
    """Return the product of posteriors and of the prior N(0, 1): precisions add up, means are weighted with them."""
    precisions = [torch.exp(-e.log_variance) for e in experts]
    total = torch.stack(precisions).sum(0) + 1.0
    weighted = torch.stack([e.mean * p for e, p in zip(experts, precisions, strict=True)]).sum(0)
    return Posterior(weighted / total, -torch.log(total))


def bounded(log_variance: Tensor) -> Tensor:
    """Return a log-variance clamped to `LOG_VARIANCE_RANGE`, that learning can bring back from outside.

    The gradient of a clamp is 0 there. In the first steps, when no decoder listens yet, the divergence drives every
    expert to know nothing; where it left the range it stayed, and said with means of 30 to 100 what it could not say
    with a precision.
    """
    if torch.compiler.is_compiling() or not log_variance.requires_grad:  # a graph is exported
        return torch.clamp(log_variance, *LOG_VARIANCE_RANGE)
    found: Tensor = _Bounded.apply(log_variance)  # type: ignore[no-untyped-call]  # torch's stubs
    return found


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return torch.clamp(value, *LOG_VARIANCE_RANGE)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (value,) = ctx.saved_tensors  # type: ignore[attr-defined]  # torch's stubs
        least, most = LOG_VARIANCE_RANGE
        # A step is against the gradient: a positive one comes down from above.
        keeps_off = (value > most) & (gradient < 0) | (value < least) & (gradient > 0)
        return gradient.masked_fill(keeps_off, 0.0)
