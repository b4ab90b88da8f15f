"""Ctrl-C and a termination signal, noted instead of obeyed at once: what is at work ends where it is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class StopSignals:
    """Notes the first SIGINT or SIGTERM while the `with` lasts; a second one does what it did before.

    What is ignored stays ignored, as of a process that a shell started in the background; in another thread than the
    main one, where Python hears no signals, nothing is noted.
    """

    def __init__(self) -> None:
        self.received = ""
        self._before = dict[int, Any]()  # Any: what `signal.signal` returns

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (None, signal.SIG_IGN):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._before:
            self._give_back(next(iter(self._before)))

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        self._give_back(number)

    def _give_back(self, number: int) -> None:
        signal.signal(number, self._before.pop(number))
