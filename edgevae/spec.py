"""What a VAE is, without its weights: factors, state, halo, latent normalisation, and the tensors of its graphs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from edgevae.errors import ConfigError, InputError
from edgevae.roles import Flow, flow_of
from edgevae.roles import Role as Role  # where the other types of a graph are
from edgevae.strict import to_dict

DType = Literal["uint8", "float16", "float32"]
Precision = Literal["fp32", "fp16"]

FLOAT32_MAX, FLOAT32_LEAST = 3.4028234e38, 1.1754944e-38
"""The largest number of float32, and the smallest above 0 that keeps its precision."""

_DIM = re.compile(r"(?:(?P<times>[1-9]\d*)\*)?(?P<name>[a-z_]+)(?:/(?P<over>[1-9]\d*))?")


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input or output of a graph."""

    name: str
    """Its name in the graph."""
    dtype: DType
    """Its element type."""
    shape: tuple[int | str, ...]
    """One entry an axis: a number, or `name`, `N*name` or `name/N` of the sizes batch, height and width (pixels)."""

    def __post_init__(self) -> None:
        for dim in self.shape:
            if isinstance(dim, str) and not _DIM.fullmatch(dim):
                raise ConfigError(
                    f"tensor {self.name!r}: dimension {dim!r} is not 'name', 'N*name' or 'name/N'"
                )

    def resolve(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape for given sizes.

        Args:
            sizes: batch, and height and width in pixels, for example `{"batch": 1, "height": 360, "width": 640}`.

        Raises:
            ConfigError: a name in the shape is not among the sizes, or a division leaves a remainder.
        """
        return tuple(
            dim if isinstance(dim, int) else self._dimension(dim, sizes) for dim in self.shape
        )

    def _dimension(self, dim: str, sizes: Mapping[str, int]) -> int:
        match = _DIM.fullmatch(dim)
        assert match is not None, "checked in __post_init__"
        name, times, over = match["name"], int(match["times"] or 1), int(match["over"] or 1)
        if name not in sizes:
            raise ConfigError(
                f"tensor {self.name!r}: dimension {dim!r} names no known size; known: {', '.join(sizes)}"
            )
        if times * sizes[name] % over:
            raise ConfigError(
                f"tensor {self.name!r}: {name}={sizes[name]} is no multiple of {over}; pad it"
            )
        return times * sizes[name] // over


@dataclass(frozen=True, kw_only=True)
class VaeSpec:
    """What a runtime needs to know of a VAE; computed from the network's configuration, stored in the bundle."""

    temporal_factor: int
    """Frames per latent step; 1 for an image model."""
    spatial_factor: int
    """Pixels per latent cell, on each side."""
    latent_channels: int
    """C of the latents."""
    encoder_halo_px: int | None
    """How far outside a tile of frames its latents can see, in pixels, a multiple of the spatial factor.

    None: the whole frame, as attention and normalisations over the picture do."""
    decoder_halo_cells: int | None
    """How far outside a tile of latents its frames can see, in latent cells; None: the whole frame."""
    encoder_state: tuple[TensorSpec, ...]
    """The causal caches of the encoder, in order; empty for a model without memory."""
    decoder_state: tuple[TensorSpec, ...]
    """The causal caches of the decoder, in order; empty for a model without memory."""
    latent_mean: tuple[float, ...]
    """Mean of the network's own latents per channel, subtracted in the encoder graph, added in the decoder graph."""
    latent_std: tuple[float, ...]
    """Standard deviation of the network's own latents per channel, divided out and multiplied back in the graphs."""
    nested_channels: tuple[int, ...] = ()
    """Numbers of channels below C with which the model also works, ascending: the first ones, the others being 0."""
    lead_frames: int = 0
    """Frames that the first latent step of a clip does not stand for: it has temporal_factor - lead_frames frames.

    Causal video models that code the first frame alone (1 + 4k frames) have temporal_factor - 1. Their graphs take and
    give whole chunks all the same: at the start of a clip the lead frames are filler, without influence on anything."""

    def __post_init__(self) -> None:
        for name in ("temporal_factor", "spatial_factor", "latent_channels"):
            if getattr(self, name) < 1:
                raise ConfigError(f"spec: {name} is {getattr(self, name)}, expected at least 1")
        for name in ("latent_mean", "latent_std"):
            values = getattr(self, name)
            # The graphs compute in float32, where a larger one is infinite; of NaN neither is true.
            fit = [value for value in values if abs(value) <= FLOAT32_MAX]
            if not len(values) == len(fit) == self.latent_channels:
                raise ConfigError(
                    f"spec: {name} must be {self.latent_channels} finite numbers, one a latent channel"
                )
        if not 0 <= self.lead_frames < self.temporal_factor:
            raise ConfigError(
                f"spec: lead_frames is {self.lead_frames}, expected 0 to {self.temporal_factor - 1}, "
                "less than the temporal factor"
            )
        if min(self.latent_std) < FLOAT32_LEAST:
            raise ConfigError(
                f"spec: latent_std has {min(self.latent_std)}, expected numbers above 0"
            )
        for name in ("encoder_halo_px", "decoder_halo_cells"):
            if (getattr(self, name) or 0) < 0:
                raise ConfigError(f"spec: {name} is {getattr(self, name)}, expected 0 or more")
        check_nested(self.nested_channels, channels=self.latent_channels, where="spec")

    @property
    def compression(self) -> float:
        """How many values of a clip one latent value stands for, with all channels; see `compression_of`."""
        return self.compression_of(self.latent_channels)

    def compression_of(self, channels: int) -> float:
        """Return how many values of a clip one latent value stands for: 3 * temporal factor * spatial factor^2 / C."""
        return 3 * self.temporal_factor * self.spatial_factor**2 / channels

    @property
    def channels(self) -> tuple[int, ...]:
        """The numbers of latent channels with which the model works, ascending; the last one is C."""
        return (*self.nested_channels, self.latent_channels)

    def require_channels(self, channels: int | None) -> int:
        """Return how many latent channels are meant: one of `channels`, C for None.

        Raises:
            InputError: the model does not work with so many.
        """
        for known in self.channels:
            if known == (self.latent_channels if channels is None else channels):
                return known
        raise InputError(
            f"channels: got {channels!r}, expected {one_of(self.channels)}, with which this model was trained; "
            f"leave it out for all {self.latent_channels}"
        )

    def stored(self) -> dict[str, Any]:  # Any: JSON values
        """Return the dictionary that is stored and digested.

        What has a default came later than the format, and is a key only where it says something else: what was written
        before has the same digest still, and latents of it the same model.
        """
        data: dict[str, Any] = to_dict(self)  # Any: JSON values
        for field in fields(self):
            if getattr(self, field.name) == field.default:
                del data[field.name]
        return data

    def frames_of(self, steps: int) -> int:
        """Return how many frames the first latent steps of a clip stand for."""
        return steps * self.temporal_factor - self.lead_frames

    def state(self, role: Role) -> tuple[TensorSpec, ...]:
        """Return the caches of the encoder or of the decoder."""
        return self.encoder_state if role == "encoder" else self.decoder_state

    def halo_cells(self, role: Role) -> int | None:
        """Return how far outside a tile a graph sees, in latent cells; None: the whole frame."""
        if role == "decoder" or self.encoder_halo_px is None:
            return self.decoder_halo_cells if role == "decoder" else None
        return -(-self.encoder_halo_px // self.spatial_factor)


@dataclass(frozen=True, kw_only=True)
class GraphSpec:
    """One graph of a bundle: its file and its tensors.

    Inputs are the data tensor and then the state; outputs likewise. A state named `x` comes in as `x` and goes out as
    `x_next`, because an ONNX graph cannot have the same name twice.
    """

    role: Role
    """What it is in the model, which says what goes in and comes out."""
    precision: Precision
    """The arithmetic of the graph; frames are uint8 and latents float32 at its boundary in either."""
    file: str
    """The file in the bundle's folder."""
    chunk_frames: int
    """T: frames per clip that one call takes or gives; a multiple of the temporal factor."""
    inputs: tuple[TensorSpec, ...]
    """The data tensor, then the state."""
    outputs: tuple[TensorSpec, ...]
    """The data tensor (and `log_variance` where exported), then the state."""

    def __post_init__(self) -> None:
        if self.inputs and self.outputs:  # a graph without them is refused by the bundle
            _ = self.flow

    @property
    def flow(self) -> Flow:
        """What goes through it."""
        return flow_of(self.role, self.inputs[0].name, self.outputs[0].name)

    @property
    def data(self) -> TensorSpec:
        """The input that is not state."""
        return self.inputs[0]

    @property
    def chunk_length(self) -> int:
        """What one call takes of one clip: frames for an encoder, latent steps for any other."""
        return replace(self.data, shape=self.data.shape[:1]).resolve({"batch": 1})[0]

    @property
    def state(self) -> tuple[TensorSpec, ...]:
        """The state inputs; empty for a model without memory."""
        return self.inputs[1:]


def check_nested(nested: tuple[int, ...], *, channels: int, where: str) -> None:
    """Refuse numbers of nested channels that do not ascend from 1 to below all of them.

    Raises:
        ConfigError: they do not.
    """
    if list(nested) != sorted({n for n in nested if 0 < n < channels}):
        raise ConfigError(
            f"{where}: nested_channels is {list(nested)}, expected ascending numbers from 1 to {channels - 1}"
        )


def one_of(numbers: tuple[int, ...]) -> str:
    """Return numbers as a message names a choice: `4, 8 or 16`."""
    *others, last = map(str, numbers)
    return f"{', '.join(others)} or {last}" if others else last


def next_name(state: str) -> str:
    """Return the output's name of the state input `state`."""
    return f"{state}_next"


def with_dtype(tensors: tuple[TensorSpec, ...], dtype: DType) -> tuple[TensorSpec, ...]:
    """Return the same tensors with another element type."""
    return tuple(replace(t, dtype=dtype) for t in tensors)
