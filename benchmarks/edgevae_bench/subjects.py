"""What is measured: PyTorch, edgevae's runtime and its peers, described so that another process can open the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from edgevae.frames import Frames, Latents
from edgevae.spec import VaeSpec
from edgevae_bench.work import Arithmetic

Kind = Literal["pytorch", "runtime", "peer"]

StateT = TypeVar("StateT")

REFERENCE = "pytorch_eager_fp32"
"""The subject that the others' frames and latents are compared with."""


class Codec(Protocol[StateT]):
    """An opened subject; `edgevae.Vae` is one. Arrays are in host memory, and no call returns before they are whole."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def model_digest(self) -> str:
        """What stands for weights and specification."""

    @property
    def spec(self) -> VaeSpec:
        """Factors, state, halo and normalisation."""

    @property
    def chunk_frames(self) -> int:
        """T: the frames that one call takes."""

    def stream(self, *, height: int, width: int, batch: int = 1) -> StateT:
        """Return the state of a stream at its first frame; height and width in pixels."""

    def encode_chunk(
        self, frames: Frames, state: StateT, *, channels: int | None = None
    ) -> tuple[Latents, StateT]:
        """Return latents float32 `[t, C, h, w]` of frames uint8 `[T, H, W, 3]`, and the next state."""

    def decode_chunk(self, latents: Latents, state: StateT) -> tuple[Frames, StateT]:
        """Return frames uint8 `[T, H, W, 3]` of latents, and the next state."""


AnyCodec = Codec[Any]
"""A codec whose state goes nowhere but back into it; Any because each of several side by side has states of its own."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Something that encodes and decodes."""

    name: str
    """Unique within a run."""
    kind: Kind
    """pytorch: a checkpoint in PyTorch. runtime: a bundle in edgevae's runtime. peer: a bundle's graphs elsewhere."""
    path: str
    """The folder of the checkpoint or bundle; in a result only its name."""
    backend: str
    """pytorch: one of `baseline.VARIANTS`. Otherwise the backend's name, which is also its library's."""
    device: str
    """`cpu` or `cuda:N`."""
    precision: Arithmetic
    """Of the arithmetic."""
    threads: int
    """CPU threads of one call."""
    chunk_frames: int
    """Frames of one call."""
    cuda_graph: bool | None = None
    """TensorRT: whether calls are replayed as CUDA graphs. None: as the runtime has it, or another backend."""

    @property
    def library(self) -> str:
        """The Python module that does the arithmetic."""
        if self.kind == "pytorch":
            return "torch"
        return "onnxruntime" if self.backend.startswith("onnxruntime") else self.backend
