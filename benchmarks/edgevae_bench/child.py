"""One subject in a process of its own, which does what the parent says: a line of JSON in, a line of JSON out.

    python -m edgevae_bench.child          (started by process.py)

A crash or a stall of one backend so costs its own rows and nothing else, and none finds another's memory or threads.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from edgevae.errors import EdgeVaeError
from edgevae.strict import from_dict, to_dict
from edgevae_bench.job import WORKING, Job
from edgevae_bench.opened import OpenedSubject

Answer = Callable[..., Any]  # Any: JSON


def commands(subject: OpenedSubject) -> dict[str, Answer]:
    """Return what a subject can be asked; the keys of a message beside `do` are the arguments."""

    def engines() -> Any:  # Any: JSON
        from edgevae_bench.engines import describe_engines

        return to_dict(describe_engines(subject))

    return {
        "opened": lambda: to_dict(subject.opened),
        "engines": engines,
        "reconstruct": subject.reconstruct,
        "warm_up": subject.warm_up,
        "turn": subject.turn,
        "run_for": subject.run_for,
    }


def main() -> None:
    """Open the job of the first line, then answer each line until stdin ends."""
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: Any) -> None:  # Any: JSON
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    with contextlib.ExitStack() as stack:
        try:
            job = from_dict(Job, json.loads(sys.stdin.readline()), where="job")
            known = commands(OpenedSubject(job, stack, alive=lambda: answer(WORKING)))
            answer({"ok": None})
            for line in sys.stdin:
                message = json.loads(line)
                answer({"ok": known[message.pop("do")](**message)})
        except EdgeVaeError as error:
            answer({"error": str(error), "exit_code": error.exit_code})
        except Exception as error:  # noqa: BLE001  # of whichever library: its row says it
            traceback.print_exc()
            text = " ".join(str(error).split())[:300]
            answer({"error": f"{type(error).__name__}: {text}", "exit_code": 1})


if __name__ == "__main__":
    main()
