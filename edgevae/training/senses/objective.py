"""What a VAE of several senses is trained to: the bounds of all senses and of a random few, in one pass.

    all senses   -> posterior -> sample -> every decoder            MVAE's bound of everything
    some of them -> posterior -> sample -> their own decoders       its bound of a subset (Wu and Goodman 2018)
                              -> mean   -> the other decoders       what is missing, as it will be shown

The last line is not theirs: at run time a missing sense is shown from the posterior's mean, so that the decoders learn
there what they should say where the mean does not tell. Its samples would teach the encoders to be sure of what they
cannot know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from edgevae.nn.posterior import Posterior, product_of_experts
from edgevae.nn.senses import MultimodalVae, target

LEAST_MSE = 1e-4
"""Of unit scale; below it nothing is gained."""


def random_subset(names: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Return some of the senses, not all: every number of them is as likely, and every choice of so many."""
    count = int(rng.integers(1, len(names)))
    chosen = set(rng.choice(len(names), count, replace=False).tolist())
    return tuple(name for i, name in enumerate(names) if i in chosen)


def loss_of(
    vae: MultimodalVae,
    data: Mapping[str, Tensor],
    some: Sequence[str],
    noise: Tensor,
    *,
    sense_weight: float,
    divergence_weight: float,
) -> Tensor:
    """Return the loss in nats a window: of all senses and of some of them.

    A sense's likelihood is a normal whose variance is the batch's own squared error (Rybkin et al. 2021), as of
    `sense_weight` independent values, or as many as it has: so no sense outweighs another by its number of pixels.

    Args:
        vae: The network.
        data: Every sense, tensors of `Sense.tensor`.
        some: The subset.
        noise: Of N(0, 1), `[2, B, C, 1, 1]`.
        sense_weight: Values that a sense counts as, at most.
        divergence_weight: Of the divergence from the prior; 1 is the bound itself.
    """
    config = vae.config
    experts = vae.posteriors(data)
    whole = product_of_experts(list(experts.values()))
    part = product_of_experts([experts[name] for name in some])
    sampled = torch.cat([whole.sample(noise[0]), part.sample(noise[1])])
    shown = torch.cat([sampled[: len(part.mean)], part.mean])
    loss = divergence_weight * (whole.divergence() + part.divergence()).mean()
    for name in experts:
        sense = config.spec.sense(name)
        made = vae.decode(sampled if name in some else shown, name).float()
        wanted = target(config, sense, data[name])
        values = min(sense_weight, math.prod(sense.clip_shape))
        # What is missing is no part of a bound, and counts as much as any: tracks have few values, and tell much.
        weights = (values, values if name in some else sense_weight)
        for said, weight in zip(made.chunk(2), weights, strict=True):
            loss = loss + 0.5 * weight * torch.log((said - wanted).square().mean() + LEAST_MSE)
    return loss


@torch.no_grad()
def unexplained(
    vae: MultimodalVae, data: Mapping[str, Tensor], variances: Mapping[str, float]
) -> dict[str, float]:
    """Return, for each subset and sense, the squared error as a share of what the mean of the data has; 1 is no better.

    Args:
        vae: The network.
        data: Every sense, tensors of `Sense.tensor`.
        variances: Of each sense in unit scale, around the mean of the training data.

    Returns:
        By `SUBSET>SENSE`: from all, from each alone, and from all but it.
    """
    config, names = vae.config, tuple(data)
    experts = vae.posteriors(data)
    subsets = {"all": names} | {name: (name,) for name in names}
    found = dict[str, float]()
    for label, subset in subsets.items():
        found |= _errors(vae, experts, subset, data, label)
    for name in names:
        others = tuple(n for n in names if n != name)
        found |= {
            k: v
            for k, v in _errors(vae, experts, others, data, f"all but {name}").items()
            if k.endswith(f">{name}")
        }
    assert config.spec.names == names, "all senses are validated on"
    return {key: value / variances[key.split(">")[1]] for key, value in found.items()}


def _errors(
    vae: MultimodalVae,
    experts: Mapping[str, Posterior],
    subset: Sequence[str],
    data: Mapping[str, Tensor],
    label: str,
) -> dict[str, float]:
    latents = product_of_experts([experts[name] for name in subset]).mean
    found = dict[str, float]()
    for name, value in data.items():
        wanted = target(vae.config, vae.config.spec.sense(name), value)
        found[f"{label}>{name}"] = float(
            (vae.decode(latents, name).float() - wanted).square().mean()
        )
    return found
