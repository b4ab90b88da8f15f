"""What is done in one sample: between which points the clock runs, on which arrays, in which shape and arithmetic.

graph    the two graphs alone, their inputs in place: device events around the engine, or the host's clock on a CPU;
trtexec's "GPU compute time"
call     arrays in, arrays out, one operation after the other, each waited for: what an app waits for;
MLPerf's SingleStream
stream   chunk by chunk with its state, encode and decode in turn, on a GPU nothing waits until the last is through:
throughput, MLPerf's Offline
file     a video file or latents file in, a video file or latents file out, with the video codec
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from edgevae.frames import round_up

Boundary = Literal["graph", "call", "stream", "file"]

BOUNDARIES: tuple[Boundary, ...] = get_args(Boundary)

Operation = Literal["encode", "decode", "round_trip"]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)

Arrays = Literal["host", "device", "file"]

Arithmetic = Literal["fp32", "fp16", "bf16"]


@dataclass(frozen=True, kw_only=True, order=True)
class Case:
    """One shape of a sweep."""

    height_px: int
    """Of the frames."""
    width_px: int
    """Of the frames."""
    batch_clips: int
    """Clips side by side in one call."""

    def __str__(self) -> str:
        return f"{self.width_px}x{self.height_px}x{self.batch_clips}"

    def sizes(self, *, cell_px: int) -> dict[str, int]:
        """Return what `TensorSpec.resolve` takes: batch, height and width, rounded up to whole latent cells."""
        height, width = (round_up(side, cell_px) for side in (self.height_px, self.width_px))
        return {"batch": self.batch_clips, "height": height, "width": width}


@dataclass(frozen=True, kw_only=True)
class Work:
    """What was done in one sample. Two times may be divided by each other only where all of this is equal."""

    boundary: Boundary
    """Where the clock starts and stops."""
    operation: Operation
    """encode: frames to latents. decode: latents to frames. round_trip: the one and then the other."""
    arrays: Arrays
    """Where data lies when the clock starts and stops: numpy arrays on the host, arrays on the device, or files."""
    device: str
    """Where the graphs ran."""
    precision: Arithmetic
    """Of the arithmetic."""
    threads: int
    """CPU threads."""
    batch_clips: int
    """Clips side by side."""
    sample_frames: int
    """Frames of each clip in one sample: those of a chunk, or at the boundary file of the whole file."""
    height_px: int
    """Of the frames."""
    width_px: int
    """Of the frames."""
    frames_dtype: Literal["uint8"]
    """Element type of the frames at the boundary."""
    latents_dtype: Literal["float32", "float16"]
    """Element type of the latents at the boundary; in latents files it is float16."""

    @property
    def case(self) -> Case:
        """The shape, without the rest."""
        return Case(height_px=self.height_px, width_px=self.width_px, batch_clips=self.batch_clips)

    def difference(self, other: Work) -> str | None:
        """Return the first thing in which two pieces of work differ; None where times may be divided."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if mine != theirs:
                return f"{one.name} is {mine}, the baseline's is {theirs}"
        return None
