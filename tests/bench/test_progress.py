"""How far a benchmark is, on a terminal and in a log."""

from __future__ import annotations

import io

from edgevae_bench.progress import LINE_EVERY_S, lines, shown_on


def test_a_log_gets_a_line_now_and_then_with_the_time_left():
    written, now = list[str](), [0.0]
    move = lines(written.append, lambda: now[0])
    for done in range(4, 12):  # 4 are of an earlier run, which says nothing of this one's speed
        move("640x360 onnxruntime_fp32", done, 24)
        now[0] += LINE_EVERY_S / 2
    assert written == [
        "6 of 24 turns: 640x360 onnxruntime_fp32, about 4 min left",
        "8 of 24 turns: 640x360 onnxruntime_fp32, about 4 min left",
        "10 of 24 turns: 640x360 onnxruntime_fp32, about 4 min left",
    ]


def test_a_terminal_gets_a_bar_and_the_log_of_a_short_run_nothing():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    drawn = []
    for file in (Terminal(), io.StringIO()):
        with shown_on(file) as move:
            move("warm-up", 1, 2)
        drawn.append(file.getvalue())
    assert "1/2" in drawn[0]
    assert drawn[1] == ""
