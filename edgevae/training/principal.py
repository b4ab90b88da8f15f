"""Start the linear patch maps of a network at the principal components of the training data.

A patch is what one latent cell stands for: T x 8 x 8 pixels, `x [T*3*64]`. With its mean `m`, the leading eigenvectors
`U [C, T*3*64]` of its covariance and their eigenvalues `e`:

    encoder.linear    z = (s / sqrt(e)) * U (x - m)          every latent has standard deviation s
    decoder.linear    x = U^T (sqrt(e) / s) z + m

The convolutions beside them start at zero, so that before the first step the VAE is this principal-component analysis
and training only has to learn what it misses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgevae.errors import InputError
from edgevae.nn.config import SPATIAL_FACTOR
from edgevae.nn.encoder import LOG_VARIANCE_RANGE
from edgevae.nn.vae import Vae

LATENT_STD = 0.25
"""s: latents start well inside the decoder's bound, which bends what lies beyond a third of it."""
_START_LOG_VARIANCE = (LOG_VARIANCE_RANGE[0] + 0.5, -2.0)
"""Inside the encoder's clamp, which passes no gradient beyond its ends."""


@dataclass(frozen=True, kw_only=True)
class PrincipalComponents:
    """The leading principal components of patches, float64."""

    mean: Tensor
    """`[T*3*64]`."""
    vectors: Tensor
    """`[C, T*3*64]`, orthonormal rows, in order (t, channel, y, x)."""
    deviations: Tensor
    """`[C]`, standard deviation of the patches along each row, descending."""
    missed: float
    """Variance of the patches that these components leave out, summed over the other directions."""

    @property
    def scale(self) -> Tensor:
        """`[C]`, the deviations; directions below a level of noise are kept, but not blown up to the size of others."""
        return self.deviations.clamp_min(self.deviations[0] * 1e-3)

    def first(self, count: int) -> PrincipalComponents:
        """Return the first `count` of these components."""
        missed = self.missed + float(self.deviations[count:].square().sum())
        return PrincipalComponents(
            mean=self.mean,
            vectors=self.vectors[:count],
            deviations=self.deviations[:count],
            missed=missed,
        )


def patches_of(clips: Tensor, *, temporal_factor: int) -> Tensor:
    """Return the patches `[N, T*3*64]`, in order (t, channel, y, x), of clips `[B, T', 3, H, W]`."""
    s = SPATIAL_FACTOR
    b, t, c, h, w = clips.shape
    cells = clips.reshape(b, t // temporal_factor, temporal_factor, c, h // s, s, w // s, s)
    return cells.permute(0, 1, 4, 6, 2, 3, 5, 7).reshape(-1, temporal_factor * c * s * s)


def fit_components(patches: Tensor, *, count: int) -> PrincipalComponents:
    """Return the `count` leading components of patches `[N, D]`.

    Raises:
        InputError: there are fewer patches than numbers in a patch.
    """
    samples, size = patches.shape
    if samples < size:
        raise InputError(
            f"principal components: got {samples} patches, expected at least {size}; give more data"
        )
    values = patches.double()
    mean = values.mean(0)
    centred = values - mean
    eigenvalues, eigenvectors = torch.linalg.eigh(centred.T @ centred / (samples - 1))
    leading = eigenvalues.flip(0)[:count]
    # A direction in which the data does not vary cannot be whitened: 1e-6 is far below one level of 255.
    deviations = leading.clamp_min(1e-12).sqrt()
    missed = float(eigenvalues.clamp_min(0).sum() - leading.clamp_min(0).sum())
    return PrincipalComponents(
        mean=mean, vectors=eigenvectors.flip(1).T[:count], deviations=deviations, missed=missed
    )


@torch.no_grad()
def start_at_components(vae: Vae, components: PrincipalComponents, *, noise_share: float) -> None:
    """Make a network the principal-component analysis: linear maps set, the heads beside them zero.

    Args:
        vae: The network; changed in place.
        components: Of patches in -1..1.
        noise_share: Squared error that the posterior's noise adds, as a share of what the components miss. It is
            divided equally over the latents, so a latent that stands for much of the picture has little noise.
    """
    encoder, decoder, c = vae.encoder, vae.decoder, vae.config.latent_channels
    down = components.vectors * (LATENT_STD / components.scale)[:, None]
    encoder.linear.weight.copy_(down.reshape(encoder.linear.weight.shape))
    assert encoder.linear.bias is not None
    assert decoder.linear.bias is not None
    encoder.linear.bias.copy_(-(down @ components.mean))
    up = components.vectors * (components.scale / LATENT_STD)[:, None]
    reach = decoder.linear.kernel_size[0] // 2  # a wider kernel starts at its centre
    decoder.linear.weight.zero_()
    decoder.linear.weight[:, :, reach, reach] = shuffle_order(up).T.float()
    decoder.linear.bias.copy_(shuffle_order(components.mean[None])[0])
    for head in (encoder.head, decoder.head):
        head.weight.zero_()
        assert head.bias is not None
        head.bias.zero_()
    assert encoder.head.bias is not None
    encoder.head.bias[c:] = start_log_variance(components, noise_share=noise_share)


def start_log_variance(components: PrincipalComponents, *, noise_share: float) -> Tensor:
    """Return the log-variance `[C]` of latents that stand for one component each (`start_at_components`)."""
    allowed = noise_share * components.missed / len(components.vectors)
    log_variance = torch.log((allowed * (LATENT_STD / components.scale).square()).clamp_min(1e-12))
    return log_variance.clamp(*_START_LOG_VARIANCE)


def shuffle_order(patches: Tensor) -> Tensor:
    """Return patches `[N, (t, channel, y, x)]` as the decoder has them: (t, y fast, x fast, channel, y slow, x slow).

    The pixel shuffle (by 4) takes the slow part of y and x, `interleave` the fast one: y = 2 * slow + fast.
    """
    slow, fast = SPATIAL_FACTOR // 2, 2
    cells = patches.reshape(
        len(patches), -1, 3, slow, fast, slow, fast
    )  # t, channel, y slow, y fast, x slow, x fast
    return cells.permute(0, 1, 4, 6, 2, 3, 5).reshape(len(patches), -1)
