"""A trial: Python code run in a child process, so that what crashes there is a reason here and not a crash.

Native libraries of GPUs abort, hang or print when something is missing; a child that does so harms nobody.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass

TIMEOUT_S = 60.0
"""The first use of a GPU after a boot takes many seconds."""

# Isolated mode keeps modules of the current folder out; the child gets the parent's search path instead.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1])\n"


@dataclass(frozen=True)
class Trial:
    """How a child process ended."""

    lines: tuple[str, ...]
    """What it printed before its end, whole lines."""
    errors: tuple[str, ...]
    """What it, or a library in it, wrote to stderr."""
    failure: str | None
    """Why it did not end as it should, in some words; None where it did."""


def is_possible() -> bool:
    """Return whether this process has a Python to start; an app with Python inside it has not."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def try_in_child(code: str, *, timeout_s: float = TIMEOUT_S) -> Trial:
    """Run code in a fresh Python and return how that ended.

    Args:
        code: What to run; it finds the modules that this process finds.
        timeout_s: After so many seconds the child is killed.
    """
    command = [sys.executable, "-I", "-c", _START + code, json.dumps(sys.path)]
    try:
        child = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return Trial(
            _lines(error.stdout), _lines(error.stderr), f"did not end within {timeout_s:g} s"
        )
    except OSError as error:
        return Trial((), (), f"no child process could be started ({error.strerror})")
    return Trial(_lines(child.stdout), _lines(child.stderr), _failure(child.returncode))


def _failure(code: int) -> str | None:
    if code >= 0:
        return f"left with code {code}" if code else None
    try:
        return f"crashed with {signal.Signals(-code).name}"
    except ValueError:
        return f"crashed with signal {-code}"


def _lines(output: str | bytes | None) -> tuple[str, ...]:
    # After a timeout the output is bytes, whatever was asked for.
    text = output.decode(errors="replace") if isinstance(output, bytes) else output or ""
    return tuple(line.strip() for line in text.splitlines() if line.strip())
