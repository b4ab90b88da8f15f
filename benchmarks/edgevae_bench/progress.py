"""How far a run is, with an estimate of the time that is left: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from edgevae_bench.plan import Progress

LINE_EVERY_S = 30.0


@contextlib.contextmanager
def shown_on(file: TextIO) -> Iterator[Progress]:
    """Yield a function that shows what is done: (what, turns done, turns in all).

    Args:
        file: A terminal, or anything else, where a bar would be drawn over and over.
    """
    if not file.isatty():
        yield lines(lambda line: print(line, file=file, flush=True), time.monotonic)
        return
    from tqdm import tqdm

    with tqdm(dynamic_ncols=True, leave=False, file=file, unit="turn") as bar:
        first: list[int] = []

        def move(what: str, done: int, of: int) -> None:
            first.append(done)
            bar.set_description_str(what, refresh=False)
            # Turns of an earlier run that is gone on with tell nothing of this one's speed.
            bar.initial, bar.total, bar.n = first[0], of, done
            bar.refresh()

        yield move


def lines(write: Callable[[str], None], clock_s: Callable[[], float]) -> Progress:
    """Return a function that writes a line at most every `LINE_EVERY_S` seconds, so none of a short run.

    Args:
        write: Takes a line without its end.
        clock_s: Seconds since any moment.
    """
    begun: list[tuple[float, int]] = []
    written: list[float] = []

    def move(what: str, done: int, of: int) -> None:
        now = clock_s()
        begun.append((now, done))
        if now - (written or [begun[0][0]])[-1] < LINE_EVERY_S:
            return
        written.append(now)
        (started, first), left = begun[0], ""
        if done > first:
            seconds = (now - started) / (done - first) * (of - done)
            left = f", about {seconds / 60:.0f} min left"
        write(f"{done} of {of} turns: {what}{left}")

    return move
