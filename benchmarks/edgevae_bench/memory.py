"""Load time and peak memory of one subject, in a process of its own that does nothing else.

    python -m edgevae_bench.memory '{"subject": {...}, "clip": {...}}'

loads the subject, encodes and decodes the clip chunk by chunk, and prints what that took as one JSON line. The peak is
VmHWM of /proc/self/status, not `ru_maxrss`: Linux lets a child inherit the latter from the process that started it (a
parent of 480 MB gives a child that does nothing 480 MB), while VmHWM starts anew with the program.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from edgevae.errors import EdgeVaeError
from edgevae.strict import from_dict, to_dict
from edgevae_bench.clip import Clip, parts
from edgevae_bench.subjects import AnyCodec, Subject, open_subject

STATUS = Path("/proc/self/status")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the process is to do."""

    subject: Subject
    """The subject to open."""
    clip: Clip
    """The frames to encode and decode."""


@dataclass(frozen=True, kw_only=True)
class ProcessFigures:
    """What one subject costs in a fresh process."""

    import_ms: float
    """Time to import the library that does the arithmetic."""
    load_ms: float
    """Time to load the model after that, until the first chunk could come; with the runtime's checks of digests and
    golden vectors."""
    first_chunk_ms: float
    """Round trip of the first chunk."""
    frames: int
    """How many frames went through."""
    rss_before_import_bytes: int | None
    """Resident memory of Python, numpy and the video reader before the library; None where there is no /proc."""
    peak_rss_bytes: int | None
    """Largest resident memory until the clip was through, video decoding included; None where there is no /proc."""
    torch_loaded: bool
    """Whether PyTorch was in the process at the end."""


def measure_process(subject: Subject, clip: Clip) -> ProcessFigures:
    """Return the figures of a subject, from a new process.

    Raises:
        EdgeVaeError: the process failed; with its last line.
    """
    job = json.dumps(to_dict(Job(subject=subject, clip=clip)))
    command = [sys.executable, "-m", "edgevae_bench.memory", job]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise EdgeVaeError(f"{subject.name}: its process for load time and memory failed: {last}")
    return from_dict(
        ProcessFigures, json.loads(done.stdout), where=f"{subject.name}: output of its process"
    )


def run(job: Job) -> ProcessFigures:
    """Do the job in this process and return its figures."""
    importlib.import_module("edgevae.video.reader")
    before = status_bytes("VmRSS")
    started = time.perf_counter_ns()
    importlib.import_module(job.subject.library)
    imported = time.perf_counter_ns()
    with open_subject(job.subject) as codec:
        loaded = time.perf_counter_ns()
        frames, first_chunk_ns = _round_trips(codec, job.clip)
    return ProcessFigures(
        import_ms=(imported - started) / 1e6,
        load_ms=(loaded - imported) / 1e6,
        first_chunk_ms=first_chunk_ns / 1e6,
        frames=frames,
        rss_before_import_bytes=before,
        peak_rss_bytes=status_bytes("VmHWM"),
        torch_loaded="torch" in sys.modules,
    )


def _round_trips(codec: AnyCodec, clip: Clip) -> tuple[int, int]:
    """Encode and decode a clip; return how many frames it had and the nanoseconds of its first chunk."""
    state, count, first_chunk_ns = None, 0, 0
    for frames in parts(clip, chunk_frames=codec.chunk_frames):
        if state is None:
            state = codec.stream(height=frames.shape[1], width=frames.shape[2])
        started = time.perf_counter_ns()
        latents, state = codec.encode_chunk(frames, state)
        _, state = codec.decode_chunk(latents, state)
        first_chunk_ns = first_chunk_ns or time.perf_counter_ns() - started
        count += len(frames)
    return count, first_chunk_ns


def status_bytes(key: str) -> int | None:
    """Return a size from /proc/self/status; None where the system has none."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None


def main(arguments: list[str]) -> int:
    """Run the job given as JSON; return the exit code."""
    try:
        figures = run(from_dict(Job, json.loads(arguments[0]), where="job"))
    except EdgeVaeError as error:
        click.echo(error, err=True)
        return error.exit_code
    click.echo(json.dumps(to_dict(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
