"""A subject opened in its own process: what it costs to have, what it reconstructs, and its turns at every boundary."""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgevae.errors import EdgeVaeError, InputError
from edgevae_bench.clip import Clip, parts
from edgevae_bench.clock import is_steady, settle
from edgevae_bench.job import Job, Opened, timed_chunks
from edgevae_bench.opening import open_subject, require_pytorch
from edgevae_bench.pausing import Pausing
from edgevae_bench.place import GpuPlace, HostPlace, Place
from edgevae_bench.process_memory import lowest_free, status_bytes
from edgevae_bench.subjects import AnyCodec, Subject
from edgevae_bench.turns import Samples, Turns
from edgevae_bench.work import Arrays, Boundary, Operation

MIN_WARM_UP_TURNS = 4
"""A runtime captures a CUDA graph when it meets the same call for the third time."""


class OpenedSubject:
    """A subject at one case, and everything that can be asked of it.

    Args:
        job: What to open.
        stack: Closes it.
        alive: Called after every piece of longer work.
    """

    def __init__(
        self,
        job: Job,
        stack: contextlib.ExitStack,
        *,
        alive: Callable[[], object] = lambda: None,
    ) -> None:
        self.job, self._stack, self._alive = job, stack, alive
        self._chunks = timed_chunks(job)
        importlib.import_module("edgevae.video.pipeline")
        before_import = status_bytes("VmRSS")
        # PyTorch's place needs PyTorch; any other asks the driver, before a library that crashes where there is none.
        torch_ms = _import("torch") if job.subject.kind == "pytorch" else 0.0
        self.place = _open_place(job.subject)
        stack.callback(self.place.close)
        free = self.place.free_bytes()
        import_ms = torch_ms or _import(job.subject.library)
        self._build_engines()
        started = time.perf_counter()
        self._codec: AnyCodec = stack.enter_context(open_subject(job.subject, job.case))
        load_ms = (time.perf_counter() - started) * 1e3
        if job.pause_ratio:
            self._codec = Pausing(self._codec, job.pause_ratio)
        with lowest_free(self.place) as lowest:
            started = time.perf_counter()
            turns = Turns(self._codec, self.place, self._chunks)
            turns.first()
            first_ms = (time.perf_counter() - started) * 1e3
            turns.stream()
        self._turns: dict[tuple[Boundary, Arrays], Callable[[], Samples]] = {}
        self._streaming = turns
        self.opened = Opened(
            library_version=_version(job.subject.library),
            import_ms=import_ms,
            load_ms=load_ms,
            first_call_ms=first_ms,
            rss_before_import_bytes=before_import,
            peak_rss_bytes=status_bytes("VmHWM"),
            device_peak_bytes=None if free is None else max(free - min(lowest), 0),
            torch_loaded="torch" in sys.modules,
            unmeasured={},
        )
        # After the figures above: the graphs are opened a second time to be timed by themselves.
        self._open_boundaries()

    def warm_up(self, max_turns: int) -> dict[str, Any]:  # Any: JSON
        """Take turns until the time of every boundary is steady; return how many that took and whether it is."""
        totals: dict[tuple[Boundary, Arrays], list[float]] = {
            key: [] for key in self._turns if key[0] != "file"
        }
        for number in range(1, max_turns + 1):
            for key, seen in totals.items():
                seen.append(sum(map(sum, self._turns[key]().values())))
                self._alive()
            if number >= MIN_WARM_UP_TURNS and all(map(is_steady, totals.values())):
                return {"turns": number, "is_steady": True}
        return {"turns": max_turns, "is_steady": False}

    def turn(self, boundary: Boundary) -> list[dict[str, Any]]:  # Any: JSON
        """Return the samples of one turn at a boundary, for every place of the arrays, and leave the process idle."""
        found = []
        for (name, arrays), take in self._turns.items():
            if name == boundary:
                settle()
                samples: Samples = take()
                found += [
                    {"arrays": arrays, "operation": op, "ms": ms} for op, ms in samples.items()
                ]
        settle()  # threads that spin after their work would slow the next subject down
        return found

    def run_for(self, operation: Operation, seconds: float) -> tuple[int, float]:
        """Run one operation without a pause for a while; return how many frames that were, and the seconds."""
        started, frames = time.perf_counter(), 0
        while (took := time.perf_counter() - started) < seconds or not frames:
            frames += self._streaming.run(operation)
            self._alive()
        return frames, took

    def reconstruct(self, max_frames: int | None) -> dict[str, int]:
        """Stream the clip once, write every chunk's frames and latents, and return how many chunks and bad latents."""
        folder, codec, state = Path(self.job.folder), self._codec, None
        clip = Clip(path=self.job.clip.path, max_frames=max_frames, size_px=self.job.clip.size_px)
        count = bad = 0
        for count, source in enumerate(parts(clip, chunk_frames=codec.chunk_frames), start=1):
            state = state or codec.stream(height=source.shape[1], width=source.shape[2])
            latents, state = codec.encode_chunk(source, state)
            bad += latents.size - int(np.isfinite(latents).sum())
            latents = np.nan_to_num(latents, posinf=0.0, neginf=0.0)
            frames, state = codec.decode_chunk(latents, state)
            np.save(folder / f"latents-{count}.npy", latents)
            np.save(folder / f"frames-{count}.npy", frames[: len(source)])
            self._alive()
        return {"chunks": count, "nonfinite_latents": bad}

    def _build_engines(self) -> None:
        """Have TensorRT's engines in the cache, so that loading is not building."""
        if self.job.subject.cuda_graph is not None:
            with open_subject(self.job.subject, self.job.case):
                pass

    def _open_boundaries(self) -> None:
        here, host = self.place.arrays, HostPlace()
        for boundary in self.job.boundaries:
            try:
                if boundary == "graph":
                    self._turns[boundary, here] = self._open_graphs()
                elif boundary == "file":
                    self._turns[boundary, "file"] = self._open_files()
                elif boundary == "stream":
                    self._turns[boundary, here] = self._streaming.stream
                else:
                    self._turns[boundary, here] = self._streaming.call
                    if here != "host":
                        on_host = Turns(self._codec, host, self._chunks)
                        self._turns[boundary, "host"] = on_host.call
            except Exception as error:  # noqa: BLE001  # of whichever library: the other boundaries do not need it
                text = (
                    str(error)
                    if isinstance(error, EdgeVaeError)
                    else f"{type(error).__name__}: {error}"
                )
                self.opened.unmeasured[boundary] = " ".join(text.split())[:300]

    def _open_graphs(self) -> Callable[[], Samples]:
        from edgevae_bench.graph_calls import open_graphs

        return open_graphs(
            self.job.subject,
            self._codec,
            self.place,
            frames=self._chunks[0],
            latents=self._streaming.latents(),
            chunks=len(self._chunks),
            stack=self._stack,
        ).graph

    def _open_files(self) -> Callable[[], Samples]:
        from edgevae_bench.file_turns import FileTurns

        if self.job.case.batch_clips > 1:
            raise InputError("file: a file is one clip; measured with batch 1 only")
        rate = self.job.frames_per_s
        return FileTurns(self._codec, Path(self.job.folder), self._chunks, frames_per_s=rate).file


def _open_place(subject: Subject) -> Place:
    if subject.kind == "pytorch":
        require_pytorch()
        from edgevae_bench.baseline_place import TorchPlace

        # On the CPU a tensor is no more than a numpy array, so all subjects get those.
        return HostPlace() if subject.device == "cpu" else TorchPlace(subject.device)
    if subject.device == "cpu":
        return HostPlace()
    return GpuPlace(int(subject.device.partition(":")[2] or 0))


def _import(library: str) -> float:
    """Import the library that does the arithmetic and return how many milliseconds that took."""
    started = time.perf_counter()
    with contextlib.suppress(ImportError):  # open_subject says it better
        importlib.import_module(library)
    return (time.perf_counter() - started) * 1e3


def _version(library: str) -> str:
    return str(getattr(sys.modules.get(library), "__version__", "unknown"))
