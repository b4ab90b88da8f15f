"""How much memory this process has, on the host and on its device.

The peak is VmHWM of /proc/self/status, not `ru_maxrss`: Linux lets a child inherit the latter from the process that
started it (a parent of 480 MB gives a child that does nothing 480 MB), while VmHWM starts anew with the program.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from edgevae_bench.place import Place

STATUS = Path("/proc/self/status")


def status_bytes(key: str, *, status: Path = STATUS) -> int | None:
    """Return a size, such as `VmRSS` or `VmHWM`; None where the system does not tell."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None


@contextlib.contextmanager
def lowest_free(place: Place) -> Iterator[list[int]]:
    """Yield a list that at the end holds the device's free memory as it was seen every few milliseconds."""
    seen, stop = list[int](), threading.Event()

    def watch() -> None:
        while (free := place.free_bytes()) is not None:
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
