"""One subject in a process of its own, which does what the parent says: a line of JSON in, a line of JSON out.

    python -m edgevae_bench.gpu.child          (started by process.py)

A crash or a stall of one backend so costs its own row and nothing else.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevae.errors import EdgeVaeError
from edgevae.strict import from_dict, to_dict
from edgevae_bench.clip import Clip, parts
from edgevae_bench.clock import STEADY, settle
from edgevae_bench.gpu.place import GpuPlace, HostPlace, Place
from edgevae_bench.gpu.result import Boundary, Facts
from edgevae_bench.gpu.turns import CallPlace, Samples, Turns
from edgevae_bench.memory import status_bytes
from edgevae_bench.subjects import Subject, open_subject, require_pytorch

MIN_WARM_UP_TURNS = 4
"""A runtime captures a CUDA graph when it meets the same call for the third time."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the process opens."""

    subject: Subject
    """The subject."""
    clip: Clip
    """The frames, of the size to measure."""
    chunks: int
    """How many chunks of them."""
    arrays: str
    """File to write latents and frames of the clip to (`.npz`)."""


class Child:
    """An opened subject with its boundaries; see `Job`."""

    def __init__(self, job: Job, stack: contextlib.ExitStack) -> None:
        subject, self._job = job.subject, job
        frames = list(parts(job.clip, chunk_frames=subject.chunk_frames))[: job.chunks]
        height, width = frames[0].shape[1:3]
        # First, for it asks the driver before any library that crashes where there is none.
        self._place = _open_place(subject)
        stack.callback(self._place.close)
        self._before_bytes = self._place.free_bytes()
        with contextlib.suppress(ImportError):  # open_subject says it better
            importlib.import_module(subject.library)
        started = time.perf_counter()
        codec = stack.enter_context(open_subject(subject, size_px=(height, width)))
        self._load_ms = (time.perf_counter() - started) * 1e3
        self._on_device = Turns(codec, self._place, frames)
        self._boundaries: dict[Boundary, Callable[[], Samples]] = {
            "call": Turns(codec, CallPlace(), frames).turn,
            "device": self._on_device.turn,
        }
        self._no_bare_reason: str | None = None
        if subject.cuda_graph is not None and isinstance(self._place, GpuPlace):
            from edgevae_bench.gpu.bare import BareEngines

            try:
                bare = BareEngines(
                    subject, self._place, size_px=(height, width), chunks=len(frames)
                )
            except Exception as error:  # noqa: BLE001  # the runtime's own figures do not need it
                self._no_bare_reason = f"{type(error).__name__}: {error}"
            else:
                stack.callback(bare.close)
                self._boundaries["bare"] = bare.turn

    def warm_up(self, max_turns: int) -> dict[str, Any]:
        """Take turns until the time of every boundary is steady, and return how many that took and whether it is."""
        before: dict[Boundary, float] = {}
        for turn in range(1, max_turns + 1):
            now = {name: _total(self.turn(name)) for name in self._boundaries}
            changes = [abs(now[n] - before[n]) / before[n] for n in now if before.get(n)]
            if turn >= MIN_WARM_UP_TURNS and all(change < STEADY for change in changes):
                return {"turns": turn, "steady": True}
            before = now
        return {"turns": max_turns, "steady": False}

    def turn(self, boundary: Boundary) -> Samples:
        """Return the samples of one turn.

        The chunks run twice. The first pass is thrown away: it meets caches that another process has filled, and a
        GPU that has just switched to this one.
        """
        settle()
        self._boundaries[boundary]()
        return self._boundaries[boundary]()

    def facts(self) -> Facts:
        """Stream the clip once more, write what comes out, and return what the subject is and takes."""
        with _lowest_free(self._place) as lowest:
            latents, frames = self._on_device.once()
            self._on_device.turn()
        np.savez(self._job.arrays, latents=latents, frames=frames)
        before = self._before_bytes
        return Facts(
            library_version=_version(self._job.subject.library),
            load_ms=self._load_ms,
            device_peak_bytes=None if before is None else max(before - min(lowest), 0),
            host_peak_bytes=status_bytes("VmHWM"),
            torch_loaded="torch" in sys.modules,
            boundaries=tuple(self._boundaries),
            no_bare_reason=self._no_bare_reason,
        )


def _open_place(subject: Subject) -> Place:
    if subject.kind == "pytorch":
        require_pytorch()
        from edgevae_bench.baseline_place import TorchPlace

        return TorchPlace(subject.device)
    if subject.device == "cpu":
        return HostPlace()
    return GpuPlace(int(subject.device.partition(":")[2] or 0))


@contextlib.contextmanager
def _lowest_free(place: Place) -> Iterator[list[int]]:
    """Yield a list that at the end holds the device's free memory as it was seen every few milliseconds."""
    seen, stop = list[int](), threading.Event()

    def watch() -> None:
        while True:
            free = place.free_bytes()
            if free is None:
                return
            seen.append(free)
            if stop.wait(0.002):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()


def _total(samples: Samples) -> float:
    return sum(statistics.median(values) for values in samples.values())


def _version(library: str) -> str:
    return str(getattr(sys.modules.get(library), "__version__", "unknown"))


def _answer(child: Child, command: dict[str, Any]) -> Any:  # Any: JSON
    if command["do"] == "warm_up":
        return child.warm_up(command["max_turns"])
    if command["do"] == "facts":
        return to_dict(child.facts())
    return child.turn(command["boundary"])


def main() -> None:
    """Open the job of the first line, then answer each line until stdin ends."""
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: Any) -> None:  # Any: JSON
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    with contextlib.ExitStack() as stack:
        try:
            job = from_dict(Job, json.loads(sys.stdin.readline()), where="job")
            child = Child(job, stack)
            answer({"ok": None})
            for line in sys.stdin:
                answer({"ok": _answer(child, json.loads(line))})
        except EdgeVaeError as error:
            answer({"error": str(error), "unavailable": error.exit_code == 5})
        except Exception as error:  # noqa: BLE001  # of whichever library: its row says it
            traceback.print_exc()
            answer({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"})


if __name__ == "__main__":
    main()
