"""A generator of edgevae's own as what is exported: a decoder alone, whose latents are noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from edgevae.errors import InputError
from edgevae.nn.generator import Generator
from edgevae.nn.generator_graph import GeneratorGraph, folded, generator_spec
from edgevae.spec import Role, VaeSpec
from edgevae_export.precision import HEADROOM


class OwnGenerator:
    """A `Generator` as an `Exportable` that has no encoder."""

    has_log_variance = False
    headroom = HEADROOM

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    @property
    def spec(self) -> VaeSpec:
        """Worked out from its configuration."""
        return generator_spec(self._generator.config)

    def graph_module(
        self, role: Role, *, chunk_frames: int, log_variance: bool = False
    ) -> nn.Module:
        """Return the generator as a decoder's graph, on a copy.

        Raises:
            InputError: another role, or a log-variance, is asked for.
        """
        if role != "decoder" or log_variance:
            raise InputError(f"generator: has a decoder alone, got a request for the {role}")
        return GeneratorGraph(self._generator, chunk_frames=chunk_frames).eval()

    @torch.no_grad()
    def whole_clip(self, role: Role, data: np.ndarray) -> np.ndarray:
        """Return what the network itself makes of the first noise of a clip, all frames at once."""
        steps, _, h, w = data.shape
        cell, count = self.spec.spatial_factor, steps * self.spec.temporal_factor
        noise = torch.from_numpy(data[:1, :, 0, 0])
        clip = folded(self._generator)(noise, count, size_px=(cell * h, cell * w))[0]
        levels = torch.round(255.0 * clip).to(torch.uint8)
        return np.repeat(levels.numpy()[..., None], 3, axis=-1)
