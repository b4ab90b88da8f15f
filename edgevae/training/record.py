"""The log of a run, `metrics.csv`: one line per some steps and one per validation."""

from __future__ import annotations

import csv
import itertools
import math
from pathlib import Path

from edgevae.files import write_atomically

FIGURES = (
    "loss",
    "psnr_db",
    "perceptual_loss",
    "adversarial_loss",
    "adversarial_weight",
    "discriminator_loss",
    "discriminator_accuracy",
)
"""What each step gives; NaN where a run, or a step of it, has no such thing."""

COLUMNS = (
    "step",
    "loss",
    "psnr_db",
    "learning_rate",
    "frames_per_s",
    "data_wait_share",
    "gpu_busy_share",
    "val_psnr_db",
    "val_worst_psnr_db",
    "val_loss",
    *FIGURES[2:],
)


class Metrics:
    """Appends to `metrics.csv`; what a line of steps holds is the mean over the steps since the line before.

    Args:
        path: The file; None writes nothing, in a process that is not the first.
        first_step: Steps done by the run that is continued; what a killed process wrote beyond them is dropped.
        every_steps: Steps between lines.
    """

    def __init__(self, path: Path | None, *, first_step: int = 0, every_steps: int = 25) -> None:
        self.path, self.every_steps = path, every_steps
        if path is None:
            return
        lines = [",".join(COLUMNS)]
        if path.exists():
            lines += _kept(path.read_text().splitlines(), first_step=first_step)
        write_atomically(path, ("\n".join(lines) + "\n").encode())

    def add_steps(
        self,
        step: int,
        numbers: list[tuple[float, ...]],
        *,
        learning_rate: float,
        speed: dict[str, float],
    ) -> dict[str, float]:
        """Take the `FIGURES` of all steps up to `step` since the last line; return the line that was written."""
        row = {"step": step, "learning_rate": learning_rate}
        # Steps of a state that was saved by an earlier version have the first two figures only.
        columns = itertools.zip_longest(*numbers, fillvalue=math.nan)
        for name, column in zip(FIGURES, columns, strict=False):
            known = [value for value in column if not math.isnan(value)]
            if known:
                row[name] = sum(known) / len(known)
        return self._append(row | speed)

    def add_validation(
        self, step: int, psnr_db: float, *, worst_psnr_db: float, loss: float
    ) -> dict[str, float]:
        """Take the result of a validation; return the line that was written."""
        row = {"val_psnr_db": psnr_db, "val_worst_psnr_db": worst_psnr_db, "val_loss": loss}
        return self._append({"step": step} | row)

    def _append(self, row: dict[str, float]) -> dict[str, float]:
        if self.path is None:
            return row
        shown = {
            key: value if isinstance(value, int) else f"{value:.6g}" for key, value in row.items()
        }
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(shown)
        return row


def _kept(lines: list[str], *, first_step: int) -> list[str]:
    """Return the lines of an earlier process up to a step, in today's columns.

    A line that a kill cut short is dropped: it has too few commas, or is beyond the step.
    """
    header = lines[0].split(",") if lines else []
    kept = []
    for line in lines[1:]:
        values = line.split(",")
        if len(values) == len(header) and values[0].isdigit() and int(values[0]) <= first_step:
            row = dict(zip(header, values, strict=True))
            kept.append(",".join(row.get(name, "") for name in COLUMNS))
    return kept
