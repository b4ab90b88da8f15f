"""Which arithmetic an engine's layers run in: read from the network before the build, and from the engine after it.

Networks are strongly typed, so the network's types are the engine's. The engine is read back all the same, because
what was asked for and what runs must be seen to agree. What is not in half in an fp16 engine and should not be: the
uint8 and fp32 values at the graph's boundary (frames, latents and their scale) and the casts beside them.

NVIDIA describes a layer of an engine in words that differ from version to version:

    "Format/Datatype": "Half"                                 TensorRT 10 and later
    "Format/Datatype": "Half(64,1:8,...)"                     likewise, with strides
    "Format/Datatype": "Row major linear FP16 format"         TensorRT 8
    "Format/Datatype": "N/A due to dynamic shapes"            engines of several sizes
    "Weights": {"Type": "Half", "Count": 9408}                layers with weights
    "TacticName": "sm80_xmma_fprop_implicit_gemm_f16f16_..."  the kernel
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgevae.engine.flavour import Flavour
from edgevae.errors import ParityError

LEAST_HALF = 0.5
"""Of the layers that compute in floating point, how many an fp16 engine must have in half."""

FEWEST_TOLD = 4
"""Of how many layers the inspector must tell the type for an engine to be refused: one may be a whole fused network."""

_logger = logging.getLogger("edgevae")

_WORDS = {
    "fp16": re.compile(r"\b(half|fp16|float16)\b", re.IGNORECASE),
    "fp32": re.compile(r"\b(float|fp32|float32)\b", re.IGNORECASE),
    "other": re.compile(r"\b(bf16|bfloat16|int8|int4|fp8|fp4)\b", re.IGNORECASE),
    "index": re.compile(r"\b(int32|int64|uint8|bool)\b", re.IGNORECASE),
}
_TACTICS = {
    "fp16": re.compile(r"(f16f16|h16|_fp16|_half)", re.IGNORECASE),
    "fp32": re.compile(r"(f32f32_f32f32|tf32|_fp32|_float)", re.IGNORECASE),
}
_IDLE = {
    *("CONSTANT", "REFORMAT", "NOOP", "SHAPE", "CAST", "SIGNAL", "WAIT", "COPY", "ASSERTION"),
    *("SHAPEHOSTTODEVICE", "DEVICETOSHAPEHOST", "SHAPECALL", "SHAPE_CALL", "NO_OP"),
}
"""Kinds of layers that compute nothing: constants, shapes, and values that only move or change their type."""
_WORK = {"CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY"}
"""Kinds of a network's layers that are nearly all of its arithmetic."""


@dataclass(frozen=True, kw_only=True)
class LayerTypes:
    """How many layers run in which arithmetic; layers that only move values or compute shapes are left out."""

    fp16: int = 0
    """In float16."""
    fp32: int = 0
    """In float32."""
    other: int = 0
    """In bfloat16 or 8 bits and less."""
    untold: int = 0
    """Whose type TensorRT does not tell."""

    def __str__(self) -> str:
        parts = [f"{self.fp16} of {self.fp16 + self.fp32} layers in half"]
        parts += [f"{self.other} in other types"] if self.other else []
        parts += [f"{self.untold} untold"] if self.untold else []
        return ", ".join(parts)

    @property
    def half_share(self) -> float:
        """Of the layers in fp16 or fp32, how many are in fp16: 0 to 1; 0 where there are none."""
        return self.fp16 / (self.fp16 + self.fp32) if self.fp16 else 0.0

    @property
    def told(self) -> int:
        """How many layers TensorRT told the type of."""
        return self.fp16 + self.fp32 + self.other


def inspect_network(network: Any) -> LayerTypes:  # Any: bindings without types
    """Return the types of a parsed network's layers, by their outputs.

    Where it has convolutions or matrix products, which are the work, only these count: a normalisation that is float32
    on purpose is half a dozen small layers.
    """
    return _types(network, work_only=True)


def half_share_of_all(network: Any) -> float:  # Any: bindings without types
    """Return how many of all layers of a parsed network are in half, 0 to 1: an engine tells of all of them."""
    return _types(network, work_only=False).half_share


def _types(network: Any, *, work_only: bool) -> LayerTypes:  # Any: bindings without types
    found = [network.get_layer(i) for i in range(network.num_layers)]
    layers = [layer for layer in found if work_only and layer.type.name in _WORK] or found
    return _count(
        _by_words(str(layer.get_output(i).dtype.name) for i in range(layer.num_outputs))
        for layer in layers
        if layer.type.name not in _IDLE
    )


def inspect_engine(engine: Any, flavour: Flavour) -> LayerTypes:  # Any: bindings without types
    """Return the types of an engine's layers, as TensorRT's inspector tells them.

    Args:
        engine: An engine built with detailed verbosity, as `build_plan` does.
        flavour: Whose it is.
    """
    inspector = engine.create_engine_inspector()
    json_format = flavour.module.LayerInformationFormat.JSON
    return parse_inspection(inspector.get_engine_information(json_format))


def parse_inspection(text: str) -> LayerTypes:
    """Return the types of the layers in the inspector's JSON; those it tells nothing of are untold."""
    try:
        parsed: object = json.loads(text)
    except ValueError:
        _logger.warning("TensorRT's inspector gave no JSON (%s...)", text[:40].strip())
        return LayerTypes()
    layers = parsed.get("Layers") if isinstance(parsed, Mapping) else None
    found = layers if isinstance(layers, list) else []
    return _count(_layer(layer) for layer in found if not _is_idle(layer))


def require_half(
    types: LayerTypes, *, what: str, is_built: bool = False, least: float = LEAST_HALF
) -> None:
    """Check that a graph that was exported for float16 runs in float16.

    Args:
        types: Of its network or its engine.
        what: Names both, for the message.
        least: The smallest share of layers in half; less for an engine whose network has small layers of float32 on
            purpose, which are as many as the large ones.
        is_built: Whether they are those of an engine, as the inspector tells them. Where it tells little, that is a
            warning: the network's own types were checked before the build, and strong typing makes them the engine's.

    Raises:
        ParityError: too few of its layers are in half.
    """
    if is_built and (types.told < FEWEST_TOLD or types.told < types.untold):
        _logger.warning(
            "%s: TensorRT tells the type of %d layers and of %d not; not checked for float16",
            *(what, types.told, types.untold),
        )
        return
    if types.half_share < least:
        raise ParityError(
            f"{what}: fp16 was asked for and {types}, expected at least {least:.0%}; export the bundle again with "
            "--precision fp16, or take --precision fp32"
        )


def _layer(layer: object) -> str | None:
    """Return the type of one layer of the inspector's JSON: that of its weights, its outputs or its kernel."""
    if not isinstance(layer, Mapping):
        return None  # a name only: an engine without detailed verbosity
    weights, outputs = layer.get("Weights"), layer.get("Outputs")
    words = [str(weights.get("Type"))] if isinstance(weights, Mapping) else []
    by_weights = _by_words(words)
    if by_weights in ("fp16", "fp32"):
        return by_weights
    formats = [
        str(tensor.get("Format/Datatype", tensor.get("Datatype", "")))
        for tensor in (outputs if isinstance(outputs, list) else [])
        if isinstance(tensor, Mapping)
    ]
    return _by_words(formats) or _by_tactic(str(layer.get("TacticName", ""))) or by_weights


def _by_words(words: Iterable[str]) -> str | None:
    """Return the type that the most telling of a layer's outputs has: fp16 before fp32 before others."""
    found = {kind for word in words for kind, pattern in _WORDS.items() if pattern.search(word)}
    return next((kind for kind in _WORDS if kind in found), None)


def _by_tactic(tactic: str) -> str | None:
    return next((kind for kind, pattern in _TACTICS.items() if pattern.search(tactic)), None)


def _is_idle(layer: object) -> bool:
    kind = layer.get("LayerType") if isinstance(layer, Mapping) else None
    return isinstance(kind, str) and kind.upper() in _IDLE


def _count(kinds: Iterable[str | None]) -> LayerTypes:
    counts = Counter("untold" if kind is None else kind for kind in kinds)
    counts.pop("index", None)
    return LayerTypes(**counts)
