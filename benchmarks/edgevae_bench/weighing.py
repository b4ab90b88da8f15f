"""The energy of a subject: each operation run without a pause for a while, between two readings of a meter."""

from __future__ import annotations

import time
from collections.abc import Callable

from edgevae_bench.energy import Meter
from edgevae_bench.process import SubjectProcess
from edgevae_bench.result import EnergyRow
from edgevae_bench.samples import RowKey
from edgevae_bench.subject_row import SubjectRow
from edgevae_bench.work import OPERATIONS, Arrays, Work

ENERGY_S, IDLE_S = 2.0, 1.0
"""How long an operation runs for its energy, and how long the idle machine is watched before. NVML's counter moves in
steps of up to 0.1 s."""


def weigh(
    row: SubjectRow, process: SubjectProcess, meter: Meter, *, work_of: Callable[[RowKey], Work]
) -> tuple[EnergyRow, ...]:
    """Return the energy of encode, decode and round trip.

    Args:
        row: Of the subject.
        process: It, open; all others must be idle.
        meter: Of what is measured.
        work_of: Says what is done in the samples of a row.

    Raises:
        EdgeVaeError: the process failed.
    """
    found = []
    arrays: Arrays = "host" if row.subject.device == "cpu" else "device"
    with meter.running():
        before = meter.energy_j()
        time.sleep(IDLE_S)
        idle_w = (meter.energy_j() - before) / IDLE_S
        for operation in OPERATIONS:
            before = meter.energy_j()
            frames, seconds = process.ask("run_for", operation=operation, seconds=ENERGY_S)
            joules = meter.energy_j() - before
            key = RowKey(str(row.case), row.subject.name, "stream", arrays, operation)
            found.append(
                EnergyRow(
                    subject=row.subject.name,
                    work=work_of(key),
                    joules_per_frame=joules / frames,
                    power_w=joules / seconds,
                    idle_power_w=idle_w,
                    seconds=seconds,
                    meter=meter.name,
                )
            )
    return tuple(found)
