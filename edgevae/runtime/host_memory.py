"""How much memory this process has and may have, as Linux tells it; None where a system does not."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")


def resident_bytes(*, proc: Path = PROC) -> int | None:
    """Return what this process has in memory now."""
    return _entry(proc / "self" / "status", "VmRSS")


def peak_bytes(*, proc: Path = PROC) -> int | None:
    """Return the most that this process ever had in memory.

    VmHWM, not `ru_maxrss`, which Linux lets a child inherit from the process that started it.
    """
    return _entry(proc / "self" / "status", "VmHWM")


def available_bytes(*, proc: Path = PROC, cgroup: Path = CGROUP) -> int | None:
    """Return what this process can still take before something is killed: of the machine, or less in a container."""
    known = (_entry(proc / "meminfo", "MemAvailable"), _left_in(cgroup))
    return min((n for n in known if n is not None), default=None)


def _left_in(cgroup: Path) -> int | None:
    """Return what a container with a limit (cgroup 2) can still take; cached files do not count."""
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        current = int((cgroup / "memory.current").read_text())
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    return max(int(limit) - current + int(stat.get("inactive_file", 0)), 0)


def _entry(path: Path, key: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None
