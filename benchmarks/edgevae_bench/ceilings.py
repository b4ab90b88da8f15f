"""The most that this machine does, measured on the spot: arithmetic in one precision, and memory.

    python -m edgevae_bench.ceilings '{"device": "cpu", "precision": "fp32", "threads": 2}'

in a process of its own. The kernels are those that a well-made program would use: a matrix product, and the 3x3
convolution that these networks are made of. The best of what is installed counts, so the figure is attainable, not the
data sheet's.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from edgevae.errors import EdgeVaeError
from edgevae.strict import from_dict, to_dict
from edgevae_bench.result import Ceiling
from edgevae_bench.work import Arithmetic

LONG_ENOUGH_S, TIMES = 0.15, 5
"""Every kernel runs this often, for at least this long each time; the best time counts."""

LONGEST_S = 600.0
"""Of all kernels together; a machine that is slower does without ceilings."""

COPY_BYTES = 1 << 28
"""Of the copy: well above the last cache."""

MATRIX = 2048
"""Rows and columns of the matrix product."""


@dataclass(frozen=True, kw_only=True)
class CeilingJob:
    """What to measure."""

    device: str
    """`cpu` or `cuda:N`."""
    precision: Arithmetic
    """Of the arithmetic."""
    threads: int
    """CPU threads."""


def measure_ceiling(job: CeilingJob) -> Ceiling | str:
    """Return the ceiling, measured in a process of its own, or why it could not be measured."""
    command = [sys.executable, "-m", "edgevae_bench.ceilings", json.dumps(to_dict(job))]
    # numpy's matrix product reads its number of threads from here.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), f"{job.threads}")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LONGEST_S, env=os.environ | threads
        )
    except subprocess.TimeoutExpired:
        return f"the ceilings of {job.precision} on {job.device} were not measured within {LONGEST_S:.0f} s"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return f"the ceilings of {job.precision} on {job.device} were not measured: {last[:200]}"
    return from_dict(Ceiling, json.loads(done.stdout.splitlines()[-1]), where="ceilings")


def measure(job: CeilingJob) -> Ceiling:
    """Return the ceiling of this process."""
    rates = list(_kernels(job))
    compute, kernel = max(rates, default=(None, "no library here computes this precision"))
    bandwidth, copy = _bandwidth(job)
    return Ceiling(
        device=job.device,
        precision=job.precision,
        compute_gflop_per_s=compute,
        compute_kernel=kernel,
        bandwidth_gb_per_s=bandwidth,
        bandwidth_kernel=copy,
    )


def _kernels(job: CeilingJob) -> Iterator[tuple[float, str]]:
    """Yield GFLOP/s and the name of each kernel."""
    if job.device == "cpu" and job.precision == "fp32":
        yield _numpy_product(), f"numpy {np.__version__}, matrix product {MATRIX}"
        with contextlib.suppress(ImportError):
            from edgevae_bench.onnxruntime_ceilings import convolutions

            name, flop, run = convolutions(threads=job.threads)
            yield flop / _best_s(run) / 1e9, name
    try:
        from edgevae_bench.baseline_ceilings import torch_kernels
    except ImportError:
        return
    for name, flop, run in torch_kernels(job.device, job.precision, threads=job.threads):
        yield flop / _best_s(run) / 1e9, name


def _numpy_product() -> float:
    one = np.random.default_rng(0).standard_normal((MATRIX, MATRIX), dtype=np.float32)
    out = np.empty_like(one)
    return 2 * MATRIX**3 / _best_s(lambda: np.matmul(one, one, out=out)) / 1e9


def _bandwidth(job: CeilingJob) -> tuple[float | None, str]:
    """Return GB/s of a copy, read and written bytes both counted, and what copied."""
    found = []
    if job.device == "cpu":
        source = np.ones(COPY_BYTES, np.uint8)
        target = np.empty_like(source)
        found.append((_best_s(lambda: np.copyto(target, source)), "numpy, one thread"))
    with contextlib.suppress(ImportError):
        from edgevae_bench.baseline_ceilings import torch_copy

        run = torch_copy(job.device, COPY_BYTES)
        found.append(
            (_best_s(run), f"PyTorch, {job.threads} threads" if job.device == "cpu" else "PyTorch")
        )
    if not found:
        return None, "PyTorch is not installed, which would copy"
    took, name = min(found)
    return 2 * COPY_BYTES / took / 1e9, f"{name}, copy of {COPY_BYTES >> 20} MiB"


def _best_s(run: Callable[[], object]) -> float:
    """Return the seconds of one run, the best of `TIMES` means; a run waits for its end."""
    started = time.perf_counter()
    run()
    count = max(1, round(LONG_ENOUGH_S / max(time.perf_counter() - started, 1e-6)))
    found = []
    for _ in range(TIMES):
        started = time.perf_counter()
        for _ in range(count):
            run()
        found.append((time.perf_counter() - started) / count)
    return min(found)


def main(arguments: list[str]) -> int:
    """Measure the job given as JSON, print the ceiling as JSON, and return the exit code."""
    try:
        found = measure(from_dict(CeilingJob, json.loads(arguments[0]), where="job"))
    except EdgeVaeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(to_dict(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
