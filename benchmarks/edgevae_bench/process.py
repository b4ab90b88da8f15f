"""The parent's end of one subject's process: ask, wait for the answer, and say what happened where none comes."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Any

from edgevae.errors import EdgeVaeError, IncompatibleError, InputError, UnavailableError
from edgevae.strict import to_dict
from edgevae_bench.job import WORKING, Job

OPEN_S = 3600.0
"""Longest time to open a subject: engines may have to be built first."""

ANSWER_S = 900.0
"""Longest silence in anything else: the first turn of torch.compile compiles. What takes many turns or chunks says
after each that it works, and may so take hours: a large model on a small board does."""


class SubjectProcess:
    """A subject, opened in a process of its own; a context manager.

    Args:
        job: What to open.

    Raises:
        UnavailableError: the subject cannot run here; with its reason.
        EdgeVaeError: it failed or crashed; with its last words.
    """

    def __init__(self, job: Job) -> None:
        self._name = job.subject.name
        self._read = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgevae_bench.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )
        try:
            self._exchange(to_dict(job), timeout_s=OPEN_S)
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **arguments: Any) -> Any:  # Any: JSON both ways
        """Return the answer to a command; see `child`.

        Raises:
            EdgeVaeError: the process failed, crashed or did not answer in time; it is gone then.
        """
        return self._exchange({"do": do, **arguments}, timeout_s=ANSWER_S)

    def close(self) -> None:
        """End the process: by itself, or by force where it does not."""
        process = self._process
        with contextlib.suppress(BrokenPipeError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._errors.close()

    def __enter__(self) -> SubjectProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _exchange(self, message: Any, *, timeout_s: float) -> Any:  # Any: JSON both ways
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
        answer = WORKING
        while answer == WORKING:
            line = self._read_line(timeout_s)
            if not line.endswith(b"\n"):
                raise EdgeVaeError(f"{self._name}: {self._last_words(timeout_s)}")
            answer = json.loads(line)
        if "ok" in answer:
            return answer["ok"]
        kinds = {
            kind.exit_code: kind
            for kind in (EdgeVaeError, InputError, IncompatibleError, UnavailableError)
        }
        raise kinds.get(answer["exit_code"], EdgeVaeError)(f"{self._name}: {answer['error']}")

    def _read_line(self, timeout_s: float) -> bytes:
        """Return the next line; without its end where the process is gone or the time is over."""
        assert self._process.stdout is not None
        pipe, end = self._process.stdout.fileno(), time.monotonic() + timeout_s
        while b"\n" not in self._read:
            ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            part = os.read(pipe, 1 << 16) if ready else b""
            if not part:
                break
            self._read += part
        line, newline, self._read = self._read.partition(b"\n")
        return line + newline

    def _last_words(self, timeout_s: float) -> str:
        """Return what became of the process, which is ended now."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return f"no answer within {timeout_s:.0f} s; it was ended"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1][:300]}" if lines else ""
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"its process ended with {how}{last}"
