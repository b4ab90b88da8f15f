"""What the GPU benchmark measures: the subjects of a device, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevae.errors import InputError
from edgevae.spec import Precision
from edgevae_bench.clip import Clip
from edgevae_bench.subjects import Kind, Subject

REFERENCE = "pytorch_fp32"
"""The subject that the others' frames are compared with."""

BASELINES = ("pytorch_eager_fp16", "pytorch_compile_fp16", "pytorch_compile_graphs_fp16")
"""The subjects that the others' times are compared with."""

_CUDA: tuple[tuple[str, Kind, str, Precision, bool | None], ...] = (
    (REFERENCE, "pytorch", "eager", "fp32", None),
    (BASELINES[0], "pytorch", "channels_last", "fp16", None),
    (BASELINES[1], "pytorch", "compile", "fp16", None),
    (BASELINES[2], "pytorch", "compile_graphs", "fp16", None),
    ("onnxruntime_fp16", "runtime", "onnxruntime", "fp16", None),
    ("onnxruntime_tensorrt_fp16", "runtime", "onnxruntime_tensorrt", "fp16", None),
    ("tensorrt_fp16", "runtime", "tensorrt", "fp16", True),
    ("tensorrt_fp16_no_graph", "runtime", "tensorrt", "fp16", False),
    ("tensorrt_rtx_fp16", "runtime", "tensorrt_rtx", "fp16", True),
    ("tensorrt_rtx_fp16_no_graph", "runtime", "tensorrt_rtx", "fp16", False),
)
_CPU: tuple[tuple[str, Kind, str, Precision, bool | None], ...] = (
    (REFERENCE, "pytorch", "eager", "fp32", None),
    ("pytorch_channels_last", "pytorch", "channels_last", "fp32", None),
    ("onnxruntime_fp32", "runtime", "onnxruntime", "fp32", None),
)
"""Name, kind, variant or backend, precision, CUDA graphs. The CPU's are for the tests of the benchmark itself."""


@dataclass(frozen=True, kw_only=True)
class GpuPlan:
    """What to measure."""

    bundle: Path
    """The folder of the model."""
    checkpoint: Path
    """The folder of the weights that it was exported from."""
    clip: Clip
    """The frames, with the size to measure."""
    device: str
    """`cuda:N`, or `cpu`."""
    threads: int
    """CPU threads of every subject."""
    only: tuple[str, ...] = ()
    """Subjects to measure beside the reference; none stands for all of the device."""
    chunks: int = 4
    """Calls of a turn; an even number."""
    rounds: int = 25
    """Turns of each subject at each boundary."""
    max_warm_up_turns: int = 20
    """Bound of the warm-up."""
    interleaved: bool = True
    """Have all subjects open and take turns; without it one after the other, for devices of little memory."""
    seed: int = 0
    """Of the order within the rounds."""

    def __post_init__(self) -> None:
        if self.chunks < 2 or self.chunks % 2:
            raise InputError(f"chunks: got {self.chunks}, expected an even number")
        if self.rounds < 1:
            raise InputError(f"rounds: got {self.rounds}, expected at least 1")
        if self.clip.size_px is None:
            raise InputError(f"{self.clip.path}: got no size, expected one such as 832x480")
        unknown = set(self.only) - {row[0] for row in self._table()}
        if unknown:
            known = ", ".join(row[0] for row in self._table())
            raise InputError(f"--only: got {min(unknown)}, expected one of {known}")

    def subjects(self, *, chunk_frames: int) -> tuple[Subject, ...]:
        """Return the subjects, the reference first."""
        return tuple(
            Subject(
                name=name,
                kind=kind,
                path=str(self.checkpoint if kind == "pytorch" else self.bundle),
                backend=backend,
                device=self.device,
                precision=precision,
                threads=self.threads,
                chunk_frames=chunk_frames,
                cuda_graph=cuda_graph,
            )
            for name, kind, backend, precision, cuda_graph in self._table()
            if not self.only or name in (REFERENCE, *self.only)
        )

    def _table(self) -> tuple[tuple[str, Kind, str, Precision, bool | None], ...]:
        return _CPU if self.device == "cpu" else _CUDA
