"""Kernels in PyTorch whose rate is a ceiling of the machine: a matrix product and a 3x3 convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from edgevae_bench.baseline_place import require_gpu
from edgevae_bench.work import Arithmetic

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

SIDE = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrix product."""

CHANNELS, HEIGHT, WIDTH = 64, 180, 320
"""Of the convolution: what a network has in the middle of a 720p frame."""

Kernel = tuple[str, float, Callable[[], object]]
"""Name, floating-point operations of one run, and the run, which waits for its end."""


def torch_kernels(device: str, precision: Arithmetic, *, threads: int) -> Iterator[Kernel]:
    """Yield the kernels that this PyTorch has.

    Raises:
        UnavailableError: a GPU was asked for and this PyTorch sees none.
    """
    require_gpu(device)
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False
    kind, dtype = device.partition(":")[0], DTYPES[precision]
    if kind == "cpu" and precision == "fp16":
        return  # emulated on most CPUs: no ceiling of anything
    side = SIDE[kind]
    one = torch.randn(side, side, device=device).to(dtype)
    yield f"PyTorch, matrix product {side}", 2.0 * side**3, _waiting(lambda: one @ one, device)
    batch = 1 if kind == "cpu" else 8
    pixels = torch.randn(batch, CHANNELS, HEIGHT, WIDTH, device=device).to(dtype)
    weight = torch.randn(CHANNELS, CHANNELS, 3, 3, device=device).to(dtype)
    pixels, weight = (t.to(memory_format=torch.channels_last) for t in (pixels, weight))
    flop = 2.0 * batch * CHANNELS * CHANNELS * 9 * HEIGHT * WIDTH
    name = f"PyTorch, 3x3 convolution {CHANNELS}x{HEIGHT}x{WIDTH}"
    yield name, flop, _waiting(lambda: torch.conv2d(pixels, weight, padding=1), device)


def torch_copy(device: str, count_bytes: int) -> Callable[[], object]:
    """Return a copy within the device's memory, which waits for its end."""
    require_gpu(device)
    source = torch.ones(count_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return _waiting(lambda: target.copy_(source), device)


def _waiting(work: Callable[[], object], device: str) -> Callable[[], object]:
    def run() -> None:
        with torch.inference_mode():
            work()
        if device != "cpu":
            torch.cuda.synchronize(device)

    return run
