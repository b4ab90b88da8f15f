"""What is measured: PyTorch baselines and the runtime, opened through one protocol so that all do the same work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from edgevae.frames import Frames, Latents
from edgevae.spec import Precision, VaeSpec

if TYPE_CHECKING:
    import edgevae

Kind = Literal["pytorch", "runtime"]

StateT = TypeVar("StateT")

BASELINE = "pytorch_eager"
"""The subject that the others are compared with."""


class Codec(Protocol[StateT]):
    """An opened subject; `edgevae.Vae` is one. Arrays are in host memory, and no call returns before they are whole."""

    @property
    def spec(self) -> VaeSpec:
        """Factors, state, halo and normalisation."""

    @property
    def chunk_frames(self) -> int:
        """T: the frames that one call takes."""

    def stream(self, *, height: int, width: int, batch: int = 1) -> StateT:
        """Return the state of a stream at its first frame; height and width in pixels."""

    def encode_chunk(self, frames: Frames, state: StateT) -> tuple[Latents, StateT]:
        """Return latents float32 `[t, C, h, w]` of frames uint8 `[T, H, W, 3]`, and the next state."""

    def decode_chunk(self, latents: Latents, state: StateT) -> tuple[Frames, StateT]:
        """Return frames uint8 `[T, H, W, 3]` of latents, and the next state."""


AnyCodec = Codec[Any]
"""A codec whose state goes nowhere but back into it; Any because each of several side by side has states of its own."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Something that encodes and decodes, described so that another process can open the same."""

    name: str
    """Unique within a run."""
    kind: Kind
    """pytorch: a checkpoint in PyTorch. runtime: a bundle in edgevae's runtime."""
    path: str
    """The folder of the checkpoint or bundle."""
    backend: str
    """pytorch: one of `baseline.VARIANTS`. runtime: the backend's name, which is also its library's."""
    device: str
    """Where it runs."""
    precision: Precision
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


def runtime_subject(
    bundle: Path, *, backend: str, device: str, precision: Precision | None, threads: int
) -> tuple[Subject, str, str]:
    """Return the subject of a bundle with what the runtime chose for `auto` written out, the model's name and digest.

    Raises:
        EdgeVaeError: as `edgevae.load`.
    """
    import edgevae

    with edgevae.load(
        bundle, backend=backend, device=device, precision=precision, threads=threads
    ) as vae:
        subject = Subject(
            name=f"{vae.backend}_{vae.precision}",
            kind="runtime",
            path=str(bundle),
            backend=vae.backend,
            device=vae.device,
            precision=vae.precision,
            threads=threads,
            chunk_frames=vae.chunk_frames,
        )
        return subject, vae.name, vae.digest


def pytorch_subjects(checkpoint: Path, *, threads: int, chunk_frames: int) -> tuple[Subject, ...]:
    """Return the PyTorch baselines of a checkpoint, in fp32 on the CPU; the first one is `BASELINE`."""
    return tuple(
        Subject(
            name=f"pytorch_{variant}",
            kind="pytorch",
            path=str(checkpoint),
            backend=variant,
            device="cpu",
            precision="fp32",
            threads=threads,
            chunk_frames=chunk_frames,
        )
        for variant in ("eager", "channels_last")
    )


@contextlib.contextmanager
def open_subject(subject: Subject, *, size_px: tuple[int, int] | None = None) -> Iterator[AnyCodec]:
    """Yield the subject, loaded and ready; its library is imported here and not before.

    Args:
        subject: What to open.
        size_px: (H, W) that a TensorRT backend has engines for from the start; by default they come with the frames.

    Raises:
        EdgeVaeError: as `edgevae.load`, or as `edgevae.nn.load_checkpoint`.
        UnavailableError: the subject needs PyTorch, which is not installed.
    """
    if subject.kind == "runtime":
        import edgevae

        with edgevae.load(
            subject.path,
            backend=subject.backend,
            device=subject.device,
            precision=subject.precision,
            threads=subject.threads,
            tensorrt=_tensorrt_options(subject, size_px),
        ) as vae:
            yield vae
        return
    require_pytorch()
    from edgevae_bench.baseline import TorchCodec

    yield TorchCodec(
        Path(subject.path),
        variant=subject.backend,
        chunk_frames=subject.chunk_frames,
        threads=subject.threads,
        device=subject.device,
        precision=subject.precision,
    )


def _tensorrt_options(
    subject: Subject, size_px: tuple[int, int] | None
) -> edgevae.TensorRtOptions | None:
    """Return what a TensorRT backend is opened with; None for its defaults."""
    from edgevae.runtime.tensorrt_options import TensorRtOptions

    if subject.cuda_graph is None:
        return None
    sizes = () if size_px is None else (f"{size_px[0]}x{size_px[1]}",)
    return TensorRtOptions(sizes=sizes, cuda_graph=subject.cuda_graph)


def require_pytorch() -> None:
    """Return if PyTorch is installed, without importing it.

    Raises:
        UnavailableError: it is not.
    """
    from importlib.util import find_spec

    from edgevae.errors import UnavailableError

    if find_spec("torch") is None:
        raise UnavailableError(
            "--against: PyTorch is not installed, and the baseline runs in it; install it with "
            "`pip install 'edgevae[export]'`, or leave --against out"
        )
