"""Device memory that a session gives away: it lives until nobody holds it, or the session closes."""

from __future__ import annotations

import contextlib

import numpy as np

from edgevae.cuda.arrays import DeviceArray
from edgevae.cuda.driver import Driver
from edgevae.errors import DeviceError


class DeviceMemory:
    """An allocation; freed once, by `free` or with the object.

    Raises:
        OutOfMemoryError: the device has not enough memory.
    """

    def __init__(self, driver: Driver, nbytes: int) -> None:
        self._driver, self._address = driver, driver.allocate(nbytes)

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> DeviceArray:
        """Return the memory as an array, which keeps it alive."""
        return DeviceArray(self._address, shape, dtype, self._driver.device, owner=self)

    def free(self) -> None:
        """Give the memory back; arrays of it must not be used after. Waits for work that uses it."""
        address, self._address = self._address, 0
        if address:
            self._driver.free(address)

    def __del__(self) -> None:
        with contextlib.suppress(
            DeviceError, AttributeError
        ):  # a failed __init__; a context that is gone
            self.free()
