"""The discriminator: says of patches of frames, and of patches of clips, whether they are real or reconstructed.

It is a critic of texture and of movement, not of whole pictures (PatchGAN: Isola et al. 2017, section 3.2.2), trained
with the hinge loss (Lim and Ye 2017). Every
convolution has its spectral norm divided out (Miyato et al. 2018), which bounds how steep a judgement can be. Of the
ways to that, it needs no statistics of a batch, so that several processes judge as one would, and no second
derivative (as a gradient penalty does), so that a step stays cheap on a CPU and safe in bf16.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

_CHANGE_GAIN = 4.0
"""On what changes from frame to frame, which is about a quarter as large as the frames themselves."""
_DETAIL_GAIN = 8.0
"""On what differs within 2x2 pixels: by this, small beside their mean, real and reconstructed are told apart."""


class PatchDiscriminator(nn.Module):
    """Pictures `[N, C, H, W]` in -1..1 to logits `[N, 1, H/8, W/8]`, above 0 for real; each sees 56x56 pixels.

        pixels - 2x2 mean, details - 3x3 - 4x4 /2 - 4x4 /2 - 3x3 - 3x3 - logits
        sees           2             6      12       24       40    56

    Logits stand on the grid of the latents, where the seams of a reconstruction are. The last convolution has no bias:
    what raises all logits alike tells nothing apart, and its gradient is only rounding while the judgement is even.
    """

    def __init__(self, channels_in: int, width: int) -> None:
        super().__init__()
        shapes = [(4 * channels_in, width, 3, 1), (width, 2 * width, 4, 2)]
        shapes += [(2 * width, 4 * width, 4, 2), (4 * width, 4 * width, 3, 1)]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=1))
            for c_in, c_out, kernel, stride in shapes
        )
        self.head = spectral_norm(nn.Conv2d(4 * width, 1, 3, padding=1, bias=False))

    def forward(self, pictures: Tensor) -> Tensor:
        x = with_details(pictures)
        for layer in self.layers:
            x = _leak(layer(x))
        logits: Tensor = self.head(x)
        return logits


class Discriminator(nn.Module):
    """A patch discriminator on single frames and, for video, one on clips.

    Args:
        width: Channels of the first convolution; the deepest ones have four times as many.
        clip_frames: Frames of a clip, all of which the second one sees at once; 1 makes none.
    """

    def __init__(self, *, width: int, clip_frames: int) -> None:
        super().__init__()
        self.frames = PatchDiscriminator(3, width)
        self.clips = PatchDiscriminator(3 * clip_frames, width) if clip_frames > 1 else None

    def forward(self, clips: Tensor, chosen: Tensor) -> list[Tensor]:
        """Return the logits of frames `[B*n, 1, H/8, W/8]` and, for video, of clips `[B, 1, H/8, W/8]`.

        Args:
            clips: `[B, T, 3, H, W]`; what is outside -1..1 is seen as it would be shown, so it tells nothing.
            chosen: Indices `[B, n]` of the frames of each clip that are judged one by one. All would cost most of a
                step and say little more: the frames of a clip are alike.
        """
        # In fp32, for a reconstruction in bf16: details are differences of pixels that are nearly equal.
        shown = clips.float().clamp(-1.0, 1.0)
        logits: list[Tensor] = [self.frames(frames_at(shown, chosen))]
        if self.clips is not None:
            logits.append(self.clips(as_changes(shown)))
        return logits


def frames_at(clips: Tensor, chosen: Tensor) -> Tensor:
    """Return frames `[B*n, 3, H, W]` of clips `[B, T, 3, H, W]`, at indices `[B, n]` of each."""
    rows = torch.arange(len(clips), device=clips.device)[:, None]
    return clips[rows, chosen].flatten(0, 1)


def as_changes(clips: Tensor) -> Tensor:
    """Return clips `[B, T, 3, H, W]` as pictures `[B, T*3, H, W]`: the first frame, then how each next one differs.

    The same information as the frames, but flicker and jumps between chunks stand by themselves in it, where in the
    frames they are small beside what stays.
    """
    changes = _CHANGE_GAIN * (clips[:, 1:] - clips[:, :-1])
    return torch.cat([clips[:, :1], changes], 1).flatten(1, 2)


def with_details(pictures: Tensor) -> Tensor:
    """Return pictures `[N, C, H, W]` as `[N, 4*C, H/2, W/2]`: the mean of 2x2 pixels, and how they differ (Haar).

    The same information as the pixels. On reconstructions of edgevae-video-s 50 steps with the details made louder told
    89 % of the patches from their originals, and 50 steps on plain pixels 71 %.
    """
    (a, b), (c, d) = (
        (rows[..., ::2], rows[..., 1::2])
        for rows in (pictures[..., ::2, :], pictures[..., 1::2, :])
    )
    details = torch.cat([a - b + c - d, a + b - c - d, a - b - c + d], 1)
    return 0.25 * torch.cat([a + b + c + d, _DETAIL_GAIN * details], 1)


def _leak(x: Tensor) -> Tensor:
    """Return about x above 0 and 0.2 x below, round at 0 and never flat.

    With a corner there, rounding decides slopes: two processes then learnt weights 4e-4 apart in four steps.
    """
    return 0.2 * x + 0.08 * F.silu(10.0 * x)


def discriminator_loss(real: list[Tensor], made: list[Tensor]) -> Tensor:
    """Return the hinge loss: 0 where real is above 1 and made below -1. Frames and clips count alike."""
    terms = [
        0.5 * (F.relu(1.0 - r.float()).mean() + F.relu(1.0 + m.float()).mean())
        for r, m in zip(real, made, strict=True)
    ]
    return torch.stack(terms).mean()


def generator_loss(made: list[Tensor]) -> Tensor:
    """Return what the reconstruction is trained on: its logits, to be raised; frames and clips count alike."""
    return -torch.stack([m.float().mean() for m in made]).mean()


def accuracy(real: list[Tensor], made: list[Tensor]) -> Tensor:
    """Return the share of patches that are told right, 0..1; 0.5 is guessing. Frames and clips count alike."""
    shares = [
        0.5 * ((r > 0).float().mean() + (m < 0).float().mean())
        for r, m in zip(real, made, strict=True)
    ]
    return torch.stack(shares).mean()
