"""How fast a run is, and what it waits for: frames a second, the wait for data, the share in which the GPU works."""

from __future__ import annotations

import time

import torch
from lightning import Callback, LightningModule, Trainer

from edgevae.training.config import TrainConfig
from edgevae.training.prefetch import Prefetch
from edgevae.training.processes import Processes


class Throughput(Callback):
    """Times the steps between two lines of the log; validations are not counted. Before the keeper, which asks.

    Args:
        config: The run.
        batches: What the steps wait for.
        processes: Whose slowest one is the figure.
    """

    def __init__(self, config: TrainConfig, batches: Prefetch, processes: Processes) -> None:
        self.batches, self.processes = batches, processes
        self.step_frames = config.batch_clips * config.clip_frames
        self.events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self.total_steps, self.total_s, self.total_wait_s = 0, 0.0, 0.0
        self._forget()
        self._mark()

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._mark()

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._mark()

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, *_: object) -> None:
        if module.device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]  # torch's own
            begin.record()
            self.events.append((begin, end))

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: object) -> None:
        if self.events:
            self.events[-1][1].record()
        self.steps += 1
        self.settle(synchronized=False)

    def settle(self, *, synchronized: bool = True) -> None:
        """Count the time until now; where the device has done its work, as much of it as was in steps."""
        now, waited = time.perf_counter(), self.batches.waited_s
        self.elapsed_s += now - self._marked_s
        self.wait_s += waited - self._marked_wait_s
        self._mark()
        if synchronized:
            self.gpu_s += sum(begin.elapsed_time(end) for begin, end in self.events) / 1000.0
            self.events = []

    def take(self) -> dict[str, float]:
        """Return the figures since the last call, and begin anew. All processes ask together, after `settle`.

        frames_per_s: Frames of all processes, over the time of the steps with logging and saving.
        data_wait_share: Share of that time in which the process that waits longest had no batch to work on.
        gpu_busy_share: Share of it between the events around each step on the device, only on a GPU. Gaps between
            the kernels of one step count as busy.
        """
        mine = torch.tensor([self.elapsed_s, self.wait_s, self.gpu_s], dtype=torch.float64)
        everyone = self.processes.gather(mine)
        elapsed_s, wait_s = (float(v) for v in everyone.amax(0)[:2])
        figures = {
            "frames_per_s": self.steps * self.step_frames / elapsed_s,
            "data_wait_share": min(1.0, wait_s / elapsed_s),
        }
        if self.gpu_s:
            figures["gpu_busy_share"] = min(1.0, float(everyone.amin(0)[2]) / elapsed_s)
        self.total_steps += self.steps
        self.total_s += elapsed_s
        self.total_wait_s += wait_s
        self._forget()
        return figures

    def summary(self) -> str | None:
        """Return a line on all steps until now; None where there was none."""
        steps, elapsed_s = self.total_steps + self.steps, self.total_s + self.elapsed_s
        if not steps:
            return None
        rate, share = (
            steps * self.step_frames / elapsed_s,
            (self.total_wait_s + self.wait_s) / elapsed_s,
        )
        return f"{steps} steps at {rate:.0f} frames/s, {share:.1%} of their time waiting for data"

    def _forget(self) -> None:
        self.steps, self.elapsed_s, self.wait_s, self.gpu_s = 0, 0.0, 0.0, 0.0

    def _mark(self) -> None:
        self._marked_s, self._marked_wait_s = time.perf_counter(), self.batches.waited_s
