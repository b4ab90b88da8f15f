"""A VAE of several senses as what is exported: an encoder and a decoder a sense and the fusion, each a `Part`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from edgevae.files import sha256
from edgevae.nn.checkpoint import WEIGHTS
from edgevae.nn.senses import MultimodalVae
from edgevae.nn.senses_checkpoint import load_senses
from edgevae.nn.senses_graph import FusionGraph, SenseDecoderGraph, SenseEncoderGraph
from edgevae.roles import Role
from edgevae.senses import Sense, SensesSpec
from edgevae.spec import GraphSpec, Precision, TensorSpec, VaeSpec


@dataclass(frozen=True)
class SensePart:
    """One graph of a model of several senses: a `Part` that says its tensors itself."""

    role: Role
    """Of the graph."""
    takes: TensorSpec
    """Its input."""
    gives: TensorSpec
    """Its output."""
    window_frames: int
    """What one call stands for."""
    make: Callable[[], nn.Module]
    """Makes a new module, float32."""
    chunk_steps: int = 1
    """A window is one latent step."""
    state: tuple[TensorSpec, ...] = ()
    """Windows know nothing of each other."""

    def module(self) -> nn.Module:
        """Return a new module, float32."""
        return self.make().eval()

    def graph(self, precision: Precision) -> GraphSpec:
        """Return the tensors of its graph."""
        return GraphSpec(
            role=self.role,
            precision=precision,
            file=f"{self.role}.{precision}.onnx",
            chunk_frames=self.window_frames,
            inputs=(self.takes,),
            outputs=(self.gives,),
        )


@dataclass(frozen=True)
class SensesSource:
    """Where a VAE of several senses is from."""

    vae: MultimodalVae
    """The network."""
    name: str
    """The model's name, for people."""
    weights_sha256: str
    """Digest of the weights file."""

    @property
    def senses(self) -> SensesSpec:
        """What its senses are."""
        return self.vae.config.spec

    @property
    def spec(self) -> VaeSpec:
        """Its latents: one vector a window, of the prior's unit scale."""
        channels = self.vae.config.latent_channels
        sides = [s.shape[1] for s in self.senses.senses if s.kind == "frames"]
        return VaeSpec(
            temporal_factor=self.senses.window_frames,
            spatial_factor=max(sides, default=1),
            latent_channels=channels,
            encoder_halo_px=0,
            decoder_halo_cells=0,
            encoder_state=(),
            decoder_state=(),
            latent_mean=(0.0,) * channels,
            latent_std=(1.0,) * channels,
        )

    @property
    def parts(self) -> tuple[SensePart, ...]:
        """All its graphs: encoders, fusion, decoders."""
        senses = self.senses.senses
        return (
            *(self.encoder(s) for s in senses),
            self.fusion(),
            *(self.decoder(s) for s in senses),
        )

    def encoder(self, sense: Sense) -> SensePart:
        """Return the encoder of a sense."""
        return self._part(
            f"encoder.{sense.name}", lambda: SenseEncoderGraph(copy.deepcopy(self.vae), sense.name)
        )

    def decoder(self, sense: Sense) -> SensePart:
        """Return the decoder of a sense."""
        return self._part(
            f"decoder.{sense.name}", lambda: SenseDecoderGraph(copy.deepcopy(self.vae), sense.name)
        )

    def fusion(self) -> SensePart:
        """Return the product of experts."""
        count, channels = len(self.senses.senses), self.vae.config.latent_channels
        return self._part("fusion", lambda: FusionGraph(count, channels))

    def _part(self, role: Role, make: Callable[[], nn.Module]) -> SensePart:
        tensors = self.senses.tensors(role, channels=self.vae.config.latent_channels)
        assert tensors is not None, "of one of its own senses"
        return SensePart(role, *tensors, self.senses.window_frames, make)


def open_senses(folder: Path, *, name: str) -> SensesSource:
    """Return the VAE of several senses of a checkpoint.

    Raises:
        InputError: a file is missing, or the weights do not fit the configuration.
    """
    return SensesSource(load_senses(folder), name, sha256((folder / WEIGHTS).read_bytes()))
