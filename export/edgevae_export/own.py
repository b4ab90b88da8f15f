"""Networks of edgevae's own as what is exported: a VAE, and what stands beside it in a checkpoint."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgevae.errors import InputError
from edgevae.files import sha256
from edgevae.nn import Vae, load_checkpoint
from edgevae.nn.checkpoint import WEIGHTS
from edgevae.nn.generator_checkpoint import has_generator, load_generator
from edgevae.nn.graph import DecoderGraph, EncoderGraph, PredictorGraph, PriorGraph
from edgevae.nn.predictor import Predictor
from edgevae.nn.predictor_checkpoint import has_predictor, load_predictor
from edgevae.nn.prior import Prior
from edgevae.nn.prior_checkpoint import has_prior, load_prior
from edgevae.spec import Role, TensorSpec, VaeSpec
from edgevae_export.exportable import Source
from edgevae_export.own_generator import OwnGenerator
from edgevae_export.precision import HEADROOM


class OwnVae:
    """A `Vae` as an `Exportable`."""

    has_log_variance = True
    headroom = HEADROOM

    def __init__(self, vae: Vae) -> None:
        self._vae = vae

    @property
    def spec(self) -> VaeSpec:
        """Worked out from the layers."""
        return self._vae.spec

    def graph_module(
        self, role: Role, *, chunk_frames: int, log_variance: bool = False
    ) -> nn.Module:
        """Return the network's own graph module, on a copy of it."""
        network = copy.deepcopy(self._vae)
        if role == "encoder":
            graph = EncoderGraph(network, chunk_frames=chunk_frames, log_variance=log_variance)
            return graph.eval()
        return DecoderGraph(network, chunk_frames=chunk_frames).eval()

    @torch.inference_mode()
    def whole_clip(self, role: Role, data: np.ndarray) -> np.ndarray:
        """Return what `Vae.encode` and `Vae.decode` make of a clip at once."""
        mean, std = (
            torch.tensor(values).reshape(-1, 1, 1)
            for values in (self.spec.latent_mean, self.spec.latent_std)
        )
        if role == "encoder":
            pixels = torch.from_numpy(data).float().permute(0, 3, 1, 2) / 127.5 - 1.0
            posterior, _ = self._vae.encode(pixels[None])
            return _array((posterior.mean[0] - mean) / std)
        frames, _ = self._vae.decode((torch.from_numpy(data) * std + mean)[None])
        levels = torch.round(torch.clamp(frames[0] * 127.5 + 127.5, 0.0, 255.0)).to(torch.uint8)
        return _array(levels.permute(0, 2, 3, 1))


class OwnPart:
    """A `Predictor` or a `Prior` as a `Part`."""

    def __init__(self, network: Predictor | Prior) -> None:
        self._network = network
        self.role: Role = "predictor" if isinstance(network, Predictor) else "prior"

    @property
    def chunk_steps(self) -> int:
        """Those that it takes and gives."""
        return self._network.config.chunk_steps

    @property
    def state(self) -> tuple[TensorSpec, ...]:
        """Its memory."""
        return self._network.state

    def module(self) -> nn.Module:
        """Return the network with float32 data at its boundary, on a copy."""
        network = copy.deepcopy(self._network)
        graph = PredictorGraph(network) if isinstance(network, Predictor) else PriorGraph(network)
        return graph.eval()


def open_checkpoint(folder: Path) -> Source:
    """Return the VAE, or the generator, of a checkpoint of ours.

    Raises:
        InputError: no checkpoint, or one whose latents were not measured, or its parts do not fit together.
    """
    if has_generator(folder):
        weights = sha256((folder / WEIGHTS).read_bytes())
        generator = load_generator(folder)
        return Source(
            OwnGenerator(generator),
            model_name(folder),
            weights,
            roles=("decoder",),
            picture_px=generator.config.picture_px,
        )
    vae = load_checkpoint(folder)
    if vae.config.latent_mean is None or vae.config.latent_std is None:
        raise InputError(
            f"{folder}: config.json has no latent_mean and latent_std, so latents would have no unit scale; "
            "finish the training run, which measures them (edgevae train --resume RUN), or set them"
        )
    weights = sha256((folder / WEIGHTS).read_bytes())
    networks = _beside(vae, folder)
    pictures = [one.config.picture_px for one in networks if isinstance(one, Prior)]
    return Source(
        OwnVae(vae),
        model_name(folder),
        weights,
        parts=tuple(OwnPart(one) for one in networks),
        picture_px=pictures[0] if pictures else None,
    )


def _beside(vae: Vae, folder: Path) -> tuple[Predictor | Prior, ...]:
    """Return what stands beside a VAE in its checkpoint.

    Raises:
        InputError: it is for the latents of another VAE, or for calls of another length than what else is there.
    """
    networks: list[Predictor | Prior] = []
    if has_predictor(folder):
        networks.append(load_predictor(folder))
    if has_prior(folder):
        networks.append(load_prior(folder))
    expected = (vae.spec.latent_channels, vae.spec.spatial_factor)
    for one in networks:
        got = (one.config.latent_channels, one.config.cell_px)
        if got != expected:
            raise InputError(
                f"{folder}: its {OwnPart(one).role} is of {got[0]} channels and cells of {got[1]} pixels, expected "
                f"{expected[0]} and {expected[1]} of the VAE beside it; put it beside the one that it was trained with"
            )
    if len({one.config.chunk_steps for one in networks}) > 1:
        raise InputError(
            f"{folder}: predictor and prior make chunks of different lengths; export each from a folder of its own"
        )
    return tuple(networks)


def model_name(folder: Path) -> str:
    """Return a model's name by its checkpoint: `runs/street/checkpoint` is street, as is `street`."""
    folder = folder.resolve()
    return folder.parent.name if folder.name == "checkpoint" else folder.name


def _array(tensor: Tensor) -> np.ndarray:
    """Return a contiguous copy."""
    return np.ascontiguousarray(tensor.numpy())
