"""The benchmark's `Place` in PyTorch: tensors on its device, timed with its own events."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from edgevae.errors import UnavailableError
from edgevae_bench.work import Arrays


def require_gpu(device: str) -> None:
    """Return if PyTorch can use a device.

    Raises:
        UnavailableError: it is a GPU and this PyTorch sees none.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise UnavailableError(
            f"PyTorch {torch.__version__}: sees no GPU; install a build of PyTorch for CUDA from pytorch.org"
        )


class TorchPlace:
    """PyTorch's side of the device boundary; see `edgevae_bench.place.Place`.

    Args:
        device: `cpu` or `cuda:N`.

    Raises:
        UnavailableError: it is a GPU and this PyTorch sees none.
    """

    stream: object = None

    def __init__(self, device: str) -> None:
        require_gpu(device)
        self._device = torch.device(device)
        self.arrays: Arrays = "host" if device == "cpu" else "device"
        self._events: list[torch.cuda.Event] = []
        self._times_ns: list[int] = []

    def put(self, array: np.ndarray) -> Tensor:
        """Return a numpy array as a tensor on the device."""
        return torch.tensor(array, device=self._device)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Return None: PyTorch makes its results itself, out of memory that it keeps."""

    def get(self, array: Tensor) -> np.ndarray:
        """Return a tensor as a numpy array."""
        host: np.ndarray = array.cpu().numpy()
        return host

    def mark(self) -> None:
        """Note the time at which the work so far is done."""
        if self._device.type == "cpu":
            self._times_ns.append(time.perf_counter_ns())
            return
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # untyped in torch
        event.record()
        self._events.append(event)

    def laps_ms(self) -> list[float]:
        """Return the times between the marks so far, and forget them."""
        events, self._events = self._events, []
        times, self._times_ns = self._times_ns, []
        if events:
            torch.cuda.synchronize(self._device)
        laps = [(after - before) / 1e6 for before, after in pairwise(times)]
        return laps + [before.elapsed_time(after) for before, after in pairwise(events)]

    def wait(self) -> None:
        """Return when the device is idle."""
        if self._device.type != "cpu":
            torch.cuda.synchronize(self._device)

    def free_bytes(self) -> int | None:
        """Return the device's free memory; None on a CPU."""
        if self._device.type == "cpu":
            return None
        return int(torch.cuda.mem_get_info(self._device)[0])

    def close(self) -> None:
        """Nothing to free."""
