"""Page-locked host memory for numpy data, and device memory for it where the device cannot use the same."""

from __future__ import annotations

import numpy as np

from edgevae.cuda.driver import Driver
from edgevae.engine.profile import Size
from edgevae.spec import TensorSpec


class Staging:
    """One tensor's memory at one size.

        copied    numpy -> page-locked -> copy -> device      `address` is device memory
        mapped    numpy -> page-locked, which the device sees  `address` is the same memory, as the device calls it

    Args:
        driver: The device.
        spec: The tensor.
        size: The frame size.
        mapped: Have the device use the host memory, where it can.

    Raises:
        OutOfMemoryError: the device or the host has not enough memory.
    """

    def __init__(self, driver: Driver, spec: TensorSpec, size: Size, *, mapped: bool) -> None:
        shape, dtype = spec.resolve(size.sizes()), np.dtype(spec.dtype)
        self._driver = driver
        self.nbytes = int(np.prod(shape)) * dtype.itemsize
        self._host = driver.allocate_host(self.nbytes, mapped=mapped)
        self.host_address = int(self._host.array.ctypes.data)
        self.array = self._host.array[: self.nbytes].view(dtype).reshape(shape)
        """The host memory, of the tensor's shape and dtype."""
        seen = self._host.device_address if mapped else None
        self.is_mapped = seen is not None
        """Whether nothing is to be copied."""
        try:
            self.address = driver.allocate(self.nbytes) if seen is None else seen
        except BaseException:
            driver.free_host(self._host)
            raise

    def free(self) -> None:
        """Free both memories; work that uses them must be done."""
        try:
            if not self.is_mapped:
                self._driver.free(self.address)
        finally:
            self._driver.free_host(self._host)
