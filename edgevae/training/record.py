"""The log of a run, `metrics.csv`: one line per some steps and one per validation."""

from __future__ import annotations

import csv
from pathlib import Path

from edgevae.files import write_atomically

COLUMNS = ("step", "loss", "psnr_db", "learning_rate", "val_psnr_db", "val_worst_psnr_db")


class Metrics:
    """Appends to `metrics.csv`; the means of loss and PSNR since the last line, and validations as they come.

    Args:
        path: The file.
        first_step: Steps done by the run that is continued; what a killed process wrote beyond them is dropped.
        every_steps: Steps between lines.
    """

    def __init__(self, path: Path, *, first_step: int = 0, every_steps: int = 25) -> None:
        self.path, self.every_steps = path, every_steps
        self._held: list[dict[str, float]] = []
        lines = [",".join(COLUMNS)]
        if path.exists():
            lines += [
                line for line in path.read_text().splitlines()[1:] if _step(line) <= first_step
            ]
        write_atomically(path, ("\n".join(lines) + "\n").encode())

    def add_step(
        self, step: int, numbers: dict[str, float], *, learning_rate: float
    ) -> dict[str, float] | None:
        """Take loss and PSNR of a step; return the line that was written, if it was time for one."""
        self._held.append(numbers)
        if step % self.every_steps:
            return None
        means = {
            key: sum(n[key] for n in self._held) / len(self._held) for key in ("loss", "psnr_db")
        }
        self._held = []
        return self._append({"step": step, **means, "learning_rate": learning_rate})

    def add_validation(
        self, step: int, psnr_db: float, *, worst_psnr_db: float
    ) -> dict[str, float]:
        """Take the result of a validation; return the line that was written."""
        return self._append(
            {"step": step, "val_psnr_db": psnr_db, "val_worst_psnr_db": worst_psnr_db}
        )

    def _append(self, row: dict[str, float]) -> dict[str, float]:
        shown = {
            key: value if isinstance(value, int) else f"{value:.6g}" for key, value in row.items()
        }
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(shown)
        return row


def _step(line: str) -> int:
    """Return the step of a line; a line that a kill cut short counts as beyond the end."""
    first, comma, _ = line.partition(",")
    return (
        int(first) if comma and first.isdigit() and line.count(",") == len(COLUMNS) - 1 else 2**62
    )
